"""Hooks come, are listed, and leave."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from pytest_cam.engine.model.hooks import HookManager, hooks_on, remove_hooks


def hook(*_: Any) -> None:
    """Do nothing, as a forward or backward hook."""


def hook_with_kwargs(*_: Any) -> None:
    """Do nothing, as a hook that gets keyword arguments too."""


def tables(model: nn.Module) -> list[int]:
    return [len(table) for module in model.modules() for name, table in vars(module).items() if "_hooks" in name]


def test_all_hooks_leave_at_the_end_of_the_block(classifier: nn.Sequential) -> None:
    before = tables(classifier)
    with HookManager() as hooks:
        hooks.add(classifier, hook)
        hooks.add(classifier.layer, hook)
        assert len(hooks_on(classifier)) == 2
    assert tables(classifier) == before


def test_all_hooks_leave_when_the_block_raises(classifier: nn.Sequential) -> None:
    def fail() -> None:
        with HookManager() as hooks:
            hooks.add(classifier.layer, hook)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert hooks_on(classifier) == {}


def test_a_hook_may_leave_earlier(classifier: nn.Sequential) -> None:
    with HookManager() as hooks:
        hooks.add(classifier.layer, hook).remove()
        assert hooks_on(classifier) == {}


def test_hooks_of_others_stay(classifier: nn.Sequential) -> None:
    handle = classifier.layer.register_forward_hook(hook)
    with HookManager() as hooks:
        hooks.add(classifier.layer, hook)
    assert list(hooks_on(classifier)) == [handle.id]


def test_hooks_are_listed_with_their_module_and_kind(classifier: nn.Sequential) -> None:
    handles = [
        classifier.register_forward_pre_hook(hook),
        classifier.stem.register_forward_hook(hook_with_kwargs, with_kwargs=True),
        classifier.layer.register_full_backward_pre_hook(hook),
        classifier.head.register_full_backward_hook(hook),
    ]
    expected = [
        ("", "forward pre hook", hook),
        ("stem", "forward hook", hook_with_kwargs),
        ("layer", "backward pre hook", hook),
        ("head", "backward hook", hook),
    ]
    assert hooks_on(classifier) == dict(zip([handle.id for handle in handles], expected, strict=True))


def test_removing_hooks_takes_those_named_and_their_flags(classifier: nn.Sequential) -> None:
    kept = classifier.layer.register_forward_hook(hook)
    before = tables(classifier)
    taken = [
        classifier.layer.register_forward_hook(hook_with_kwargs, with_kwargs=True, always_call=True),
        classifier.head.register_forward_pre_hook(hook_with_kwargs, with_kwargs=True),
    ]
    remove_hooks(classifier, {handle.id for handle in taken})
    assert tables(classifier) == before
    assert list(hooks_on(classifier)) == [kept.id]
