"""Two attentions of one image against each other: numbers, words and a picture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pytest_cam.errors import DependencyError, KeywordError, is_ours, kind_of
from pytest_cam.images import drawing
from pytest_cam.images.geometry import in_whole_pixels, size_said
from pytest_cam.images.loading import RGB
from pytest_cam.images.panel import Tile, panel, stretched, tile_of
from pytest_cam.images.style import Style
from pytest_cam.labels import facts, labels, require_one_image
from pytest_cam.measures import similarity
from pytest_cam.measures.alignment import Aligned, align
from pytest_cam.measures.localization import tied_cells
from pytest_cam.running import sendable
from pytest_cam.verdicts.findings import Figure, Findings
from pytest_cam.verdicts.judging import Asked, judge
from pytest_cam.verdicts.likeness import LikenessLimits, Mode, likeness
from pytest_cam.verdicts.message import explained
from pytest_cam.views import view_of, where

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from pytest_cam.attention import Attention

__tracebackhide__ = is_ours

_TILE = 320
_PEAK: drawing.Colour = (255, 0, 255)
# Differences below this share of the higher peak stay pale: rounding must not be drawn in full colour.
_LEAST = 0.05
# What networks trained anew have, as a rule.
_ALIKE = 0.8


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Two attentions of one image against each other. Made by `attention.compare(other)`.

    No number depends on how strong either map is, only on where it is strong.

    Attributes:
        first: The attention that was asked to compare itself.
        second: The other one.
    """

    first: Attention
    second: Attention

    def __post_init__(self) -> None:
        other: object = self.second
        if not isinstance(other, type(self.first)):
            raise KeywordError(f"other is {kind_of(other)}; accepted: an Attention, as attend(...) returns")
        require_one_image((self.first, self.second), "comparison")

    def require_something(self) -> None:
        """Raise `EmptyMapError` or `ImageError` where there is nothing to compare."""
        self.first.require_something()
        self.second.require_something()
        _ = self._maps

    @cached_property
    def _maps(self) -> Aligned:
        return align(self.first.map, self.first.geometry, self.second.map, self.second.geometry)

    @cached_property
    def cosine(self) -> float:
        """The cosine of the angle between the maps, in [0, 1]; high for unlike maps, too: do not judge by it alone."""
        return similarity.cosine(self._maps.first, self._maps.second)

    @cached_property
    def pearson(self) -> float:
        """Pearson's correlation of the maps, in [-1, 1]; 0 where one is the same everywhere."""
        return similarity.pearson(self._maps.first, self._maps.second)

    @cached_property
    def max_difference(self) -> float:
        """The greatest difference in any cell of the maps, each divided by its maximum, in [0, 1]."""
        return similarity.max_difference(self._maps.first, self._maps.second)

    @cached_property
    def emd(self) -> float:
        """The earth mover's distance as a share of the diagonal, in [0, 1): how far the attention moved.

        Raises:
            DependencyError: OpenCV does not import here.
        """
        return similarity.emd(self._maps.first, self._maps.second, self._maps.extent)

    @cached_property
    def peak_distance(self) -> float:
        """The distance between the two peaks, in image pixels."""
        (x1, y1), (x2, y2) = self.first.peak, self.second.peak
        return float(np.hypot(x2 - x1, y2 - y1))

    @cached_property
    def differences(self) -> tuple[str, ...]:
        """What differs between the two, in words: "method: gradcam against gradcam++"."""
        both = self.first, self.second
        known = {
            **facts(both),
            "image": [attention.image.name for attention in both],
            "input": [f"{size_said(attention.geometry.input_size)} pixels" for attention in both],
        }
        if self._maps.part is not None:
            known["the model saw"] = [in_whole_pixels(attention.geometry.seen) for attention in both]
        return tuple(f"{what}: {one} against {two}" for what, (one, two) in known.items() if one != two)

    def assert_agrees(
        self,
        mode: Mode = "retrained",
        *,
        names: tuple[str, str] = ("first", "second"),
        **limits: Unpack[LikenessLimits],
    ) -> None:
        """Fail unless the two look at the same place.

        Args:
            mode: "retrained" (default: EMD at most 0.15 of the diagonal and Pearson at least 0.6), for two networks
                that should have learnt the same; or "same-weights" (cosine at least 0.999 and a greatest difference of
                at most 0.02), for one network in two forms.
            names: What the two are called in messages and files: letters, digits and dashes.
            **limits: In place of the mode's or beside its rule: the least `cosine` and `pearson`, the greatest
                `max_difference` and `emd` that passes.

        Raises:
            AttentionError: They do not.
            EmptyMapError: One of the maps is zero everywhere, or in all that both models saw.
            FlatMapError: Both are the same everywhere, and are to correlate.
            KeywordError: There is no such mode or limit.
            LimitError: A limit is outside of its range.
            DependencyError: OpenCV, which measures the EMD, does not import here.
        """
        with Asked(self.first.evidence):
            self.require_something()
            figures = likeness(self._maps.first, self._maps.second, mode, self._maps.extent, dict(limits))
            check = f"attention of {names[0]} agrees with {names[1]}"
            judge(check, figures, lambda held: _findings(self, check, mode, held, names))

    def __repr__(self) -> str:
        figures = f"cosine {self.cosine:.2f}, Pearson {self.pearson:.2f}, peaks {self.peak_distance:.0f} px apart"
        return sendable(f"<Comparison {_headline(self)}: {figures}>")

    def __str__(self) -> str:
        lines = [
            ("cosine", f"{self.cosine:.3f}"),
            ("Pearson", f"{self.pearson:.3f}"),
            ("EMD", _moved(self)),
            ("max difference", f"{self.max_difference:.3f}, each map divided by its maximum"),
            ("peaks", f"{_peak(self.first)} and {_peak(self.second)}, {self.peak_distance:.0f} px apart"),
        ]
        if self._maps.part is not None:
            part = in_whole_pixels(self._maps.part)
            lines.append(("compared over", f"{part}, the part of the image that both models saw"))
        lines += [("differs", difference) for difference in self.differences]
        common = labels((self.first, self.second))[1]
        if common:
            lines.append(("the same", ", ".join(common)))
        lines.append(("image", self.first.image.name))
        return "\n".join([_headline(self), "", *(f"  {name:<14} {text}" for name, text in lines)])

    def picture(self, alpha: float = 0.5) -> RGB:
        """Draw both heat maps over the image, and their difference, side by side.

        The difference is that of the maps each scaled to sum 1 over what both models saw: red where the first has
        more of its attention, blue where the second has. The caption says how much full colour is.

        Args:
            alpha: The heat maps' part of the blend, in [0, 1].

        Returns:
            (H, W, 3) uint8.

        Raises:
            SettingError: alpha is not in [0, 1].
            DependencyError: OpenCV does not import here.
        """
        alpha = Style(alpha=alpha).alpha
        whole = drawing.reduced(self.first.image.rgb())
        picture = tile_of(whole, _TILE)
        size = (picture.shape[1], picture.shape[0])
        both = self.first, self.second
        titles, common = labels(both)
        shares = [drawing.on_image(drawing.normalised(a.map), a.geometry, size) for a in both]
        seen = [drawing.seen_mask(a.geometry, size) for a in both]
        tiles = []
        for attention, title, share, mask in zip(both, titles, shares, seen, strict=True):
            centre = np.array(attention.peak) * np.array(size) / np.array(attention.image.size)
            over = drawing.overlay(picture, share, mask, alpha)
            tiles.append(Tile(title, drawing.ring(over, centre, _PEAK)))
        shown = seen[0] * seen[1]
        first, second = (_of_sum_one(share * shown) for share in shares)
        apart, highest = first - second, max(float(first.max()), float(second.max())) or 1.0
        full = max(float(np.abs(apart).max()), _LEAST * highest)
        tiles.append(Tile("difference", drawing.signed_overlay(picture, apart / full, shown)))
        lines = [
            f"cosine {self.cosine:.2f}, Pearson {self.pearson:.2f}, EMD {self.emd:.2f} of the diagonal, "
            f"peaks (rings) {self.peak_distance:.0f} px apart",
            "heat maps: each from zero to its own maximum",
            "difference of the maps, each scaled to sum 1: red where the first has more, blue where the second has; "
            f"full colour is {full / highest:.0%} of the higher peak",
            *drawing.unseen(seen),
            *stretched(whole, picture),
            *([f"the same in both: {', '.join(common)}"] if common else []),
            f"image: {self.first.image.name}",
        ]
        return panel(tiles, _headline(self), lines)


def _findings(
    comparison: Comparison, check: str, mode: str, figures: tuple[Figure, ...], names: tuple[str, str]
) -> Findings:
    first, second = comparison.first, comparison.second
    facts = [
        ("explained", _both(names, explained(first.explained), explained(second.explained))),
        ("peaks", f"{_peak(first)} and {_peak(second)}, {comparison.peak_distance:.0f} px apart"),
    ]
    if comparison._maps.part is not None:
        facts.append(("compared", f"{in_whole_pixels(comparison._maps.part)}, the part of the image that both saw"))
    # What is explained stands above.
    differing = [text for text in comparison.differences if not text.startswith("target:")]
    if differing:
        facts.append(("differs", "; ".join(differing)))
    return Findings(
        check=check,
        where=f"{mode}, {where(first)}",
        figures=figures,
        views=tuple(view_of(attention, name, name) for attention, name in zip((first, second), names, strict=True)),
        image_name=first.image.name,
        geometry=first.geometry,
        facts=tuple(facts),
        hints=_hints(comparison, mode, names),
    )


def _both(names: tuple[str, str], first: str, second: str) -> str:
    return first if first == second else f"{names[0]}: {first}; {names[1]}: {second}"


def _hints(comparison: Comparison, mode: str, names: tuple[str, str]) -> tuple[str, ...]:
    hints = []
    one, other = comparison.first.explained, comparison.second.explained
    if one.predicted is not None and other.predicted is not None and one.predicted != other.predicted:
        hints.append(
            f"the {names[0]} predicts {one.predicted_name} and the {names[1]} {other.predicted_name}: they disagree "
            "about the class, which is a matter of accuracy first"
        )
    if mode == "same-weights" and similarity.pearson(comparison._maps.first, comparison._maps.second) >= _ALIKE:
        hints.append(
            "the maps are alike, though not the same: if the weights are not, as after training again, pruning or "
            "distilling, the rule is mode='retrained'"
        )
    return tuple(hints)


def _headline(comparison: Comparison) -> str:
    first, second = labels((comparison.first, comparison.second))[0]
    return f"{first} against {second}"


def _of_sum_one(share: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    # A single hot cell that is smaller than a pixel of the tile may be in none of them.
    total = float(share.sum())
    return share / total if total > 0 else share


def _moved(comparison: Comparison) -> str:
    try:
        return f"{comparison.emd:.3f} of the diagonal"
    except DependencyError:
        return "unknown: it needs OpenCV, which does not import here"


def _peak(attention: Attention) -> str:
    x, y = attention.peak
    tied = tied_cells(attention.map.astype(np.float64))
    return f"({x:.0f}, {y:.0f})" + (f" (shared by {tied} cells)" if tied > 1 else "")
