"""Attention: one map with all that says what it is, and the verbs on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pytest_cam.comparison import Comparison
from pytest_cam.engine.scores.explained import Explained
from pytest_cam.errors import EmptyMapError, NotAffineError, is_ours
from pytest_cam.images import drawing
from pytest_cam.images.frames import Frame, region_in_image
from pytest_cam.images.geometry import Geometry, size_said
from pytest_cam.images.loading import RGB, SourceImage
from pytest_cam.images.regions import Box, Region
from pytest_cam.images.style import Normalization, Style
from pytest_cam.measures.localization import metric_named
from pytest_cam.running import sendable
from pytest_cam.verdicts.evidence import Evidence, Measurement
from pytest_cam.verdicts.judging import Asked, judge
from pytest_cam.verdicts.likeness import LikenessLimits, Mode, rule
from pytest_cam.verdicts.limits import IN_REGION, NOT_IN_REGION, Limits, limits_for
from pytest_cam.verdicts.region import measure, peak_in_image
from pytest_cam.views import attended_boxes, nothing_in

if TYPE_CHECKING:
    from typing_extensions import Unpack

__tracebackhide__ = is_ours

Observer = Callable[["Attention", Region, Measurement], None]


@dataclass(frozen=True, eq=False, repr=False)
class Attention:
    """One class activation map with all that says what it is. Made by `attend`.

    Attributes:
        map: The raw map on the layer's own grid, (h, w) float32, >= 0, never normalised, read-only.
        layer: The layer's dotted name.
        layer_call: Which of the layer's executions in the forward pass is explained, from 1.
        layer_calls: How often the layer ran in the forward pass.
        layout: How the layer's output was read as (B, C, h, w): "NCHW, 7 x 7", "NHWC, 7 x 7",
            "tokens, 14 x 14, 1 token before them" or "reshape, 7 x 7".
        method: The name of the CAM method.
        explained: The score that is explained: target, name, score, probability, prediction.
        image: The image as it was given.
        geometry: The map between image pixels and input pixels.
    """

    map: npt.NDArray[np.float32]
    layer: str
    layer_call: int
    layer_calls: int
    layout: str
    method: str
    explained: Explained
    image: SourceImage
    geometry: Geometry
    _observer: Observer | None = field(default=None)

    def __repr__(self) -> str:
        grid = size_said(self.map.shape)
        return sendable(f"<Attention {self.method} {self.layer} {grid}, {self.explained.name}, {self.image.name}>")

    @property
    def target(self) -> int | None:
        """The explained class index, or None for a callable."""
        return self.explained.target

    @property
    def score(self) -> float:
        """The explained score, a logit as a rule."""
        return self.explained.score

    @property
    def peak(self) -> tuple[float, float]:
        """Where the map is strongest: the centre of its strongest cell, (x, y) in image pixels.

        Raises:
            EmptyMapError: The map is zero everywhere.
        """
        self.require_something()
        return peak_in_image(self.map, self.geometry)

    def energy_in(self, region: Any, *, frame: Frame = "image") -> float:
        """Return the share of the map's mass that lies in a region, in [0, 1].

        Args:
            region: A `Box`, `Polygon` or `Mask`, (x1, y1, x2, y2) in image pixels, or several of these.
            frame: "input" where the region is in pixels of the model's input instead.

        Raises:
            RegionError: The region is malformed, empty, outside the image, or outside what the model saw.
            EmptyMapError: The map is zero everywhere.
        """
        return self.measure("energy", region, frame=frame).value

    def skill_in(self, region: Any, *, frame: Frame = "image") -> float:
        """Return (energy - chance) / (ceiling - chance): 0 is chance, 1 the best that this grid can reach.

        Args:
            region: A `Box`, `Polygon` or `Mask`, (x1, y1, x2, y2) in image pixels, or several of these.
            frame: "input" where the region is in pixels of the model's input instead.

        Raises:
            RegionError: The region is malformed, empty, outside the image, or outside what the model saw.
            VacuousError: Chance and ceiling are too close in this region.
            EmptyMapError: The map is zero everywhere.
        """
        return self.measure("skill", region, frame=frame).value

    def measure(self, metric: str, region: Any, *, frame: Frame = "image") -> Measurement:
        """Measure one metric in a region, without a verdict.

        Args:
            metric: "skill", "energy", "lift", "pointing", "iou" (with what reaches half of the maximum) or "rank" (of
                the highest pixels, as many as the region has: the share inside).
            region: A `Box`, `Polygon` or `Mask`, (x1, y1, x2, y2) in image pixels, or several of these.
            frame: "input" where the region is in pixels of the model's input instead.

        Returns:
            The value with energy, chance, ceiling and the peak's place beside it.

        Raises:
            MetricError: There is no such metric.
            RegionError: The region is malformed, empty, outside the image, or outside what the model saw.
            VacuousError: The metric has no meaning in this region.
            EmptyMapError: The map is zero everywhere.
        """
        return self._measured(self._region(region, frame), metric, None)

    def boxes(self, threshold: float = 0.5) -> list[Box]:
        """Return the bounding boxes of what the model attends to, in image pixels, the largest first.

        Args:
            threshold: The share of the map's maximum from which on a pixel counts, in (0, 1].

        Returns:
            One box for each connected part, found as OpenCV contours on the input grid; of padding, no box has a part.

        Raises:
            EmptyMapError: The map is zero everywhere.
            DependencyError: OpenCV does not import here.
            SettingError: The threshold is not in (0, 1].
        """
        self.require_something()
        return attended_boxes(self.map, self.geometry, threshold)

    def overlay(self, alpha: float = 0.5, colormap: str = "jet", normalization: Normalization = "max") -> RGB:
        """Return the heat map drawn over the image, (H, W, 3) uint8.

        Args:
            alpha: The heat map's part of the blend, in [0, 1].
            colormap: One of OpenCV's colour maps, in lower case.
            normalization: "max" divides the map by its maximum; "min-max" stretches it from its minimum.

        Raises:
            SettingError: There is no such colour map or normalization, or alpha is not in [0, 1].
            DependencyError: OpenCV does not import here.
        """
        return drawing.overlaid(self.image.rgb(), self.map, self.geometry, Style(colormap, alpha, normalization))

    def compare(self, other: Attention) -> Comparison:
        """Compare with another attention of the same image: another method, layer, target or model.

        Args:
            other: The other attention. Where its model saw another part of the image, what both saw is compared; where
                its map has another grid, the finer one is taken.

        Returns:
            Cosine, Pearson correlation, greatest difference, earth mover's distance, the distance between the peaks,
            and what differs in words; `str()` of it is a short text, `picture()` of it shows both and their difference.

        Raises:
            ImageError: The other attention is of another image, or its model saw no common part of it.
            EmptyMapError: One of the maps is zero everywhere, or in all that both models saw.
            KeywordError: The other is no attention.
        """
        comparison = Comparison(self, other)
        comparison.require_something()
        return comparison

    def assert_in_region(
        self,
        region: Any,
        *,
        metric: str = "skill",
        at_least: float | None = None,
        at_most: float | None = None,
        frame: Frame = "image",
    ) -> None:
        """Fail unless the attention lies in a region.

        Args:
            region: A `Box`, `Polygon` or `Mask`, (x1, y1, x2, y2) in image pixels, or several of these.
            metric: "skill" (default, at least 0.25), "pointing" (default 1), "energy", "lift", "iou" or "rank".
            at_least: The least value that passes.
            at_most: The greatest value that passes.
            frame: "input" where the region is in pixels of the model's input instead.

        Raises:
            AttentionError: The value is outside the limits.
            LimitError: The limits are missing or contradictory, no map can meet them, or none can fail them.
            RegionError: The region is malformed, empty, outside the image, or outside what the model saw.
            EmptyMapError: The map is zero everywhere.
        """
        found, given = metric_named(metric), self._region(region, frame)
        check = f"attention in {given.kind}"
        limits = limits_for(found, at_least, at_most, IN_REGION, check)
        self._ask(check, given, metric, limits)

    def assert_not_in_region(
        self, region: Any, *, metric: str = "lift", at_most: float | None = None, frame: Frame = "image"
    ) -> None:
        """Fail if the attention lies in a region that must not matter: a watermark, a tag, a border.

        The region is widened by one cell of the map, into which evidence from a small mark spreads.

        Args:
            region: A `Box`, `Polygon` or `Mask`, (x1, y1, x2, y2) in image pixels, or several of these.
            metric: "lift" (default, at most 1.0: no more than chance), "skill", "pointing" (default 0), "energy",
                "iou" or "rank".
            at_most: The greatest value that passes.
            frame: "input" where the region is in pixels of the model's input instead.

        Raises:
            AttentionError: The value is above the limit.
            LimitError: The limit is missing, no map can meet it, or none can fail it.
            RegionError: The region is malformed, empty, outside the image, or outside what the model saw.
            EmptyMapError: The map is zero everywhere.
        """
        found, given = metric_named(metric), self._region(region, frame)
        check = f"attention not in {given.kind}"
        limits = limits_for(found, None, at_most, NOT_IN_REGION, check)
        self._ask(check, given, metric, limits, widen=True)

    def assert_agrees(self, other: Attention, mode: Mode = "retrained", **limits: Unpack[LikenessLimits]) -> Comparison:
        """Fail unless another attention of the same image looks at the same place, and return the comparison.

        Args:
            other: The other one; `compare` says which, and what it raises.
            mode: "retrained" (default) or "same-weights"; `Comparison.assert_agrees` says what they hold, and raises.
            **limits: `cosine`, `max_difference`, `emd` and `pearson`, in place of the mode's or beside its rule.
        """
        rule(mode, dict(limits))
        comparison = Comparison(self, other)
        comparison.assert_agrees(mode, **limits)
        return comparison

    def _region(self, region: Any, frame: Frame) -> Region:
        if frame == "image" and self.image.unmapped:
            raise NotAffineError(self.image.unmapped)
        return region_in_image(region, frame, self.geometry)

    def _measured(self, region: Region, metric: str, limits: Limits | None, *, widen: bool = False) -> Measurement:
        found = metric_named(metric)
        self.require_something()
        measurement = measure(self.map, self.geometry, region, found, limits, widen=widen)
        if self._observer is not None:
            self._observer(self, region, measurement)
        return measurement

    def _ask(self, check: str, region: Region, metric: str, limits: Limits, *, widen: bool = False) -> None:
        with Asked(self.evidence):
            measurement = self._measured(region, metric, limits, widen=widen)
            judge(check, (measurement,), lambda held: self.evidence(check, (region,), held))

    def evidence(
        self,
        check: str = "attention",
        regions: tuple[Region, ...] = (),
        measurements: tuple[Measurement, ...] = (),
    ) -> Evidence:
        """Return what is needed to draw and explain this attention: small arrays, no tensors."""
        return Evidence(
            check=check,
            map=self.map,
            picture=drawing.reduced(self.image.rgb()),
            image_name=self.image.name,
            geometry=self.geometry,
            layer=self.layer,
            layer_call=self.layer_call,
            layer_calls=self.layer_calls,
            layout=self.layout,
            method=self.method,
            explained=self.explained,
            regions=regions,
            measurements=measurements,
        )

    def require_something(self) -> None:
        """Raise `EmptyMapError` where the map is zero everywhere."""
        if not float(self.map.max()) > 0:
            raise EmptyMapError(nothing_in(self), self.evidence())
