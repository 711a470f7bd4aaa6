from collections.abc import Iterator
from typing import Any

import pytest
from torch import nn

from pytest_cam.checks.hook_watch import ModelWatch
from pytest_cam.errors import HookLeakError


class Walked(nn.Sequential):
    """Counts how often its modules are gone through."""

    walks = 0

    def named_modules(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        self.walks += 1
        return super().named_modules(*args, **kwargs)


def test_model_without_new_hooks_is_gone_through_once_before_and_once_after() -> None:
    model, watch = Walked(nn.ReLU()), ModelWatch()
    model[0].register_forward_hook(lambda *_: None)
    watch.see(model)
    watch.see(model)
    watch.settle()
    assert model.walks == 2
    assert len(model[0]._forward_hooks) == 1


def test_hook_that_is_left_is_named_and_taken_away() -> None:
    model, watch = Walked(nn.ReLU()), ModelWatch()
    watch.see(model)
    model[0].register_forward_hook(lambda *_: None)
    with pytest.raises(HookLeakError, match=r"left 1 hook on a model: .* on Walked layer 0"):
        watch.settle()
    assert not model[0]._forward_hooks
