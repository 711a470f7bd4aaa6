"""Models that come to refer to themselves, in a session and outside of one: what is kept of them lets them go."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from pytest_cam import attend, attend_batch
from pytest_cam.engine.cache import pass_cache
from pytest_cam.engine.model import alive
from pytest_cam.engine.model.alive import leads_to
from pytest_cam.running import SHARING

_found: list[nn.Module] = []


class Own(nn.Sequential):
    """A class of the user's."""


def _by_a_closure(model: nn.Module) -> None:
    model.predict = lambda images: model(images).softmax(1)  # type: ignore[assignment]


def _by_a_hook(model: nn.Module) -> None:
    model.get_submodule("0").register_forward_hook(lambda *_: print(model))


def _by_a_hook_of_a_weight(model: nn.Module) -> None:
    next(model.parameters()).register_hook(lambda _: print(model))


def _by_a_note_on_a_weight(model: nn.Module) -> None:
    next(model.parameters()).owner = model  # type: ignore[attr-defined]


def _by_an_object(model: nn.Module) -> None:
    model.wrapper = SimpleNamespace(models=[model])  # type: ignore[assignment]


LEADING_BACK = [_by_a_closure, _by_a_hook, _by_a_hook_of_a_weight, _by_a_note_on_a_weight, _by_an_object]


@pytest.fixture(params=[nn.Sequential, Own])
def make(request: pytest.FixtureRequest) -> Callable[[], nn.Module]:
    def made() -> nn.Module:
        parts = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)
        model: nn.Module = request.param(*parts)
        return model.eval()

    return made


@pytest.fixture(params=[True, False], ids=["session", "script"])
def _shared(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(SHARING, "is_on", request.param)
    pass_cache.forget()
    yield
    pass_cache.forget()


@pytest.mark.usefixtures("_shared")
def test_models_that_refer_to_themselves_are_let_go(make: Callable[[], nn.Module], picture: torch.Tensor) -> None:
    models = {}
    for lead_back in LEADING_BACK:
        for when in ("before", "after"):
            SHARING.test += 1
            model = make()
            if when == "before":
                lead_back(model)
            attend(model, picture, layer="0", target=0)
            if when == "after":
                lead_back(model)
            models[lead_back.__name__, when] = weakref.ref(model)
            del model
    for _ in range(2):
        SHARING.test += 1
        attend(make(), picture, layer="0", target=0)
    gc.collect()  # once, as it takes long
    assert [name for name, model in models.items() if model() is not None] == []


def test_a_model_that_is_changed_while_it_is_not_used_is_let_go_in_time(
    make: Callable[[], nn.Module], picture: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SHARING, "is_on", True)
    model, other = make(), make()
    attend(model, picture, layer="0", target=0)
    for number in range(20):
        SHARING.test += 1
        attend(other, picture, layer="0", target=0)
        attend(make(), picture, layer="0", target=0)
        if number == 5:
            _by_an_object(model)
            gone = weakref.ref(model)
            del model
    gc.collect()
    assert gone() is None


def test_a_class_that_a_test_makes_is_let_go_with_what_its_methods_hold(
    make: Callable[[], nn.Module], picture: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SHARING, "is_on", True)

    def explained() -> list[Any]:
        backbone = make()

        class Settings:
            def models(self) -> list[nn.Module]:
                return [backbone]

        class Headed(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.settings = Settings()
                self.look = nn.Conv2d(3, 3, 1)

            def forward(self, images: torch.Tensor) -> torch.Tensor:
                assert model.look is self.look
                scores: torch.Tensor = backbone(self.look(images))
                return scores

        model = Headed().eval()
        attend(model, picture, layer="look", target=0)
        attend_batch(model, torch.cat([picture, picture / 2]), layer="look", target=0)
        return [weakref.ref(each) for each in (model, backbone, Headed, Settings)]

    gone = explained()
    for _ in range(2):
        SHARING.test += 1
        attend(make(), picture, layer="0", target=0)
    gc.collect()
    assert [each() for each in gone] == [None] * 4


def test_what_lies_in_a_module_leads_nowhere() -> None:
    model = nn.Sequential()
    _found.append(model)
    try:
        assert not leads_to([make, _by_a_closure, nn.Module, pytest], model)
        assert leads_to([_found], model)
    finally:
        _found.clear()


def test_too_much_to_tell_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alive, "_MOST", 0)
    assert leads_to([[[]], [[]]], nn.Sequential())
