"""Passes that are shared within a session: what is answered from the cache, and what never is."""

from __future__ import annotations

import operator
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import pytest_cam.engine.methods as registry
from pytest_cam import ClassLogit, ContrastiveLogit, attend, attend_batch, register_method
from pytest_cam.engine import methods
from pytest_cam.engine.cache import pass_cache
from pytest_cam.engine.cache.fingerprint import Fingerprint
from pytest_cam.engine.cache.shelf import Content
from pytest_cam.errors import CamError, ProbabilityWarning
from pytest_cam.running import SHARING

_passes: list[int] = []
SHIFT = 0.0
GAIN = 1.0


class CFG:
    """Settings as many projects keep them."""

    power = 1.0


settings = ModuleType("settings")
settings.bias = 0.0  # type: ignore[attr-defined]
arguments = SimpleNamespace(offset=0.0)


def gained(scores: torch.Tensor) -> torch.Tensor:
    return strengthened(scores) * GAIN


def strengthened(scores: torch.Tensor) -> torch.Tensor:
    return scores * CFG.power


class Counted(nn.Module):
    """Counts its passes where the fingerprint does not see it: outside of the model."""

    factor = 1.0

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.look = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 5)
        self.scale = 1.0
        self.settings = {"shift": 0.0}
        self.ordered, self.nested = OrderedDict(shift=0.0), [{"shift": 0.0}]
        self.array = np.zeros(5, np.float32)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        _passes.append(len(images))
        seen = self.norm(self.look(images)).relu().mean(dim=(2, 3))
        shift = self.settings["shift"] + self.ordered["shift"] + self.nested[0]["shift"] + SHIFT
        return (self.head(seen) + torch.from_numpy(self.array).to(seen)) * self.scale * self.factor + shift


@pytest.fixture(autouse=True)
def _shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(SHARING, "is_on", True)
    pass_cache.forget()
    _passes.clear()
    yield
    pass_cache.forget()


@pytest.fixture
def model() -> Counted:
    return Counted().eval()


def passes(run: Callable[[], Any]) -> int:
    """Return how many passes a call costs."""
    before = len(_passes)
    run()
    return len(_passes) - before


def test_assertions_on_one_image_share_one_pass(model: Counted, picture: torch.Tensor) -> None:
    attention = attend(model, picture, layer="look")
    for _ in range(3):
        again = attend(model, picture.clone(), layer="look")
        assert np.array_equal(again.map, attention.map)
        assert again.explained == attention.explained
    attend(model, picture, layer="look", method="layercam")
    attend(model, picture, layer=model.look, method=["gradcam", "hirescam"])
    assert len(_passes) == 1


def test_models_of_many_classes_that_take_turns_are_all_answered(picture: torch.Tensor) -> None:
    models = [type(f"Counted{number}", (Counted,), {})().eval() for number in range(20)]
    assert passes(lambda: [attend(each, picture, layer="look") for each in models]) == 20
    SHARING.test += 1
    assert passes(lambda: [attend(each, picture, layer="look") for each in models]) == 0


def test_single_calls_are_answered_from_lists(model: Counted, picture: torch.Tensor) -> None:
    attend(model, picture, layer=["look", "norm"], target=[0, 1, ClassLogit(2)])
    assert passes(lambda: attend(model, picture, layer="norm", target=1, method="gradcam")) == 0
    assert passes(lambda: attend(model, picture, layer="norm", target=ClassLogit(2))) == 0
    assert passes(lambda: attend(model, picture, layer="norm", target=3)) == 1


CHANGES: dict[str, Callable[[Counted], Any]] = {
    "in place": lambda model: model.look.weight.requires_grad_(False).mul_(2),
    "data": lambda model: model.look.weight.data.mul_(2),
    "data of one row": lambda model: model.head.weight.data[3].zero_(),
    "numpy": lambda model: model.look.bias.detach().numpy().fill(3),
    "another tensor": lambda model: setattr(model.head, "bias", nn.Parameter(torch.ones(5))),
    "data of one channel": lambda model: model.head.weight.data[:, 2].zero_(),
    "data of one kernel": lambda model: model.look.weight.data[0, 0].zero_(),
    "data turned": lambda model: setattr(model.look.weight, "data", model.look.weight.data.transpose(-1, -2)),
    "data repeated": lambda model: setattr(model.look.bias, "data", model.look.bias.data[:1].expand(4)),
    "data replaced": lambda model: setattr(model.head.weight, "data", model.head.weight.data.clone()),
    "state dict": lambda model: model.load_state_dict({k: v + 1 for k, v in model.state_dict().items()}),
    "buffer": lambda model: model.norm.running_mean.add_(1),  # type: ignore[union-attr,operator]
    "train": lambda model: model.train(),
    "train of one": lambda model: model.norm.train(),
    "attribute": lambda model: setattr(model, "scale", 2.5),
    "stride": lambda model: setattr(model.look, "stride", (2, 2)),
    "dict in it": lambda model: model.settings.update(shift=1.5),
    "ordered dict": lambda model: model.ordered.update(shift=1.5),
    "nested": lambda model: model.nested[0].update(shift=1.5),
    "array": lambda model: model.array.fill(2),
    "module": lambda model: setattr(model, "norm", nn.Identity()),
    "forward": lambda model: setattr(model, "forward", lambda images: Counted.forward(model, images) * 2),
    "double": lambda model: model.double(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_model_is_never_answered(model: Counted, picture: torch.Tensor, change: str) -> None:
    attend(model, picture, layer="look", target=1)
    CHANGES[change](model)
    fresh: list[Any] = []
    assert passes(lambda: fresh.append(attend(model, picture, layer="look", target=1))) == 1
    SHARING.is_on = False
    expected = attend(model, picture, layer="look", target=1)
    assert np.array_equal(fresh[0].map, expected.map)
    assert fresh[0].score == expected.score


class Steps(nn.Module):
    """Runs the layers of a list and of a dict, each of which it holds elsewhere too."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.look, self.act, self.turn = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Tanh()
        self.same = nn.Identity()
        self.steps = nn.ModuleList([self.act, self.same])
        self.by_name = nn.ModuleDict({"first": self.same, "last": self.act})

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        _passes.append(len(images))
        seen = self.look(images)
        for step in self.steps:
            seen = step(seen)
        return torch.cat([seen, self.by_name["first"](seen - 0.1)], dim=1).mean(dim=(2, 3))


def _swap(steps: Steps) -> None:
    first, last = steps.by_name.pop("first"), steps.by_name.pop("last")
    steps.by_name.update({"last": first, "first": last})


REBOUND: dict[str, Callable[[Steps], Any]] = {
    "in a list": lambda model: operator.setitem(model.steps, 0, model.turn),
    "appended": lambda model: model.steps.append(model.turn),
    "deleted": lambda model: operator.delitem(model.steps, 0),
    "swapped in a dict": _swap,
    "of another class": lambda model: setattr(model.act, "__class__", nn.Identity),
}


@pytest.mark.parametrize("change", REBOUND)
def test_a_layer_of_the_model_in_another_place_is_noticed(picture: torch.Tensor, change: str) -> None:
    model = Steps().eval()
    attend(model, picture, layer="look", target=1)
    REBOUND[change](model)
    assert passes(lambda: attend(model, picture, layer="look", target=1)) == 1


def test_a_filter_that_is_zeroed_and_put_back_is_noticed_in_any_layout(model: Counted, picture: torch.Tensor) -> None:
    model.to(memory_format=torch.channels_last)
    scores = [attend(model, picture, layer="look", target=1).score]
    kept = model.look.weight.data.clone()
    for number in range(4):
        model.look.weight.data[number] = 0
        scores.append(attend(model, picture, layer="look", target=1).score)
        model.look.weight.data[number] = kept[number]
    assert len(set(scores)) == 5
    assert attend(model, picture, layer="look", target=1).score == scores[0]


@pytest.mark.parametrize("change", ["class attribute", "global", "method"])
def test_what_a_test_replaces_outside_of_the_model_is_noticed(
    model: Counted, picture: torch.Tensor, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = attend(model, picture, layer="look", target=1).score
    forward = Counted.forward
    if change == "class attribute":
        monkeypatch.setattr(Counted, "factor", 3.0)
    elif change == "global":
        monkeypatch.setitem(globals(), "SHIFT", 3.0)
    else:
        monkeypatch.setattr(Counted, "forward", lambda self, images: forward(self, images) + 3)
    assert attend(model, picture, layer="look", target=1).score != before


def test_hooks_on_gradients_are_noticed_one_by_one(picture: torch.Tensor) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)).eval()
    maps = [attend(model, picture, layer="0", target=1, method="hirescam").map]
    for factor in (2, 3):
        model[1].register_full_backward_hook(lambda module, grads, _, factor=factor: (grads[0] * factor,))
        maps.append(attend(model, picture, layer="0", target=1, method="hirescam").map)
    np.testing.assert_allclose(maps[1], maps[0] * 2, rtol=1e-5)
    np.testing.assert_allclose(maps[2], maps[0] * 6, rtol=1e-5)


@pytest.mark.parametrize(
    "given",
    [
        {"layer": [None, "look"]},
        {"layer": ["look", "look"]},
        {"layer": True},
        {"layer": [["look"]]},
        {"layer": "look", "output": ["a"]},
        {"layer": "look", "target": ClassLogit(True)},
        {"layer": "look", "target": ClassLogit(1.0)},  # type: ignore[arg-type]
    ],
)
def test_what_a_pass_refuses_is_refused_from_the_cache(model: Counted, picture: torch.Tensor, given: Any) -> None:
    for layer in (None, "look", 0, 1):
        attend(model, picture, layer=layer)
    attend(model, picture, layer="look", target=ClassLogit(1))
    with pytest.raises(CamError):
        attend(model, picture, **given)


class Doubled(ClassLogit):
    factor = 2.0

    def __call__(self, part: torch.Tensor) -> torch.Tensor:
        return super().__call__(part) * self.factor


def test_a_target_of_a_class_made_of_a_ready_one_is_asked_each_time(
    model: Counted, picture: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = attend(model, picture, layer="look", target=Doubled(1)).score
    monkeypatch.setattr(Doubled, "factor", 4.0)
    assert attend(model, picture, layer="look", target=Doubled(1)).score == 2 * before


def test_a_target_that_holds_a_list_is_kept_too(model: Counted, picture: torch.Tensor) -> None:
    for count in (1, 0):
        assert passes(lambda: attend(model, picture, layer="look", target=ContrastiveLogit(1, [2, 3]))) == count


def test_a_registered_method_is_asked_again_and_cannot_spoil_what_is_kept(
    model: Counted, picture: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(methods, "_registered", {})
    factor = [1.0]

    @register_method("spoiling")
    def spoiling(activations: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
        found = activations.abs().sum(dim=1) * factor[0]
        activations.zero_()
        gradients.fill_(7)
        return found

    first, own = attend(model, picture, layer="look", method=["spoiling", "gradcam"])
    factor[0] = 2.0
    np.testing.assert_allclose(attend(model, picture, layer="look", method="spoiling").map, first.map * 2, rtol=1e-6)
    pass_cache.forget()
    assert np.array_equal(attend(model, picture, layer="look", method="gradcam").map, own.map)
    with pytest.raises(ValueError, match="WRITEABLE"):
        own.map.flags.writeable = True


def test_a_write_to_one_weight_past_all_notice_is_found_by_the_next_test(
    model: Counted, picture: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    attend(model, picture, layer="look")
    model.head.weight.data[2, 1] += 1
    monkeypatch.setattr(SHARING, "test", SHARING.test + 1)
    assert passes(lambda: attend(model, picture, layer="look")) == 1
    assert passes(lambda: attend(model, picture, layer="look")) == 0


def test_a_parameter_that_only_looks_the_same_is_followed(picture: torch.Tensor) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.PReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)).eval()
    scores = [attend(model, picture, layer="0", target=1).score]
    model[1].weight = nn.Parameter(model[1].weight.detach().clone())  # one value, and equal
    scores.append(attend(model, picture, layer="0", target=1).score)
    for _ in range(2):
        with torch.no_grad():
            model[1].weight.mul_(-2)
        scores.append(attend(model, picture, layer="0", target=1).score)
    assert scores[0] == scores[1]
    assert len(set(scores)) == 3


def test_a_test_that_made_what_it_asks_for_reads_no_weights(
    model: Counted, picture: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    attend(model, picture, layer="look", target=1)
    monkeypatch.setattr(SHARING, "test", SHARING.test + 1)
    attend(model, picture * 2, layer="look", target=1)
    monkeypatch.setattr(Fingerprint, "content", lambda _: pytest.fail("read all weights"))
    assert passes(lambda: attend(model, picture * 2, layer="look", target=1)) == 0


KINDS = (torch.bool, torch.uint8, torch.float16, torch.bfloat16, torch.int64, torch.complex64, torch.complex128)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_weights_of_any_type_are_followed(kind: torch.dtype, picture: torch.Tensor, monkeypatch) -> None:
    class Shifted(Counted):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            shift = self.shift.int() if kind == torch.bool else self.shift.abs()
            return super().forward(images) + shift.sum()

    model = Shifted().eval()
    model.register_buffer("shift", torch.zeros(3, 2).to(kind))
    model.register_buffer("nothing", torch.zeros(0).to(kind))
    before = attend(model, picture, layer="look", target=1).score
    assert passes(lambda: attend(model, picture, layer="look", target=1)) == 0
    model.shift.data[0] = 1
    assert attend(model, picture, layer="look", target=1).score == pytest.approx(before + 2, abs=1e-4)
    model.shift.data[1, 1] = 1  # past all notice but the next test's
    monkeypatch.setattr(SHARING, "test", SHARING.test + 1)
    assert attend(model, picture, layer="look", target=1).score == pytest.approx(before + 3, abs=1e-4)


def test_the_next_test_is_answered_too(model: Counted, picture: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    attend(model, picture, layer="look")
    monkeypatch.setattr(SHARING, "test", SHARING.test + 1)
    assert passes(lambda: attend(model, picture, layer="look")) == 0


class Reading(Counted):
    """Reads settings of its project, by itself and by functions that it calls."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return gained(super().forward(images)) + settings.bias + arguments.offset


@pytest.mark.parametrize(
    ("holder", "name", "value"),
    [
        (settings, "bias", 3.0),
        (arguments, "offset", 3.0),
        (CFG, "power", 3.0),
        (sys.modules[__name__], "GAIN", 3.0),
        (sys.modules[__name__], "strengthened", torch.square),
    ],
)
def test_settings_that_a_model_reads_by_name_are_noticed(
    holder: Any, name: str, value: Any, picture: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Reading().eval()
    before = attend(model, picture, layer="look", target=1).score
    assert passes(lambda: attend(model, picture, layer="look", target=1)) == 0
    monkeypatch.setattr(holder, name, value)
    assert attend(model, picture, layer="look", target=1).score != before


def test_other_inputs_are_not_answered(model: Counted, picture: torch.Tensor) -> None:
    attend(model, picture, layer="look")
    other = picture.clone()
    other[0, 1, 3, 3] += 1e-6
    assert passes(lambda: attend(model, other, layer="look")) == 1
    assert passes(lambda: attend(model, picture.double(), layer="look")) == 0  # it becomes the same float32 input


@pytest.mark.parametrize("view", [lambda wide: wide[..., ::2], lambda wide: wide[:, :1, :1, :1].expand(1, 3, 8, 8)])
def test_a_view_of_another_image_is_an_image(model: Counted, view: Callable[[torch.Tensor], torch.Tensor]) -> None:
    wide = torch.randn(1, 3, 8, 16)
    assert passes(lambda: attend(model, view(wide), layer="look")) == 1
    assert passes(lambda: attend(model, view(wide).clone(), layer="look")) == 0


def test_surroundings_count(model: Counted, picture: torch.Tensor) -> None:
    attend(model, picture, layer="look")
    with torch.autocast("cpu", torch.bfloat16):
        assert passes(lambda: attend(model, picture, layer="look")) == 1


@pytest.mark.parametrize("kind", ["cuda", "mps", "xpu"])
def test_autocast_of_other_devices_counts(model: Counted, picture: torch.Tensor, kind: str) -> None:
    if not torch.amp.is_autocast_available(kind):
        pytest.skip("this version of torch has none there")
    attend(model, picture, layer="look")
    torch.set_autocast_enabled(kind, True)
    try:
        assert passes(lambda: attend(model, picture, layer="look")) == 1
    finally:
        torch.set_autocast_enabled(kind, False)


class Halving(TorchFunctionMode):
    """Halves what `Tensor.relu` gives."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = func(*args, **(kwargs or {}))
        return given / 2 if func is torch.Tensor.relu else given


class Watching(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("mode", [Halving, Watching])
def test_within_a_mode_of_torch_the_model_runs(model: Counted, picture: torch.Tensor, mode: type[Any]) -> None:
    attend(model, picture, layer="look")
    with mode():
        assert passes(lambda: attend(model, picture, layer="look")) == 1
        assert passes(lambda: attend(model, picture, layer="look")) == 1
    assert passes(lambda: attend(model, picture, layer="look")) == 0


class Noisy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Identity()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        _passes.append(1)
        return (self.look(images) * (1 + torch.rand(1))).mean(dim=(2, 3))


class Stateful(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Identity()
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        _passes.append(1)
        self.seen += 1
        return self.look(images).mean(dim=(2, 3)) + self.seen


@pytest.mark.parametrize("kind", [Noisy, Stateful])
def test_random_and_stateful_models_are_not_kept(kind: type[nn.Module], picture: torch.Tensor) -> None:
    model = kind().eval()
    attend(model, picture, layer="look")
    assert passes(lambda: attend(model, picture, layer="look")) == 1


class Keeping(Counted):
    """Keeps something of each pass, or, where it fills a cache of its own, of the first one."""

    def __init__(self, often: bool) -> None:
        super().__init__()
        self.often = often
        self.kept: torch.Tensor | None = None

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.often or self.kept is None:
            self.kept = images.detach().mean(dim=(0, 2, 3))
        return super().forward(images)


def test_a_model_that_keeps_something_of_each_pass_is_not_looked_at_for_ever(
    picture: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Keeping(often=True).eval()
    for count in range(3):
        assert passes(lambda: attend(model, picture, layer="look")) == 1, count
    monkeypatch.setattr(Fingerprint, "of", lambda _: pytest.fail("looked at the model"))
    model.head.weight.data.mul_(2)
    assert passes(lambda: attend(model, picture, layer="look")) == 1


def test_a_model_that_fills_a_cache_of_its_own_is_answered_once_that_is_full(picture: torch.Tensor) -> None:
    model = Keeping(often=False).eval()
    assert passes(lambda: attend(model, picture, layer="look")) == 1
    assert passes(lambda: attend(model, picture, layer="look")) == 1
    assert passes(lambda: attend(model, picture, layer="look")) == 0


class Tracking(Counted):
    """Is another model once it has seen a bright image."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if float(images.mean()) > 10:
            self.factor = 3.0
        return super().forward(images)


def test_a_pass_that_changes_the_model_is_not_kept_even_if_another_one_does_not(picture: torch.Tensor) -> None:
    model = Tracking().eval()
    for _ in range(2):
        model.factor = 1.0
        attend(model, picture, layer="look")
        assert passes(lambda: attend(model, picture + 20, layer="look")) == 1
        assert model.factor == 3.0


def test_a_model_whose_torch_class_was_patched_is_always_run(
    picture: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    gain = 1.0
    monkeypatch.setattr(nn.ReLU, "forward", lambda _, seen: seen.relu() * gain)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)).eval()
    before = attend(model, picture, layer="0", target=1).score
    gain = 2.0
    assert attend(model, picture, layer="0", target=1).score != before


def test_a_method_of_all_modules_that_is_replaced_is_noticed(
    picture: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[nn.Module] = []
    own = nn.Module.__call__

    def spied(module: nn.Module, *args: Any) -> Any:
        called.append(module)
        return own(module, *args)

    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)).eval()
    attend(model, picture, layer="0", target=1)
    monkeypatch.setattr(nn.Module, "__call__", spied)
    attend(model, picture, layer="0", target=1)
    assert model in called


def test_a_model_with_other_weights_each_time_is_followed_all_the_same(model: Counted, picture: torch.Tensor) -> None:
    for count in range(6):
        model.load_state_dict({name: value + 1 for name, value in model.state_dict().items()})
        assert passes(lambda: attend(model, picture, layer="look")) == 1, count
    assert passes(lambda: attend(model, picture, layer="look")) == 0


def test_a_hook_of_the_user_sees_every_pass(model: Counted, picture: torch.Tensor) -> None:
    attend(model, picture, layer="look")
    seen: list[int] = []
    with model.norm.register_forward_hook(lambda *_: seen.append(1)):
        attend(model, picture, layer="look")
    assert seen == [1]


@pytest.mark.parametrize(
    "given",
    [
        {"target": lambda row: row[0]},
        {"output": lambda output: output},
        {"reshape": lambda output: output},
    ],
)
def test_what_a_callable_reads_may_have_changed(model: Counted, picture: torch.Tensor, given: Any) -> None:
    attend(model, picture, layer="look", **given)
    assert passes(lambda: attend(model, picture, layer="look", **given)) == 1


def test_options_that_only_look_the_same_are_not_answered(model: Counted, picture: torch.Tensor) -> None:
    @register_method("weighted")
    def weighted(activations: torch.Tensor, *, weights: Any = None) -> torch.Tensor:
        return (activations * torch.as_tensor(weights).view(1, -1, 1, 1)[:, : activations.shape[1]]).sum(dim=1).abs()

    # NumPy writes "[0. 0. 0. ... 0. 0. 0.]" for both.
    first, second = np.zeros(2000, np.float32), np.zeros(2000, np.float32)
    first[3], second[3] = 1, 2
    try:
        one, other = (
            attend(model, picture, layer="look", method="weighted", method_options={"weights": weights}).map
            for weights in (first, second)
        )
        plain = attend(model, picture, layer="look", method="weighted", method_options={"weights": [0.0, 0, 0, 3]}).map
    finally:
        del registry._registered["weighted"]
    assert one.max() > 0
    np.testing.assert_allclose(other, 2 * one, rtol=1e-6)
    np.testing.assert_allclose(plain, 3 * one, rtol=1e-6)
    assert len(_passes) == 1, "the pass itself is shared"


def test_options_count(model: Counted, picture: torch.Tensor) -> None:
    def few(masks: int) -> Any:
        return attend(model, picture, method="rise", method_options={"masks": masks, "cells": 4})

    first = few(8)
    assert passes(lambda: few(9)) > 0
    assert passes(lambda: few(8)) == 0
    assert np.array_equal(few(8).map, first.map)
    assert passes(lambda: attend(model, picture, method="rise", seed=1, method_options={"masks": 8, "cells": 4})) > 0


def test_batches_are_computed(model: Counted, picture: torch.Tensor) -> None:
    both = torch.cat([picture, picture])
    attend_batch(model, both, layer="look")
    assert passes(lambda: attend_batch(model, both, layer="look")) == 1


def test_class_names_count(model: Counted, picture: torch.Tensor) -> None:
    attend(model, picture, layer="look", target=1, class_names=list("abcde"))
    named = attend(model, picture, layer="look", target=1, class_names=list("vwxyz"))
    assert named.explained.name == "w"


def test_class_names_are_asked_for_as_the_pass_does(model: Counted, picture: torch.Tensor) -> None:
    how: dict[str, Any] = {"layer": "look", "target": 1}
    model.config = SimpleNamespace(id2label=dict(enumerate("abcde")))  # type: ignore[assignment]
    assert attend(model, picture, **how).explained.name == "b"
    with pytest.raises(CamError, match="0 class names for a model with 5 classes"):
        attend(model, picture, class_names=[], **how)


def test_warnings_are_given_again(picture: torch.Tensor) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Softmax(dim=1)).eval()
    for _ in range(2):
        with pytest.warns(ProbabilityWarning):
            attend(model, picture, layer="0")


def test_memory_is_bounded_and_the_oldest_goes_first(
    model: Counted, picture: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    attend(model, picture, layer="look")
    monkeypatch.setattr(pass_cache, "MOST_BYTES", int(2.5 * pass_cache.kept_bytes()))
    second, third = picture + 1, picture + 2
    attend(model, second, layer="look")
    attend(model, picture, layer="look")  # used again, so that the second one is the oldest
    attend(model, third, layer="look")
    assert pass_cache.kept_bytes() <= pass_cache.MOST_BYTES
    assert passes(lambda: attend(model, picture, layer="look")) == 0
    assert passes(lambda: attend(model, second, layer="look")) == 1


def calls(run: Callable[[], Any]) -> int:
    """Return how many functions a call runs, each step of a generator counted."""
    counted: list[str] = []
    sys.setprofile(lambda frame, event, argument: counted.append(event))
    try:
        run()
    finally:
        sys.setprofile(None)
    return len(counted)


def test_a_check_takes_no_longer_as_the_memory_fills(model: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = iter(np.random.default_rng(0).random((400, 1, 3, 8, 8), np.float32))

    def ask() -> None:
        attend(model, torch.from_numpy(next(pictures)), layer="look", target=1)

    for _ in range(10):
        ask()
    few = calls(ask)
    for _ in range(200):
        ask()
    assert calls(ask) == few
    monkeypatch.setattr(pass_cache, "MOST_BYTES", pass_cache.kept_bytes())
    ask()  # and one has to go
    assert calls(ask) < few + 200


def test_images_of_one_background_are_not_compared_one_by_one() -> None:
    # Values as those of digits, which are sixteenths: the last two bytes of each are zero.
    digits = np.random.default_rng(0).integers(0, 17, (300, 1, 1, 8, 8)).astype(np.float32) / 16
    alike = {Content.of(torch.from_numpy(digit)).alike for digit in digits}
    assert len(alike) == len(digits)


def test_the_oldest_of_all_models_goes_first(picture: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Counted().eval(), Counted().eval()
    attend(second, picture, layer="look")
    attend(first, picture, layer="look")
    attend(second, picture, layer="look")
    monkeypatch.setattr(pass_cache, "MOST_BYTES", pass_cache.kept_bytes())
    attend(second, picture + 1, layer="look")
    assert passes(lambda: attend(second, picture, layer="look")) == 0
    assert passes(lambda: attend(first, picture, layer="look")) == 1


def test_what_was_let_go_of_is_kept_anew(
    model: Counted, picture: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    attend(model, picture, layer="look")
    room = pass_cache.kept_bytes()
    attend(model, picture + 1, layer="look")
    monkeypatch.setattr(pass_cache, "MOST_BYTES", room)
    attend(model, picture + 2, layer="look")
    assert pass_cache.kept_bytes() == room
    assert passes(lambda: attend(model, picture, layer="look")) == 1
    assert passes(lambda: attend(model, picture, layer="look")) == 0


def test_more_than_there_is_room_for_is_not_kept(
    model: Counted, picture: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pass_cache, "MOST_BYTES", 1)
    attend(model, picture, layer=["look", "norm"])
    assert pass_cache.kept_bytes() == 0


def test_weights_that_changed_leave_nothing_of_before(model: Counted, picture: torch.Tensor) -> None:
    attend(model, picture, layer="look")
    before = pass_cache.kept_bytes()
    with torch.no_grad():
        model.look.weight.mul_(2)
    attend(model, picture, layer="look")
    assert pass_cache.kept_bytes() == before


def test_a_model_that_is_gone_leaves_nothing(picture: torch.Tensor) -> None:
    import gc

    model = Counted().eval()
    attend(model, picture, layer="look")
    assert pass_cache.kept_bytes() > 0
    del model
    gc.collect()
    assert pass_cache.kept_bytes() == 0


class Pooling(Counted):
    """Refers to itself by a method that it keeps, as code with a choice of pooling does."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = self.mean

    def mean(self, seen: torch.Tensor) -> torch.Tensor:
        return seen.mean()


def test_a_model_that_refers_to_itself_goes_with_the_next_tests_but_one(model: Counted, picture: torch.Tensor) -> None:
    import gc
    import weakref

    pooling = [Pooling().eval()]
    attend(pooling[0], picture, layer="look")
    SHARING.test += 1
    assert passes(lambda: attend(pooling[0], picture, layer="look")) == 0
    gone = weakref.ref(pooling.pop())
    for _ in range(2):
        SHARING.test += 1
        attend(model, picture, layer="look")
    gc.collect()
    assert gone() is None


def test_nothing_is_kept_outside_of_a_session(model: Counted, picture: torch.Tensor) -> None:
    SHARING.is_on = False
    attend(model, picture, layer="look")
    assert passes(lambda: attend(model, picture, layer="look")) == 1
    assert pass_cache.kept_bytes() == 0
