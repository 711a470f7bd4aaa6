"""Attention: one map with all that says what it is, and `attend`, which makes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from pytest_cam.engine.hooks import ModelState
from pytest_cam.engine.layers import LayerLike
from pytest_cam.engine.methods import method_named
from pytest_cam.engine.targets import Explained, Target, Targets
from pytest_cam.engine.trace import Trace, trace
from pytest_cam.errors import AttentionError, EmptyMapError, ImageError, ModelError, NonFiniteError
from pytest_cam.images import drawing
from pytest_cam.images.geometry import Geometry, Preprocess
from pytest_cam.images.loading import RGB, SourceImage
from pytest_cam.images.preprocessing import PreparedImage, prepare
from pytest_cam.images.regions import Box, Region, as_region
from pytest_cam.measures.localization import metric_named, upsample
from pytest_cam.verdicts.evidence import Evidence, Measurement
from pytest_cam.verdicts.limits import IN_REGION, NOT_IN_REGION, Limits, limits_for
from pytest_cam.verdicts.message import message
from pytest_cam.verdicts.region import measure, peak_in_image

Observer = Callable[["Attention", Region, Measurement], None]


@dataclass(frozen=True, eq=False)
class Attention:
    """One class activation map with all that says what it is. Made by `attend`.

    Attributes:
        map: The raw map on the layer's own grid, (h, w) float32, >= 0, never normalised, read-only.
        layer: The layer's dotted name.
        layer_calls: How often the layer ran in the forward pass; its last execution is explained.
        method: The name of the CAM method.
        explained: The score that is explained: target, name, score, probability, prediction.
        image: The image as it was given.
        geometry: The map between image pixels and input pixels.
    """

    map: npt.NDArray[np.float32]
    layer: str
    layer_calls: int
    method: str
    explained: Explained
    image: SourceImage
    geometry: Geometry
    _observer: Observer | None = field(default=None, repr=False)

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
        self._require_something()
        return peak_in_image(self.map, self.geometry)

    def energy_in(self, region: Any) -> float:
        """Return the share of the map's mass that lies in a region, in [0, 1].

        Args:
            region: A `Box`, or (x1, y1, x2, y2) in image pixels.

        Raises:
            RegionError: The region is malformed, outside the image, or outside what the model saw.
            EmptyMapError: The map is zero everywhere.
        """
        return self.measure("energy", region).value

    def skill_in(self, region: Any) -> float:
        """Return (energy - chance) / (ceiling - chance): 0 is chance, 1 the best that this grid can reach.

        Args:
            region: A `Box`, or (x1, y1, x2, y2) in image pixels.

        Raises:
            RegionError: The region is malformed, outside the image, or outside what the model saw.
            VacuousError: Chance and ceiling are too close in this region.
            EmptyMapError: The map is zero everywhere.
        """
        return self.measure("skill", region).value

    def measure(self, metric: str, region: Any) -> Measurement:
        """Measure one metric in a region, without a verdict.

        Args:
            metric: "skill", "energy", "lift" or "pointing".
            region: A `Box`, or (x1, y1, x2, y2) in image pixels.

        Returns:
            The value with energy, chance, ceiling and the peak's place beside it.

        Raises:
            MetricError: There is no such metric.
            RegionError: The region is malformed, outside the image, or outside what the model saw.
            VacuousError: The metric has no meaning in this region.
            EmptyMapError: The map is zero everywhere.
        """
        return self._measured(as_region(region), metric, None)

    def boxes(self, threshold: float = 0.5) -> list[Box]:
        """Return the bounding boxes of what the model attends to, in image pixels, the largest first.

        Args:
            threshold: The share of the map's maximum from which on a pixel counts, in (0, 1].

        Returns:
            One box for each connected part, found as OpenCV contours on the input grid.

        Raises:
            EmptyMapError: The map is zero everywhere.
            DependencyError: OpenCV does not import here.
            ValueError: The threshold is not in (0, 1].
        """
        self._require_something()
        return attended_boxes(self.map, self.geometry, threshold)

    def overlay(self, alpha: float = 0.5) -> RGB:
        """Return the heat map drawn over the image, (H, W, 3) uint8.

        Args:
            alpha: The heat map's part of the blend, in [0, 1].

        Raises:
            DependencyError: OpenCV does not import here.
        """
        picture = self.image.rgb()
        size = (picture.shape[1], picture.shape[0])
        share = drawing.on_image(drawing.normalised(self.map), self.geometry, size)
        return drawing.overlay(picture, share, drawing.seen_mask(self.geometry, size), alpha)

    def assert_in_region(
        self,
        region: Any,
        *,
        metric: str = "skill",
        at_least: float | None = None,
        at_most: float | None = None,
    ) -> None:
        """Fail unless the attention lies in a region.

        Args:
            region: A `Box`, or (x1, y1, x2, y2) in image pixels.
            metric: "skill" (default, at least 0.25), "pointing" (default 1), "energy" or "lift".
            at_least: The least value that passes.
            at_most: The greatest value that passes.

        Raises:
            AttentionError: The value is outside the limits.
            LimitError: The limits are missing or contradictory, no map can meet them, or none can fail them.
            RegionError: The region is malformed, outside the image, or outside what the model saw.
            EmptyMapError: The map is zero everywhere.
        """
        __tracebackhide__ = True
        limits = limits_for(metric_named(metric), at_least, at_most, IN_REGION)
        given = as_region(region)
        self._judge("attention in box", given, self._measured(given, metric, limits))

    def assert_not_in_region(self, region: Any, *, metric: str = "lift", at_most: float | None = None) -> None:
        """Fail if the attention lies in a region that must not matter: a watermark, a tag, a border.

        The region is widened by one cell of the map, into which evidence from a small mark spreads.

        Args:
            region: A `Box`, or (x1, y1, x2, y2) in image pixels.
            metric: "lift" (default, at most 1.0: no more than chance), "skill", "pointing" (default 0) or "energy".
            at_most: The greatest value that passes.

        Raises:
            AttentionError: The value is above the limit.
            LimitError: The limit is missing, no map can meet it, or none can fail it.
            RegionError: The region is malformed, outside the image, or outside what the model saw.
            EmptyMapError: The map is zero everywhere.
        """
        __tracebackhide__ = True
        limits = limits_for(metric_named(metric), None, at_most, NOT_IN_REGION)
        given = as_region(region)
        self._judge("attention not in box", given, self._measured(given, metric, limits, widen=True))

    def _measured(self, region: Region, metric: str, limits: Limits | None, *, widen: bool = False) -> Measurement:
        found = metric_named(metric)
        self._require_something()
        measurement = measure(self.map, self.geometry, region, found, limits, widen=widen)
        if self._observer is not None:
            self._observer(self, region, measurement)
        return measurement

    def _judge(self, check: str, region: Region, measurement: Measurement) -> None:
        __tracebackhide__ = True
        if not measurement.passed:
            evidence = self.evidence(check, (region,), (measurement,))
            raise AttentionError(message(evidence), evidence)

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
            layer_calls=self.layer_calls,
            method=self.method,
            explained=self.explained,
            regions=regions,
            measurements=measurements,
        )

    def _require_something(self) -> None:
        if float(self.map.max()) > 0:
            return
        what = self.explained
        target = what.name if what.target is None else f"target {what.target}"
        raise EmptyMapError(
            f"no positive evidence for {target} at {self.layer} ({self.method}): the map is zero everywhere, so "
            "there is nothing to measure. Another layer or method may show some; a score that only falls with this "
            "layer's activations has none",
            self.evidence(),
        )


def attended_boxes(cam: npt.NDArray[np.float32], geometry: Geometry, threshold: float = 0.5) -> list[Box]:
    """Return the boxes, in image pixels, around what reaches a share of the map's maximum; the largest first."""
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold is {threshold}; accepted: a share of the map's maximum in (0, 1]")
    width, height = geometry.input_size
    raised = upsample(cam, (height, width))
    rectangles = drawing.contour_rectangles(raised >= threshold * raised.max())
    return [Box(*geometry.rectangle_to_image(rectangle)) for rectangle in rectangles]


def attend(
    model: nn.Module,
    img: Any,
    *,
    layer: LayerLike = None,
    method: str = "gradcam++",
    target: Target = None,
    preprocess: Preprocess | None = None,
    class_names: Sequence[str] | None = None,
    device: str | torch.device | None = None,
) -> Attention:
    """Compute the class activation map of one image, in one forward pass.

    The model comes back as it was, also when this raises: hooks, training flags, `requires_grad`, `.grad`, buffers,
    grad mode and random state.

    Args:
        model: The classifier, an `nn.Module`; it is run in eval mode.
        img: A path, a PIL image, a uint8 array (H, W, 3) or (H, W), or a float tensor (C, H, W) or (1, C, H, W) that
            is model input already.
        layer: A dotted name as in `model.named_modules()`, a module of the model, or None for the last executed
            module whose output has spatial extent.
        method: "gradcam", "gradcam++", "hirescam", "layercam" or "xgradcam".
        target: The score to explain: a class index, a class name, a callable from the image's own part of the output
            (for a classifier its K logits) to a scalar tensor, or None for the predicted class.
        preprocess: From an RGB PIL image to a float tensor (C, H, W); needed unless `img` is a tensor.
        class_names: The K class names.
        device: Where the model is expected to be; None takes it where it is. The input is moved there.

    Returns:
        The attention.

    Raises:
        CamError: One of its kinds for each thing that can be wrong: see `pytest_cam.errors`.
    """
    __tracebackhide__ = True
    return _attend(model, [img], layer, method, target, preprocess, class_names, device)[0]


def attend_batch(
    model: nn.Module,
    images: Sequence[Any] | torch.Tensor,
    *,
    layer: LayerLike = None,
    method: str = "gradcam++",
    target: Targets = None,
    preprocess: Preprocess | None = None,
    class_names: Sequence[str] | None = None,
    device: str | torch.device | None = None,
) -> list[Attention]:
    """Compute the class activation maps of B images in one forward pass.

    Args:
        model: As for `attend`.
        images: A tensor (B, C, H, W) of model inputs, or a sequence of B images, each as for `attend`, whose inputs
            have one shape.
        layer: As for `attend`.
        method: As for `attend`.
        target: One for all images, or a list of one each.
        preprocess: As for `attend`.
        class_names: As for `attend`.
        device: As for `attend`.

    Returns:
        B attentions, in the order of the images.

    Raises:
        TargetError: The number of targets is not that of the images.
        ImageError: There are no images, or their inputs differ in shape.
        CamError: As for `attend`.
    """
    __tracebackhide__ = True
    if isinstance(images, torch.Tensor) and images.ndim != 4:
        raise ImageError(
            f"images is a tensor of shape {tuple(images.shape)}; accepted: (B, C, H, W), or a list of images"
        )
    if not isinstance(images, (Sequence, torch.Tensor)) or isinstance(images, str):
        raise ImageError(f"images is a {type(images).__name__}; accepted: a tensor (B, C, H, W), or a list of images")
    if len(images) == 0:
        raise ImageError("there are no images in the batch")
    return _attend(model, list(images), layer, method, target, preprocess, class_names, device)


def _attend(
    model: nn.Module,
    images: list[Any],
    layer: LayerLike,
    method: str,
    targets: Targets,
    preprocess: Preprocess | None,
    class_names: Sequence[str] | None,
    device: str | torch.device | None,
) -> list[Attention]:
    compute = method_named(method)
    with torch.inference_mode(False), ModelState(model) as state:
        _require_device(state.device, device)
        prepared = [prepare(img, preprocess) for img in images]
        seen = trace(model, _stacked(prepared), layer, targets, class_names, state=state)
        maps = compute(seen.activations, seen.gradients).to("cpu", torch.float32).numpy()
    return [_attention(item, maps[index], seen, index, method) for index, item in enumerate(prepared)]


def _stacked(prepared: list[PreparedImage]) -> torch.Tensor:
    shapes = [tuple(item.tensor.shape) for item in prepared]
    if len(set(shapes)) > 1:
        raise ImageError(f"the inputs of a batch must have one shape, and these have {sorted(set(shapes))}")
    return torch.stack([item.tensor.detach() for item in prepared])


def _attention(item: PreparedImage, cam: npt.NDArray[np.float32], seen: Trace, index: int, method: str) -> Attention:
    if not np.isfinite(cam).all():
        raise NonFiniteError(
            f"the {method} map at layer {seen.layer} is not finite although activations and gradients are: their "
            "products leave the range of float32. Scale the score"
        )
    cam.flags.writeable = False
    explained = seen.explained[index]
    return Attention(cam, seen.layer, seen.calls, method, explained, item.source, item.geometry)


def _require_device(actual: torch.device, wanted: str | torch.device | None) -> None:
    if wanted is None:
        return
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise ModelError(f"device is {wanted!r}; accepted: 'cpu', 'cuda', 'cuda:0', 'mps', ... ({error})") from None
    if device.type != actual.type or (device.index is not None and device.index != actual.index):
        raise ModelError(
            f"the model is on {actual}, and device is {device}: move it there first, with model.to({str(device)!r}). "
            "In a test, take the `cam_device` fixture in the fixture that makes the model"
        )
