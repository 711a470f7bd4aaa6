"""How a score changes as pixels are replaced in the order of a map, and in orders that know nothing of the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from pytest_cam.attending import placed_on_input, prepared_in
from pytest_cam.attention import Attention
from pytest_cam.engine.black_box import Model, state_of
from pytest_cam.engine.further import seed_of
from pytest_cam.engine.scores.ready_targets import ClassProbability
from pytest_cam.engine.scores.targets import Target
from pytest_cam.engine.scoring import values
from pytest_cam.engine.subject import Subject
from pytest_cam.errors import is_ours
from pytest_cam.images.filling import blurred
from pytest_cam.images.frames import Frame
from pytest_cam.images.loading import RGB, SourceImage
from pytest_cam.images.preprocessing import PreparedImage
from pytest_cam.intervention import further_of
from pytest_cam.measures.faithfulness import Ranks, area, highest, imputed, ranks_of, share_beaten
from pytest_cam.measures.localization import upsample

__tracebackhide__ = is_ours

By: TypeAlias = Literal["deletion", "insertion", "road"]
Planes = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Faithfulness:
    """How a score changes as pixels are replaced in the order of a map, against random orders.

    Attributes:
        attention: The map that was asked.
        by: "deletion", "insertion" or "road".
        score: What the curves are of: "probability of dog".
        shares: The shares of the pixels, ascending, (n,).
        curve: The score at these, (n,), for the map's order.
        random_curves: The same for random maps on the map's own grid, (m, n).
        halfway: The model's input with half of the pixels replaced in the map's order, for drawing, (H, W, 3) uint8.
    """

    attention: Attention
    by: By
    score: str
    shares: npt.NDArray[np.float64]
    curve: npt.NDArray[np.float64]
    random_curves: npt.NDArray[np.float64]
    halfway: RGB

    def __repr__(self) -> str:
        return f"<Faithfulness by {self.by}, area {self.area:.3g}, beats {self.beaten:.0%} of random rankings>"

    @cached_property
    def area(self) -> float:
        """The area under the curve: its mean height."""
        return area(self.shares, self.curve)

    @cached_property
    def random_areas(self) -> tuple[float, ...]:
        """The areas under the curves of the random rankings."""
        return tuple(area(self.shares, curve) for curve in self.random_curves)

    @property
    def lower_is_better(self) -> bool:
        """Whether a small area speaks for the ranking: where pixels are taken away, and not where they are put in."""
        return self.by != "insertion"

    @property
    def beaten(self) -> float:
        """The share of the random rankings that do worse than the map's, in [0, 1]."""
        return share_beaten(self.area, self.random_areas, lower_is_better=self.lower_is_better)


def curves(
    model: Model,
    img: Any,
    attention: Attention,
    by: By,
    steps: int,
    rankings: int,
    frame: Frame,
    how: Mapping[str, Any],
) -> Faithfulness:
    """Replace pixels of the model's input in the order of a map and in random orders, and ask for the score each time.

    Args:
        model: As for `attend`.
        img: As for `attend`.
        attention: The map of this image.
        by: How pixels are replaced.
        steps: In how many equal shares.
        rankings: How many random orders there are.
        frame: As for `attend`.
        how: The keywords of `How`.
    """
    preprocess = how.get("preprocess")
    with state_of(model, []) as state:
        [prepared] = prepared_in(state, [img], preprocess, frame)
        subject = Subject(state.model, state, 1, how.get("class_names"), further_of(how))
        target, score = _score(attention, placed_on_input(how.get("target"), prepared))
        rng = np.random.default_rng(seed_of(how))
        maps = [attention.map, *rng.random((rankings, *attention.map.shape))]
        size = prepared.tensor.shape[1], prepared.tensor.shape[2]
        versions = _Versions(prepared, [ranks_of(upsample(cam, size), rng) for cam in maps], by, steps, rng)
        what, size_of_one = f"inputs of {by}", prepared.tensor.nbytes
        found = values(subject, target, len(versions), versions.make, what, size_of_one).double().numpy()
    shares, lines = versions.curves(found)
    halfway = SourceImage("", (size[1], size[0]), versions.halfway()).rgb(SourceImage("", (0, 0), prepared.tensor))
    return Faithfulness(attention, by, score, shares, lines[0], lines[1:], halfway)


def unasked(attention: Attention, by: By) -> Faithfulness:
    """Return what is known of a map before any pixel is replaced: NaN."""
    nothing = np.full((2, 2), np.nan)
    return Faithfulness(
        attention, by, _score(attention, None)[1], np.arange(2.0), nothing[0], nothing, attention.image.rgb()
    )


def _score(attention: Attention, given: Target) -> tuple[Target, str]:
    """Return what the curves are of, and its name: a class's probability, as in the papers, else the score itself."""
    what = attention.explained
    if what.target is None:
        return what.for_versions(given), what.name
    if what.predicted is None or what.of_probabilities:
        return what.target, f"score of {what.name}"
    return ClassProbability(what.target), f"probability of {what.name}"


class _Versions:
    """The versions of an input, made when they are asked for: the two ends, which all orders share, then each order."""

    def __init__(
        self, prepared: PreparedImage, orders: list[Ranks], by: By, steps: int, rng: np.random.Generator
    ) -> None:
        self._orders, self._by, self._steps = orders, by, steps
        self._like, self._rng = prepared.tensor, rng
        self._pixels = prepared.tensor.detach().to("cpu", torch.float32).double().numpy()
        # Where every pixel is missing there is nothing to impute from.
        self._ends = 1 if by == "road" else 2
        self._stand_in = self._even() if by != "insertion" else self._blurred()

    def __len__(self) -> int:
        return self._ends + len(self._orders) * (self._steps - 1)

    def make(self, start: int, stop: int) -> torch.Tensor:
        """Return the versions from start to stop, (stop - start, C, H, W)."""
        return torch.stack([self._version(index) for index in range(start, stop)])

    def halfway(self) -> torch.Tensor:
        """Return the input with half of the pixels replaced in the first order, (C, H, W)."""
        return self._of(self._orders[0], 0.5)

    def curves(self, found: Planes) -> tuple[Planes, Planes]:
        """Return the shares (n,) and a curve for each order, (m, n), from the scores of all versions."""
        ends, inner = found[: self._ends], found[self._ends :].reshape(len(self._orders), -1)
        parts = [np.full((len(inner), 1), ends[0]), inner, *(np.full((len(inner), 1), end) for end in ends[1:])]
        shares = np.arange(self._steps + self._ends - 1) / self._steps
        return shares, np.concatenate(parts, axis=1)

    def _version(self, index: int) -> torch.Tensor:
        if index < self._ends:
            return self._of(self._orders[0], float(index))
        order, step = divmod(index - self._ends, self._steps - 1)
        return self._of(self._orders[order], (step + 1) / self._steps)

    def _of(self, ranks: Ranks, share: float) -> torch.Tensor:
        return torch.from_numpy(self._replaced(highest(ranks, share))).to(self._like)

    def _replaced(self, first: npt.NDArray[np.bool_]) -> Planes:
        if self._by == "road":
            return imputed(self._pixels, first, self._rng)
        replaced = first if self._by == "deletion" else ~first
        return np.where(replaced, self._stand_in, self._pixels)

    def _even(self) -> Planes:
        mean: Planes = self._pixels.mean(axis=(1, 2), keepdims=True)
        return mean

    def _blurred(self) -> Planes:
        planes = blurred(np.ascontiguousarray(self._pixels.transpose(1, 2, 0), dtype=np.float32))
        moved: Planes = planes.transpose(2, 0, 1).astype(np.float64)
        return moved
