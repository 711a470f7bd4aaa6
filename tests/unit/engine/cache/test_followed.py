"""What a model holds beside its weights and plain attributes: followed, or else never answered from the cache."""

from __future__ import annotations

import operator
import sys
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from types import MethodType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from pytest_cam import attend
from pytest_cam.engine.cache import pass_cache
from pytest_cam.running import SHARING


@pytest.fixture(autouse=True)
def _shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(SHARING, "is_on", True)
    pass_cache.forget()
    yield
    pass_cache.forget()


class Slotted:
    __slots__ = ("factor",)

    def __init__(self) -> None:
        self.factor = 1.0


@dataclass
class Labelled:
    name: str
    factor: float = field(compare=False)


class Config(dict[str, float]):
    scale = 1.0


class Levels(list[float]):
    def __init__(self, levels: list[float]) -> None:
        super().__init__(levels)
        self.scale = [1.0]


class Gain:
    def __init__(self) -> None:
        self.factor = 1.0

    def __call__(self, seen: torch.Tensor) -> torch.Tensor:
        return seen * self.factor


def _scaled(seen: torch.Tensor, settings: dict[str, float]) -> torch.Tensor:
    return seen * settings["factor"]


def _scaled_by_default(seen: torch.Tensor, settings: dict[str, float] = {"factor": 2.0}) -> torch.Tensor:  # noqa: B006
    return seen * settings["factor"]


class Holding(nn.Module):
    """Holds a thing, and uses it in its forward pass."""

    shared = {"factor": 1.0}  # noqa: RUF012  # which a test changes in place

    def __init__(self, thing: Any, use: Callable[[Any, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.look, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)
        self.thing, self.use = thing, use

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        seen = self.use(self.thing, self.look(images).mean(dim=(2, 3)))
        return self.head(seen) * self.shared["factor"]


def _double(tensor: torch.Tensor) -> None:
    with torch.no_grad():
        tensor.mul_(2)


def times(thing: Any, seen: torch.Tensor) -> torch.Tensor:
    return seen * thing


def by_layer(thing: Any, seen: torch.Tensor) -> torch.Tensor:
    return thing[0](seen)


def noted(tensor: torch.Tensor, scale: Any) -> torch.Tensor:
    """Return a tensor with an attribute."""
    tensor.scale = scale  # type: ignore[attr-defined]
    return tensor


HELD: dict[str, tuple[Callable[[], Any], Callable[[Any, torch.Tensor], torch.Tensor], Callable[[Any], Any]]] = {
    "a config two levels deep": (
        lambda: SimpleNamespace(vision=SimpleNamespace(factor=1.0)),
        lambda thing, seen: seen * thing.vision.factor,
        lambda thing: setattr(thing.vision, "factor", 2.0),
    ),
    "an object with slots": (
        Slotted,
        lambda thing, seen: seen * thing.factor,
        lambda thing: setattr(thing, "factor", 2.0),
    ),
    "a callable object": (Gain, lambda thing, seen: thing(seen), lambda thing: setattr(thing, "factor", 2.0)),
    "a method of an object": (
        lambda: MethodType(Gain.__call__, Gain()),
        lambda thing, seen: thing(seen),
        lambda thing: setattr(thing.__self__, "factor", 2.0),
    ),
    "a partial function": (
        lambda: partial(_scaled, settings={"factor": 1.0}),
        lambda thing, seen: thing(seen),
        lambda thing: thing.keywords["settings"].update(factor=2.0),
    ),
    "a deque": (lambda: deque([1.0]), lambda thing, seen: seen * thing[0], lambda thing: thing.__setitem__(0, 2.0)),
    "an array of Python's": (
        lambda: array("d", [1.0]),
        lambda thing, seen: seen * thing[0],
        lambda thing: thing.__setitem__(0, 2.0),
    ),
    "bytes that change": (
        lambda: bytearray(b"\1"),
        lambda thing, seen: seen * thing[0],
        lambda thing: thing.__setitem__(0, 2),
    ),
    "a view of bytes": (
        lambda: memoryview(bytearray(b"\1")),
        lambda thing, seen: seen * thing[0],
        lambda thing: thing.__setitem__(0, 2),
    ),
    "a list that was empty": (
        list,
        lambda thing, seen: seen * (thing[0] if thing else 1.0),
        lambda thing: thing.append(2.0),
    ),
    "a list in a tuple": (
        lambda: ((), ([1.0],)),
        lambda thing, seen: seen * thing[1][0][0],
        lambda thing: thing[1][0].__setitem__(0, 2.0),
    ),
    "a set": (lambda: {1.0}, lambda thing, seen: seen * sum(thing), lambda thing: thing.add(2.0)),
    "the order of a dict": (
        lambda: {"first": 1.0, "second": 2.0},
        lambda thing, seen: seen * next(iter(thing.values())),
        lambda thing: thing.update(first=thing.pop("first")),
    ),
    "an object that equals the one before": (
        lambda: [Labelled("gain", 1.0)],
        lambda thing, seen: seen * thing[0].factor,
        lambda thing: thing.__setitem__(0, Labelled("gain", 2.0)),
    ),
    "an attribute of a dict": (
        lambda: Config(factor=1.0),
        lambda thing, seen: seen * thing.scale,
        lambda thing: setattr(thing, "scale", 2.0),
    ),
    "an attribute of a list": (
        lambda: Levels([1.0]),
        lambda thing, seen: seen * thing.scale[0],
        lambda thing: thing.scale.__setitem__(0, 2.0),
    ),
    "an attribute of a weight": (
        lambda: noted(nn.Parameter(torch.ones(4)), 1.0),
        lambda thing, seen: seen * thing.scale,
        lambda thing: setattr(thing, "scale", 2.0),
    ),
    "an attribute that a weight gets": (
        lambda: nn.Parameter(torch.ones(4)),
        lambda thing, seen: seen * getattr(thing, "scale", 1.0),
        lambda thing: noted(thing, 2.0),
    ),
    "a list that a weight has": (
        lambda: noted(nn.Parameter(torch.ones(4)), [1.0]),
        lambda thing, seen: seen * thing.scale[0],
        lambda thing: thing.scale.__setitem__(0, 2.0),
    ),
    "an object with other attributes": (
        Gain,
        lambda thing, seen: thing(seen),
        lambda thing: setattr(thing, "__dict__", {"factor": 2.0}),
    ),
    "an array of one value that equals the one before, and then does not": (
        lambda: {"factor": np.ones(1, np.float32)},
        lambda thing, seen: seen * float(thing["factor"][0]),
        lambda thing: (thing.update(factor=np.ones(1, np.float32)), thing["factor"].fill(2)),
    ),
    "lists between which something moves": (
        lambda: ([torch.tanh], []),
        lambda thing, seen: seen * (1 + len(thing[0])) + len(thing[1]),
        lambda thing: thing[1].append(thing[0].pop()),
    ),
    "the keys of a dict": (
        lambda: {"factor": 2.0},
        lambda thing, seen: seen * thing["factor"] if "factor" in thing else seen + thing["shift"],
        lambda thing: thing.update(shift=thing.pop("factor")),
    ),
    "a class": (
        lambda: type("Config", (), {"factor": 1.0, "__module__": __name__}),
        lambda thing, seen: seen * thing.factor,
        lambda thing: setattr(thing, "factor", 2.0),
    ),
    "the class of an object": (
        lambda: type("Config", (), {"factor": 1.0, "__module__": __name__})(),
        lambda thing, seen: seen * thing.factor,
        lambda thing: setattr(type(thing), "factor", 2.0),
    ),
    "an object of another class": (
        lambda: type("Half", (Gain,), {"__module__": __name__, "__call__": lambda self, seen: seen * 0.5})(),
        lambda thing, seen: thing(seen),
        lambda thing: setattr(thing, "__class__", Gain),
    ),
    "a default argument": (
        lambda: _scaled_by_default,
        lambda thing, seen: thing(seen),
        lambda thing: thing.__defaults__[0].update(factor=3.0),
    ),
    "other default arguments": (
        lambda: lambda seen, factor=1.0: seen * factor,
        lambda thing, seen: thing(seen),
        lambda thing: setattr(thing, "__defaults__", (2.0,)),
    ),
    "a layer in a plain list": (lambda: [nn.Linear(4, 4)], by_layer, lambda thing: _double(thing[0].weight)),
    "a network in a plain list": (
        lambda: [torchvision.models.resnet18(num_classes=4, weights=None).eval()],
        lambda thing, seen: seen + thing[0](seen[:, :3, None, None].expand(-1, -1, 32, 32)),
        lambda thing: _double(thing[0].layer2[1].conv2.weight),
    ),
    "a filter of it through data": (lambda: [nn.Linear(4, 4)], by_layer, lambda thing: thing[0].weight.data[1].zero_()),
    "a sparse tensor": (
        lambda: torch.eye(4).to_sparse(),
        lambda thing, seen: torch.sparse.mm(thing, seen.T).T,
        lambda thing: thing.mul_(2),
    ),
}


@pytest.mark.parametrize("what", HELD)
def test_what_a_model_holds_is_followed(what: str, picture: torch.Tensor) -> None:
    make, use, change = HELD[what]
    model = Holding(make(), use).eval()
    before = attend(model, picture, layer="look", target=1).score
    change(model.thing)
    after = attend(model, picture, layer="look", target=1).score
    SHARING.is_on = False
    assert after == attend(model, picture, layer="look", target=1).score != before


@pytest.mark.parametrize("held", [lambda number: number, lambda number: (0, number), lambda number: [0, (number,)]])
def test_a_number_of_another_type_is_another_one(picture: torch.Tensor, held: Callable[[Any], Any]) -> None:
    model = Holding(held(1), lambda thing, seen: seen * (2 if "True" in repr(thing) else 1)).eval()
    before = attend(model, picture, layer="look", target=1).score
    model.thing = held(True)
    assert attend(model, picture, layer="look", target=1).score != before


@pytest.mark.parametrize(
    ("held", "change"),
    [
        (lambda: [0.0], lambda thing: operator.setitem(thing, 0, -0.0)),
        (lambda: {"shift": (1, 0.0)}, lambda thing: operator.setitem(thing, "shift", (1, -0.0))),
        (lambda: [np.float32(0)], lambda thing: operator.setitem(thing, 0, np.float32(-0.0))),
        (lambda: SimpleNamespace(shift=0j), lambda thing: setattr(thing, "shift", -0j)),
    ],
    ids=["list", "tuple", "numpy", "complex"],
)
def test_a_zero_of_the_other_sign_is_another_number(
    picture: torch.Tensor, held: Callable[[], Any], change: Callable[[Any], Any]
) -> None:
    model = Holding(held(), lambda thing, seen: seen / (2 if "-" in repr(thing) else 1)).eval()
    before = attend(model, picture, layer="look", target=1).score
    change(model.thing)
    assert attend(model, picture, layer="look", target=1).score != before


def test_an_attribute_that_becomes_minus_zero_is_another_number(picture: torch.Tensor) -> None:
    model = Holding(0.0, lambda thing, seen: seen * (1 / torch.tensor(thing)).clamp(-2, 1)).eval()
    before = attend(model, picture, layer="look", target=1).score
    model.thing = -0.0
    assert attend(model, picture, layer="look", target=1).score != before


def _is_true(given: Any) -> int:
    return 2 if given is True else 1


def _switched(on: Any = 1) -> int:
    return _is_true(on)


def _closed(on: Any) -> tuple[Callable[[], int], Callable[[], None]]:
    def switch() -> None:
        nonlocal on
        on = True

    return lambda: _is_true(on), switch


IN_CONTAINERS: dict[str, tuple[Any, Callable[[Any], int], Callable[[Any], Any]]] = {
    "a dict": ({"on": 1}, lambda thing: _is_true(thing["on"]), lambda thing: thing.update(on=True)),
    "a list": ([0, 1], lambda thing: _is_true(thing[1]), lambda thing: thing.__setitem__(1, True)),
    "a deque": (deque([1.0]), lambda thing: _is_true(thing[0]), lambda thing: thing.__setitem__(0, True)),
    "a config": (SimpleNamespace(on=1), lambda thing: _is_true(thing.on), lambda thing: setattr(thing, "on", True)),
    "a tuple": ({"on": (0, 1)}, lambda thing: _is_true(thing["on"][1]), lambda thing: thing.update(on=(0, True))),
    "NumPy's": (
        {"on": np.float32(3)},
        lambda thing: thing["on"].itemsize,
        lambda thing: thing.update(on=np.float64(3)),
    ),
    "a default": (_switched, lambda thing: thing(), lambda thing: setattr(thing, "__defaults__", (True,))),
    "a closure": (_closed(1), lambda thing: thing[0](), lambda thing: thing[1]()),
    "a global": (None, lambda thing: _is_true(FACTOR), lambda thing: globals().update(FACTOR=True)),
}


@pytest.mark.parametrize("where", IN_CONTAINERS)
def test_a_number_of_another_type_that_is_held_further_in_is_another_one(
    picture: torch.Tensor, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "FACTOR", 1.0)
    thing, read, change = IN_CONTAINERS[where]
    model = Holding(thing, lambda thing, seen: seen * read(thing)).eval()
    before = attend(model, picture, layer="look", target=1).score
    change(thing)
    assert attend(model, picture, layer="look", target=1).score != before


class Sized(Holding):
    """Notes the size of each image in a new list, as window attention does."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        PASSES.append(1)
        self.size = [images.shape[2] * 1000, (images.shape[3] * 1000, "pixels")]
        return super().forward(images)


PASSES: list[int] = []


def test_a_model_that_notes_the_same_again_is_answered(picture: torch.Tensor) -> None:
    model = Sized(1.0, times).eval()
    for _ in range(4):
        attend(model, picture, layer="look", target=1)
    assert len(PASSES) == 2  # the first one makes the attribute


FACTOR = 1.0


def _decorated(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    return lambda self, images: function(self, images)


class Decorated(Holding):
    @_decorated
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return sum(Holding.forward(self, images) * FACTOR for _ in range(1))  # type: ignore[return-value]


def test_what_a_decorated_forward_names_is_followed(picture: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Decorated(1.0, times).eval()
    before = attend(model, picture, layer="look", target=1).score
    monkeypatch.setitem(globals(), "FACTOR", 2.0)
    assert attend(model, picture, layer="look", target=1).score == pytest.approx(2 * before)


class Propertied(nn.Module):
    @property
    def factor(self) -> float:
        return FACTOR


def test_what_a_property_names_is_followed(picture: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Holding(Propertied(), lambda thing, seen: seen * thing.factor).eval()
    before = attend(model, picture, layer="look", target=1).score
    monkeypatch.setitem(globals(), "FACTOR", 2.0)
    assert attend(model, picture, layer="look", target=1).score != before


def test_what_a_closure_holds_is_followed(picture: torch.Tensor) -> None:
    factor, shift = 1.0, np.zeros(1, np.float32)

    def use(_: Any, seen: torch.Tensor) -> torch.Tensor:
        return seen * factor + float(shift[0])

    model = Holding(None, use).eval()
    scores = [attend(model, picture, layer="look", target=1).score]
    factor = 2.0
    scores.append(attend(model, picture, layer="look", target=1).score)
    shift.fill(1)
    scores.append(attend(model, picture, layer="look", target=1).score)
    assert len(set(scores)) == 3


def test_what_its_class_holds_is_followed(picture: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Holding(1.0, times).eval()
    before = attend(model, picture, layer="look", target=1).score
    monkeypatch.setitem(Holding.shared, "factor", 2.0)
    assert attend(model, picture, layer="look", target=1).score == pytest.approx(2 * before)


def test_weights_made_under_inference_mode_are_never_answered(picture: torch.Tensor) -> None:
    with torch.inference_mode():
        model = Holding(torch.ones(4), lambda thing, seen: seen * thing.clone()).eval()
    model.look, model.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)
    before = attend(model, picture, layer="look", target=1).score
    with torch.inference_mode():
        model.thing.mul_(2)
    assert attend(model, picture, layer="look", target=1).score != before


@pytest.mark.parametrize("make", [count, lambda: iter([1.0, 2.0, 3.0]), lambda: (float(each) for each in range(1, 4))])
def test_a_model_that_takes_the_next_of_something_is_never_answered(
    make: Callable[[], Any], picture: torch.Tensor
) -> None:
    model = Holding(make(), lambda thing, seen: seen * (1 + next(thing))).eval()
    assert len({attend(model, picture, layer="look", target=1).score for _ in range(3)}) == 3


def test_a_model_with_its_own_generator_is_never_answered(picture: torch.Tensor) -> None:
    model = Holding(torch.Generator().manual_seed(0), lambda thing, seen: seen * torch.rand(4, generator=thing)).eval()
    assert len({attend(model, picture, layer="look", target=1).score for _ in range(3)}) == 3


@pytest.mark.filterwarnings("ignore:.*(nested tensors|quantized tensor)")
@pytest.mark.parametrize(
    "thing",
    [
        lambda: torch.ones(4, device="meta"),
        lambda: torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.qint8),
        lambda: torch.quantize_per_tensor(torch.ones(4, 8), 0.1, 0, torch.qint8)[:, ::2],
        lambda: torch.ones(4, dtype=torch.complex64).conj(),
        lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        lambda: [object()] * 3,
        lambda: list(range(50_000)),
    ],
    ids=["meta", "quantised", "quantised, with holes", "conjugate", "nested", "opaque", "too much"],
)
def test_what_cannot_be_read_is_no_error(thing: Callable[[], Any], picture: torch.Tensor) -> None:
    model = Holding(thing(), lambda _, seen: seen).eval()
    first, again = (attend(model, picture, layer="look", target=1).score for _ in range(2))
    assert first == again


def test_an_input_that_is_read_with_its_sign_turned_is_no_error(picture: torch.Tensor) -> None:
    model = Holding(1.0, times).eval()
    turned = torch._neg_view(picture)
    first, again = (attend(model, turned, layer="look", target=1).score for _ in range(2))
    assert first == again == attend(model, -picture, layer="look", target=1).score


def known() -> nn.Sequential:
    """Return a model of torch's own modules."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)).eval()


def _scores(model: nn.Module, picture: torch.Tensor) -> tuple[float, float]:
    with torch.no_grad():
        return attend(model, picture, layer="0", target=1).score, float(model(picture)[0, 1])


def test_weights_that_moved_into_shared_memory_are_followed(picture: torch.Tensor) -> None:
    model = known()
    _scores(model, picture)
    model.share_memory()
    with torch.no_grad():
        model[3].bias[1] += 100  # type: ignore[index]
    found, expected = _scores(model, picture)
    assert found == pytest.approx(expected)


def test_a_weight_that_was_swapped_is_followed(picture: torch.Tensor) -> None:
    model = known()
    _scores(model, picture)
    torch.utils.swap_tensors(model[0].weight, nn.Parameter(model[0].weight.data))
    with torch.no_grad():
        model[0].weight[3, 1, 1, 1] += 9  # type: ignore[index]
    found, expected = _scores(model, picture)
    assert found == pytest.approx(expected)


def test_a_forward_in_the_place_of_another_attribute_is_seen(picture: torch.Tensor) -> None:
    model = known()
    model.note = "x"
    _scores(model, picture)
    del model.note
    gain = torch.ones(5)
    model.forward = lambda images: nn.Sequential.forward(model, images) * gain  # type: ignore[assignment]
    _scores(model, picture)
    gain.mul_(7)
    found, expected = _scores(model, picture)
    assert found == pytest.approx(expected)


def test_other_attributes_of_a_layer_are_seen(picture: torch.Tensor) -> None:
    model = known()
    _scores(model, picture)
    model[0].__dict__ = dict(model[0].__dict__, stride=(2, 2))
    found, expected = _scores(model, picture)
    assert found == pytest.approx(expected)


def test_a_list_of_a_known_layer_is_followed(picture: torch.Tensor) -> None:
    swin = torchvision.models.swin_transformer.SwinTransformer([4, 4], 24, [2, 2], [2, 2], [2, 2], num_classes=5).eval()
    image = torch.rand(1, 3, 32, 32)
    before = attend(swin, image, layer="features.3", target=1).score
    swin.features[1][1].attn.shift_size[0] = 0  # type: ignore[index,union-attr]
    assert attend(swin, image, layer="features.3", target=1).score != before


@pytest.mark.parametrize(
    "change",
    [
        lambda weight: weight[:, :, 1, 1].mul_(-1),
        lambda weight: weight[:, :, 1, 1].mul_(2),
        lambda weight: weight[:, :, 1:3, 1:3].copy_(weight[:, :, 1:3, 1:3].transpose(2, 3).clone()),
        lambda weight: weight[0, 2:6].copy_(weight[0, 2:6].flip(0).clone()),
    ],
    ids=["turned", "doubled", "transposed", "permuted"],
)
def test_the_next_test_sees_writes_that_leave_sums_as_they_were(
    change: Callable[[torch.Tensor], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(8, 8, 4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)).eval()
    image = torch.rand(1, 8, 9, 9)
    before = attend(model, image, layer="0", target=1).score
    change(model[0].weight.data)  # type: ignore[arg-type]
    monkeypatch.setattr(SHARING, "test", SHARING.test + 1)
    assert attend(model, image, layer="0", target=1).score != before


class Shifting:
    """Reads an attribute that no code outside of it names."""

    def __init__(self) -> None:
        self.by = 0.0

    def __call__(self, seen: torch.Tensor) -> torch.Tensor:
        return seen + self.by

    def move(self, seen: torch.Tensor) -> torch.Tensor:
        return self(seen)


class Helpers:
    @staticmethod
    def plain(seen: torch.Tensor) -> torch.Tensor:
        return seen * FACTOR

    @classmethod
    def of_class(cls, seen: torch.Tensor) -> torch.Tensor:
        return seen * FACTOR


class Base:
    factor = 1.0


class Derived(Base):
    pass


class Scaler:
    def __call__(self, seen: torch.Tensor) -> torch.Tensor:
        return seen * FACTOR


class Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, seen: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return seen * FACTOR

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return gradient


SLOTTED = Slotted()


def _by_factor(seen: torch.Tensor) -> torch.Tensor:
    return seen * FACTOR


HEAD, SHIFT = nn.Linear(4, 4, bias=False), Shifting()
BY_FACTOR = partial(_by_factor)


def _imports_what_it_reads(_: Any, seen: torch.Tensor) -> torch.Tensor:
    import settings_of_a_test  # type: ignore[import-not-found]

    factor: float = settings_of_a_test.scale
    return seen * factor


def _twice_the_factor() -> None:
    globals()["FACTOR"] = 2.0


USED_BY_NAME: dict[str, tuple[Callable[[Any, torch.Tensor], torch.Tensor], Callable[[], Any]]] = {
    "a weight of a global layer": (lambda _, seen: seen @ HEAD.weight, lambda: _double(HEAD.weight)),
    "a global layer that is called": (lambda _, seen: HEAD(seen), lambda: _double(HEAD.weight)),
    "a global object that is called": (lambda _, seen: SHIFT(seen), lambda: setattr(SHIFT, "by", 1.0)),
    "a method of one": (lambda _, seen: SHIFT.move(seen), lambda: setattr(SHIFT, "by", 2.0)),
    "a static method": (lambda _, seen: Helpers.plain(seen), _twice_the_factor),
    "a class method": (lambda _, seen: Helpers.of_class(seen), _twice_the_factor),
    "a partial": (lambda _, seen: BY_FACTOR(seen), _twice_the_factor),
    "what a base has": (lambda _, seen: seen * Derived.factor, lambda: setattr(Base, "factor", Base.factor * 2)),
    "an object with slots": (lambda _, seen: seen * SLOTTED.factor, lambda: setattr(SLOTTED, "factor", 2.0)),
    "a class that is called": (lambda _, seen: Scaler()(seen), _twice_the_factor),
    "a function of autograd": (lambda _, seen: Scaled.apply(seen), _twice_the_factor),  # type: ignore[no-untyped-call]
}


@pytest.mark.parametrize("what", USED_BY_NAME)
def test_what_a_forward_uses_by_name_is_followed(
    what: str, picture: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "FACTOR", 1.0)
    use, change = USED_BY_NAME[what]
    model = Holding(None, use).eval()
    before = attend(model, picture, layer="look", target=1).score
    change()
    after = attend(model, picture, layer="look", target=1).score
    SHARING.is_on = False
    assert after == attend(model, picture, layer="look", target=1).score != before


def test_a_module_that_a_forward_imports_is_followed(
    picture: torch.Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "settings_of_a_test.py").write_text("scale = 1.0")
    monkeypatch.syspath_prepend(tmp_path)
    model = Holding(None, _imports_what_it_reads).eval()
    before = attend(model, picture, layer="look", target=1).score
    monkeypatch.setattr(sys.modules["settings_of_a_test"], "scale", 2.0)
    after = attend(model, picture, layer="look", target=1).score
    SHARING.is_on = False
    assert after == attend(model, picture, layer="look", target=1).score != before


@pytest.mark.parametrize("what", ["a layer", "settings"])
def test_what_a_closure_reads_from_is_followed(what: str, picture: torch.Tensor) -> None:
    head, settings = nn.Linear(4, 4), SimpleNamespace(shift=0.0)
    uses: dict[str, Callable[[Any, torch.Tensor], torch.Tensor]] = {
        "a layer": lambda _, seen: head(seen),
        "settings": lambda _, seen: seen + settings.shift,
    }
    model = Holding(None, uses[what]).eval()
    before = attend(model, picture, layer="look", target=1).score
    _double(head.weight)
    settings.shift = 1.0
    assert attend(model, picture, layer="look", target=1).score != before
