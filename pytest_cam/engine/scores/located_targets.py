"""Ready-made targets that lie somewhere in the image: of a segmenter and of a detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torchvision.ops import box_iou

from pytest_cam.engine.scores.ready_targets import ReadyTarget, as_index, label_of, require_class
from pytest_cam.errors import OutputError, TargetError, is_ours, kind_of
from pytest_cam.images.geometry import in_whole_pixels
from pytest_cam.images.regions import Region, as_region

if TYPE_CHECKING:
    from pytest_cam.images.geometry import Geometry

__tracebackhide__ = is_ours

# From how much overlap on a detection is taken for that of the object in the box, as in the PASCAL VOC challenge.
_SAME_OBJECT = 0.5


@dataclass(frozen=True, eq=False)
class SegmentationMask(ReadyTarget):
    """The mean score of one class over the pixels of a mask: why these pixels are of that class.

    Where no layer is named, the last one before the logits is taken whose cells the model still mixes: the map of the
    logits is the mask itself. One of the backbone says what the whole head looks at.

    Source: Vinogradova et al., "Towards Interpretable Semantic Segmentation via Gradient-weighted Class Activation
    Mapping", AAAI 2020, arXiv 2002.11434; there it is the sum, whose Grad-CAM is the same up to a factor.

    Args:
        class_: The class index or name.
        mask: Which pixels: an array or tensor (H, W) in pixels of the image, where what is not 0 counts, or a region
            of it, such as a `Box`; None for those where the class is the arg-max.
    """

    reads_row: ClassVar[bool] = False
    class_: int | str
    mask: Any = None

    def named(self, class_names: Sequence[str] | None) -> str:
        """Return what it is called in messages."""
        where = "where it is predicted" if self.mask is None else "in the mask"
        return f"mean logit of {label_of(self.class_, class_names)} {where}"

    def with_names(self, class_names: Sequence[str] | None) -> SegmentationMask:
        """Return the target with its class as an index."""
        return replace(self, class_=as_index(self.class_, class_names))

    def on_input(self, geometry: Geometry) -> SegmentationMask:
        """Return the target with its mask carried to the pixels of the input."""
        if self.mask is None:
            return self
        if isinstance(self.mask, Region) or np.ndim(self.mask) == 1:
            region = as_region(self.mask)
            region.visible_share(geometry)  # which says so where it lies outside the image
            return replace(self, mask=region.coverage(geometry))
        return replace(self, mask=_mask_on_input(_mask_array(self.mask), geometry))

    def for_versions(self, part: Any) -> SegmentationMask:
        """Return the target with the mask that was predicted: where a version hides an object, that is what counts."""
        if self.mask is not None:
            return self
        return replace(self, mask=self._weights(_class_maps(part)).cpu().numpy())

    def mirrored(self, width: int) -> SegmentationMask:
        """Return the target with its mask mirrored."""
        return self if self.mask is None else replace(self, mask=np.asarray(self.mask)[:, ::-1].copy())

    def __call__(self, part: Any) -> torch.Tensor:
        """Return the mean score, from logits (K, h, w), whose grid may be coarser than that of the input."""
        logits = _class_maps(part)
        chosen = logits[require_class(as_index(self.class_, None), logits.shape[0])]
        weights = self._weights(logits).to(chosen)
        return (chosen * weights).sum() / weights.sum()

    def _weights(self, logits: torch.Tensor) -> torch.Tensor:
        if self.mask is None:
            winners = logits.argmax(dim=0)
            weights = winners.eq(as_index(self.class_, None))
            if not weights.any():
                present = ", ".join(map(str, sorted(set(winners.flatten().tolist()))))
                raise TargetError(
                    f"no pixel is predicted as class {self.class_}; the classes that are: {present}. Say with mask= "
                    "which pixels to explain"
                )
            return weights
        # How much of each cell of the model's grid the mask covers.
        mask = torch.as_tensor(np.asarray(self.mask, dtype=np.float32))
        weights = torch.nn.functional.adaptive_avg_pool2d(mask[None, None], (logits.shape[1], logits.shape[2]))[0, 0]
        if not weights.any():
            raise TargetError("the mask is empty in what the model sees; it must hold at least one pixel of it")
        return weights


@dataclass(frozen=True, eq=False)
class DetectionBox(ReadyTarget):
    """The score of the detection that overlaps a box most: why this object was found.

    It reads what torchvision's detectors return, {"boxes": (N, 4), "scores": (N,), "labels": (N,)}. Name a layer of the
    backbone: what comes after it serves thousands of candidate boxes at once. Detectors of torchvision resize their
    input once more and pad it to a multiple of 32 pixels; the map is taken to cover the input without that padding, and
    is exact where there is none.

    Args:
        box: A `Box`, or (x1, y1, x2, y2), in pixels of the image.
        label: The class index or name of the object; None for any.
    """

    reads_row: ClassVar[bool] = False
    is_in_all_versions: ClassVar[bool] = False
    box: Any
    label: int | str | None = None
    # The way from the image to the input; None as long as they are the same.
    geometry: Geometry | None = field(default=None, repr=False)
    # The width of the input where that is mirrored.
    mirrored_in: int | None = field(default=None, repr=False)
    # Whether an object that is not found has a score of zero.
    may_be_lost: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        as_region(self.box)

    def named(self, class_names: Sequence[str] | None) -> str:
        """Return what it is called in messages."""
        what = "" if self.label is None else f" of {label_of(self.label, class_names)}"
        return f"score of the detection{what} at {as_region(self.box)}"

    def with_names(self, class_names: Sequence[str] | None) -> DetectionBox:
        """Return the target with its label as an index."""
        return self if self.label is None else replace(self, label=as_index(self.label, class_names))

    def on_input(self, geometry: Geometry) -> DetectionBox:
        """Return the target with the way from the image to the input."""
        return replace(self, geometry=geometry)

    def for_versions(self, part: Any) -> DetectionBox:
        """Return the target with a score of zero where the object is not found any more, as in D-RISE.

        Source: Petsiuk et al., "Black-box Explanation of Object Detectors via Saliency Maps", CVPR 2021, arXiv
        2006.03204, equation 4.
        """
        return replace(self, may_be_lost=True)

    def mirrored(self, width: int) -> DetectionBox:
        """Return the target for a mirrored input."""
        return replace(self, mirrored_in=width)

    def __call__(self, part: Any) -> torch.Tensor:
        """Return the score of the detection, from the image's boxes, scores and labels."""
        boxes, scores, labels = _detections(part)
        if self.label is not None:
            kept = labels == as_index(self.label, None)
            if len(labels) and not kept.any() and not self.may_be_lost:
                raise TargetError(
                    f"the model detects nothing of label {self.label} in this image; the labels of its {len(labels)} "
                    f"detections: {', '.join(map(str, sorted(set(labels.tolist()))))}"
                )
            boxes, scores, labels = boxes[kept], scores[kept], labels[kept]
        if len(scores) == 0:
            if self.may_be_lost:
                return scores.new_zeros(())
            raise TargetError(
                "the model detects nothing in this image, so there is no score to explain; a lower score threshold of "
                "the model may let something through"
            )
        overlaps = box_iou(self._on_input(boxes), boxes)[0]
        best = int(overlaps.argmax())
        if not overlaps[best] >= _SAME_OBJECT:
            if self.may_be_lost:
                return scores.new_zeros(())
            raise TargetError(self._missed(boxes, scores, labels, overlaps))
        return scores[best]

    def _on_input(self, boxes: torch.Tensor) -> torch.Tensor:
        corners = np.concatenate(as_region(self.box).outlines())
        rectangle = (*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist())
        if self.geometry is not None:
            rectangle = self.geometry.rectangle_to_input(rectangle)
        return boxes.new_tensor([self._turned(rectangle)])

    def _turned(self, rectangle: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        left, top, right, bottom = rectangle
        return (
            rectangle if self.mirrored_in is None else (self.mirrored_in - right, top, self.mirrored_in - left, bottom)
        )

    def _missed(self, boxes: torch.Tensor, scores: torch.Tensor, labels: torch.Tensor, overlaps: torch.Tensor) -> str:
        given = self._on_input(boxes)
        apart = ((boxes[:, :2] + boxes[:, 2:]) - (given[:, :2] + given[:, 2:])).norm(dim=1)
        nearest = int(overlaps.argmax() if overlaps.max() > 0 else apart.argmin())
        left, top, right, bottom = boxes[nearest].tolist()
        rectangle = self._turned((left, top, right, bottom))
        if self.geometry is not None:
            rectangle = self.geometry.rectangle_to_image(rectangle)
        return (
            f"no detection overlaps {as_region(self.box)} with an IoU of {_SAME_OBJECT:g} or more; the nearest is "
            f"{in_whole_pixels(rectangle)}, label {int(labels[nearest])}, score {float(scores[nearest].detach()):.2f}, "
            f"IoU {float(overlaps[nearest]):.2f}"
        )


def _class_maps(part: Any) -> torch.Tensor:
    """Return the logits (K, h, w) in an image's own part of a segmenter's output."""
    entries = part if isinstance(part, Mapping) else {"out": part, "logits": getattr(part, "logits", None)}
    maps = {key: value for key, value in entries.items() if isinstance(value, torch.Tensor) and value.ndim == 3}
    for key in ("out", "logits"):
        if key in maps:
            return maps[key]
    if len(maps) == 1:
        return next(iter(maps.values()))
    listed = ", ".join(f"{key!r} {tuple(value.shape)}" for key, value in maps.items()) or "none"
    raise OutputError(
        f"SegmentationMask needs one tensor (B, K, h, w) in the model's output, and found {listed}; say which with "
        "output="
    )


def _detections(part: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    if not isinstance(part, Mapping) or not {"boxes", "scores", "labels"} <= part.keys():
        given = f"keys {', '.join(map(repr, part))}" if isinstance(part, Mapping) else kind_of(part)
        raise OutputError(
            f"DetectionBox needs 'boxes', 'scores' and 'labels' for each image, and the model gives {given}; pass "
            "output=<callable> that returns them, or target=<callable>"
        )
    return part["boxes"].detach().float(), part["scores"], part["labels"]


def _mask_array(mask: Any) -> np.ndarray[Any, np.dtype[np.bool_]]:
    array: np.ndarray[Any, np.dtype[np.bool_]] = (
        np.asarray(mask.detach().cpu() if isinstance(mask, torch.Tensor) else mask) != 0
    )
    if array.ndim != 2:
        raise TargetError(f"the mask is {array.shape}; accepted: (H, W), or a region of the image")
    if not array.any():
        raise TargetError("the mask is empty; it must hold at least one pixel")
    return array


def _mask_on_input(
    mask: np.ndarray[Any, np.dtype[np.bool_]], geometry: Geometry
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    width, height = geometry.image_size
    if mask.shape != (height, width):
        raise TargetError(f"the mask is {mask.shape}, and the image is {(height, width)}; accepted: a mask of its size")
    columns, rows = np.meshgrid(*(np.arange(length) + 0.5 for length in geometry.input_size))
    places = np.floor(geometry.to_image(np.stack([columns.ravel(), rows.ravel()], axis=1))).astype(int)
    inside = ((places >= 0) & (places < (width, height))).all(axis=1)
    found = np.zeros(len(places), dtype=bool)
    found[inside] = mask[places[inside, 1], places[inside, 0]]
    return found.reshape(geometry.input_size[::-1])
