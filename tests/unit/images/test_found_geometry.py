"""How a preprocess moves pixels is found once, and anew when it was changed."""

import copyreg
import random
import threading
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from itertools import cycle, repeat
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.transforms as v1
from PIL import Image
from torchvision.models import ResNet50_Weights

from pytest_cam.errors import GeometryError, NotAffineError
from pytest_cam.images.found_geometry import geometry_of


def test_looking_for_a_change_takes_little_beside_the_photo_itself() -> None:
    size = 1600, 1200
    half = v1.Compose([v1.Resize((600, 800)), v1.ToTensor()])
    geometry_of(half, size)

    tracemalloc.start()
    geometry_of(half, size)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 4 * size[0] * size[1]  # Pillow's own memory, and torch's, is not counted


def test_geometry_is_found_once_for_each_size() -> None:
    runs = []

    def counted(image: Image.Image) -> torch.Tensor:
        runs.append(image.size)
        return v1.functional.to_tensor(image)

    geometry_of(counted, (8, 8))
    first = len(runs)
    geometry_of(counted, (8, 8))
    assert len(runs) == first + 1  # which shows that it is still the same
    geometry_of(counted, (9, 8))
    assert len(runs) > first + 2
    assert runs[-1] == (9, 8)


def _flipping(transforms: v1.Compose) -> None:
    transforms.transforms.insert(0, v1.RandomHorizontalFlip(1.0))


def _cropping(transforms: v1.Compose) -> None:
    transforms.transforms[0].size = 6


def _cutting_a_corner(transforms: v1.Compose) -> None:
    transforms.transforms[0] = lambda image: image.crop((0, 0, 4, 4)).resize((4, 4))


@pytest.mark.parametrize("change", [_flipping, _cropping, _cutting_a_corner])
def test_geometry_is_found_anew_for_a_preprocess_that_was_changed(change: Callable[[v1.Compose], None]) -> None:
    transforms = v1.Compose([v1.CenterCrop(4), v1.Resize((4, 4)), v1.ToTensor()])
    before = geometry_of(transforms, (8, 8))
    change(transforms)
    after = geometry_of(transforms, (8, 8))
    anew = geometry_of(v1.Compose(transforms.transforms), (8, 8))
    assert np.allclose(after.matrix, anew.matrix, atol=1e-6)
    assert not np.allclose(after.matrix, before.matrix, atol=0.1)


def test_what_is_not_affine_is_found_once_too() -> None:
    runs = []

    def turned(image: Image.Image) -> torch.Tensor:
        runs.append(1)
        return v1.functional.to_tensor(image.rotate(30))

    counts = []
    for _ in range(2):
        with pytest.raises(NotAffineError, match="right angles"):
            geometry_of(turned, (64, 64))
        counts.append(len(runs))
    assert counts[1] == counts[0] + 1  # which shows that it is still the same


class Patch:
    """Takes a few pixels from where its class says."""

    corner = 0, 0

    def __init__(self, side: int) -> None:
        self.side = side

    def __call__(self, image: Image.Image) -> torch.Tensor:
        x, y = self.corner
        return v1.functional.to_tensor(image.crop((x, y, x + self.side, y + self.side)))


@pytest.mark.parametrize("size", [(170, 85), (4000, 3000)])
@pytest.mark.parametrize("corner", [(21, 20), (20, 21), (21, 19), (24, 24)])
def test_patch_that_is_taken_from_elsewhere_is_found_anew(
    size: tuple[int, int], corner: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for x, y in ((20, 20), corner):
        monkeypatch.setattr(Patch, "corner", (x, y))
        assert geometry_of(Patch(6), size).matrix == ((1, 0, -x), (0, 1, -y))


class Cropped:
    """Takes a square out of the middle, and counts the runs of all its objects."""

    runs = 0

    def __init__(self, side: int, held: Any = None) -> None:
        self.side, self.held = side, held

    def __call__(self, image: Image.Image) -> torch.Tensor:
        type(self).runs += 1
        return v1.functional.center_crop(v1.functional.to_tensor(image), [self.side, self.side])


class Unhashable(Cropped):
    __hash__ = None  # type: ignore[assignment]  # as that of what has __eq__ alone


class Slotted:
    __slots__ = ("side",)
    runs = 0

    def __init__(self, side: int) -> None:
        self.side = side

    __call__ = Cropped.__call__


def _runs(preprocess: Any, size: tuple[int, int] = (8, 8)) -> int:
    kind = type(getattr(preprocess, "__self__", preprocess))
    before = kind.runs
    geometry_of(preprocess, size)
    return int(kind.runs - before)


@pytest.mark.parametrize("kind", [Cropped, Unhashable, Slotted])
def test_what_is_made_alike_is_run_once_more(kind: Any) -> None:
    sides = {Cropped: 4, Unhashable: 5, Slotted: 6}
    side = sides[kind]
    assert _runs(kind(side)) > 8
    assert _runs(kind(side)) == 1
    assert geometry_of(kind(side), (8, 8)) == geometry_of(kind(side), (8, 8))
    assert _runs(kind(side), (9, 8)) > 8  # a size that was not asked for yet
    assert _runs(kind(side), (9, 8)) == 1


def test_method_of_what_is_made_alike_is_run_once_more() -> None:
    assert _runs(Cropped(3).__call__) > 8
    assert _runs(Cropped(3).__call__) == 1


def test_preset_of_torchvision_is_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[int] = []
    kind = type(ResNet50_Weights.DEFAULT.transforms())
    forward = kind.forward

    def counted(self: Any, image: Any) -> Any:
        runs.append(1)
        return forward(self, image)

    monkeypatch.setattr(kind, "forward", counted)
    found = geometry_of(ResNet50_Weights.DEFAULT.transforms(), (61, 47))
    assert len(runs) > 8
    runs.clear()
    assert geometry_of(ResNet50_Weights.DEFAULT.transforms(), (61, 47)) == found
    assert len(runs) == 1


@pytest.mark.parametrize("other", [Cropped(2, "b"), Cropped(3, "a")])
def test_what_is_made_of_other_values_is_looked_at_by_itself(other: Cropped) -> None:
    geometry_of(Cropped(2, "a"), (8, 8))
    assert _runs(other) > 8


def test_what_cannot_be_pickled_is_looked_at_by_itself() -> None:
    for _ in range(2):
        assert _runs(Cropped(7, threading.Lock())) > 8


class Outdated:
    """Warns where it is pickled, as what itertools has does from Python 3.12 on."""

    def __call__(self) -> None: ...


def test_what_warns_where_it_is_pickled_is_looked_at_by_itself(recwarn: pytest.WarningsRecorder) -> None:
    def reduced(held: Outdated) -> Any:
        warnings.warn("Pickle support will be removed", DeprecationWarning, stacklevel=2)
        return Outdated, ()

    copyreg.pickle(Outdated, reduced)  # type: ignore[arg-type]  # a function of the objects, as it asks for
    for _ in range(2):
        assert _runs(Cropped(7, Outdated())) > 8
    assert not recwarn.list


_COUNTS: dict[str, Callable[[int], None]] = {}


def _local(side: int, runs: list[int], sign: str = "") -> Callable[[Image.Image], torch.Tensor]:
    """Return what a fixture returns that defines its preprocess itself; the number of runs is not what it holds."""
    _COUNTS[sign] = runs.append

    def cropped(image: Image.Image, sign: str = sign) -> torch.Tensor:
        _COUNTS[sign](1)
        return v1.functional.center_crop(v1.functional.to_tensor(image), [side, side])

    return cropped


def test_function_that_a_fixture_defines_anew_is_run_once_more() -> None:
    runs: list[int] = []
    geometry_of(_local(4, runs), (8, 8))
    assert len(runs) > 8
    runs.clear()
    found = geometry_of(_local(4, runs), (8, 8))
    assert len(runs) == 1
    runs.clear()
    assert geometry_of(_local(6, runs), (8, 8)) != found  # it holds something else
    assert len(runs) > 8
    runs.clear()
    geometry_of(_local(4, runs, "b"), (8, 8))  # and another default
    assert len(runs) > 8


def test_lambda_is_known_by_its_text_and_what_it_holds() -> None:
    runs: list[int] = []

    def compose(held: str) -> v1.Compose:
        _COUNTS["lambda"] = runs.append
        return v1.Compose([lambda image: (held and _COUNTS["lambda"](1)) or image, v1.CenterCrop(4), v1.ToTensor()])  # type: ignore[func-returns-value]

    geometry_of(compose("a"), (8, 8))
    runs.clear()
    geometry_of(compose("a"), (8, 8))
    assert len(runs) == 1
    runs.clear()
    geometry_of(compose("b"), (8, 8))
    assert len(runs) > 8


def test_functions_of_the_same_text_in_two_files_are_two() -> None:
    runs: list[int] = []
    text = "def make(runs):\n    return lambda image: runs.append(1) or image.crop((0, 0, 4, 4))"
    made = []
    for name in ("a/conftest.py", "b/conftest.py"):
        home: dict[str, Any] = {"__name__": "conftest"}
        exec(compile(text, name, "exec"), home)
        made.append(home["make"])
    to_tensor = v1.ToTensor()
    geometry_of(v1.Compose([made[0]([]), to_tensor]), (8, 8))
    geometry_of(v1.Compose([made[1](runs), to_tensor]), (8, 8))
    assert len(runs) > 8


def test_function_that_holds_itself_is_looked_at_by_itself() -> None:
    def made() -> Callable[..., torch.Tensor]:
        def again(image: Image.Image, deep: bool = True) -> torch.Tensor:
            return again(image, deep=False) if deep else v1.functional.to_tensor(image)

        return again

    assert geometry_of(made(), (8, 8)) == geometry_of(made(), (8, 8))


class Incomparable(Cropped):
    """As a data class that holds arrays."""

    def __eq__(self, other: object) -> bool:
        raise ValueError("the truth value of an array is ambiguous")

    def __hash__(self) -> int:
        return self.side


class NoHash(Cropped):
    def __hash__(self) -> int:
        raise AttributeError("not ready yet")


@pytest.mark.parametrize("kind", [Incomparable, NoHash])
def test_what_users_say_of_equality_does_not_matter(kind: Any) -> None:
    first, second = kind(4), kind(4)
    assert _runs(first) > 8
    assert _runs(second) == _runs(first) == 1


class Emptied(Cropped):
    """Gives what it holds away where it is pickled."""

    def __getstate__(self) -> Any:
        state = self.__dict__
        del state["held"]
        return state


class Leaving(Cropped):
    """Ends the run where it is pickled."""

    def __reduce__(self) -> Any:
        raise SystemExit("a preprocess was pickled")


@pytest.mark.parametrize("kind", [Emptied, Leaving])
def test_code_of_users_for_pickling_is_not_run(kind: Any) -> None:
    for _ in range(2):
        preprocess = kind(5, "held")
        assert _runs(preprocess) > 8
        assert preprocess.held == "held"


@pytest.mark.parametrize(
    "held", [np.zeros(1 << 18), torch.zeros(1 << 19), b"0" * (1 << 21), ["0" * 1000] * 3 + [b"1" * (1 << 20)]]
)
def test_what_holds_much_is_looked_at_by_itself(held: Any) -> None:
    for _ in range(2):
        assert _runs(Cropped(7, held)) > 8


@pytest.mark.parametrize(
    "held",
    [
        lambda: np.arange(3),
        lambda: torch.tensor([[1.0, 2.0]]),
        lambda: torch.tensor(1.5, dtype=torch.bfloat16),
        lambda: {"a": (1, 2.5)},
        lambda: v1.InterpolationMode.BICUBIC,
        lambda: v1.Normalize([0.5], [0.2]),
        lambda: random.Random(3),
    ],
)
def test_what_holds_little_is_found_once(held: Callable[[], Any]) -> None:
    geometry_of(Cropped(7, held()), (8, 8))
    assert _runs(Cropped(7, held())) == 1


@pytest.mark.parametrize("other", [[1.0, 2.5], [[1.0, 2.0]]])
def test_what_holds_another_tensor_is_looked_at_by_itself(other: list[Any]) -> None:
    geometry_of(Cropped(6, torch.tensor([1.0, 2.0])), (8, 8))
    assert _runs(Cropped(6, torch.tensor(other))) > 8


def test_class_that_took_the_name_of_another_one_is_looked_at_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(Cropped):
        def __call__(self, image: Image.Image) -> torch.Tensor:
            return super().__call__(image)

    geometry_of(Cropped(4, "named"), (8, 8))
    Other.__qualname__, Other.__module__ = Cropped.__qualname__, Cropped.__module__
    monkeypatch.setattr(f"{__name__}.Cropped", Other)
    assert _runs(Other(4, "named")) > 8


def test_what_is_made_alike_and_does_something_else_is_looked_at_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    before = geometry_of(Cropped(4, "class attribute"), (8, 8))
    monkeypatch.setattr(Cropped, "__call__", lambda self, image: v1.functional.to_tensor(image)[:, :4, :4])
    after = geometry_of(Cropped(4, "class attribute"), (8, 8))
    assert before.matrix[0][2] == pytest.approx(-2, abs=1e-6)
    assert after.matrix[0][2] == pytest.approx(0, abs=1e-6)


def test_random_preprocess_is_found_out_each_time() -> None:
    for _ in range(2):
        with pytest.raises(GeometryError, match="random"):
            geometry_of(v1.Compose([v1.RandomHorizontalFlip(0.5), v1.ToTensor()]), (8, 8))


class Mirrored(Cropped):
    """Mirrors the image wherever its class's generator says so."""

    chances: Iterator[bool]

    def __call__(self, image: Image.Image) -> torch.Tensor:
        pixels = super().__call__(image)
        return pixels.flip(2) if next(self.chances) else pixels


def test_random_preprocess_that_passed_by_luck_is_no_proof_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mirrored, "chances", repeat(False), raising=False)
    assert _runs(Mirrored(7)) > 8
    assert _runs(Mirrored(7)) == 1
    monkeypatch.setattr(Mirrored, "chances", cycle([True, False]))
    with pytest.raises(GeometryError, match="random"):
        geometry_of(Mirrored(7), (8, 8))
    monkeypatch.setattr(Mirrored, "chances", repeat(False))
    assert _runs(Mirrored(7)) > 8
