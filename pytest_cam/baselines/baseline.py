"""A baseline: a map with few digits, and all that says what it is of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
import numpy.typing as npt
from PIL import Image

from pytest_cam.attention import Attention
from pytest_cam.baselines.model_identity import ModelIdentity
from pytest_cam.images.geometry import Geometry, size_said
from pytest_cam.images.loading import RGB
from pytest_cam.verdicts.message import class_said

# Means over 8 x 8 parts of the image: another photo differs by dozens, another decoder or precision by less than two.
_THUMBNAIL = (8, 8)
_SAME_GREY = 3
_SAME_CORNER = 0.5
_DIGITS = 4


@dataclass(frozen=True, eq=False)
class Baseline:
    """A map and what it is of.

    Attributes:
        map: The map divided by its maximum, on the layer's own grid, (h, w) float64 in [0, 1], of four digits.
        maximum: The map's maximum.
        method: The CAM method.
        layer: The layer's dotted name.
        layer_call: Which of the layer's executions is explained, from 1.
        target: The explained class index, or None for a callable.
        target_name: What is explained, in words.
        geometry: Between image and input.
        image_name: The image's file name, or what kind of object it was.
        image_range: The least and the greatest value of an image that is model input, else None.
        thumbnail: The image's mean colours, (8, 24) uint8, three numbers a part.
        model: Which model the map is of.
        test: Which test it belongs to.
        variant: Which platform it is for, or None.
        versions: What made it.
    """

    map: npt.NDArray[np.float64]
    maximum: float
    method: str
    layer: str
    layer_call: int
    target: int | None
    target_name: str
    geometry: Geometry
    image_name: str
    image_range: tuple[float, float] | None
    thumbnail: npt.NDArray[np.uint8]
    model: ModelIdentity
    test: str
    variant: str | None
    versions: dict[str, str]

    @classmethod
    def of(
        cls, attention: Attention, model: ModelIdentity, test: str, variant: str | None, versions: dict[str, str]
    ) -> Baseline:
        """Return the baseline that an attention makes."""
        maximum = float(attention.map.max())
        image = attention.image
        return cls(
            map=rounded(attention.map / np.float64(maximum)),
            maximum=float(f"{maximum:.{_DIGITS}g}"),
            method=attention.method,
            layer=attention.layer,
            layer_call=attention.layer_call,
            target=attention.explained.target,
            target_name=attention.explained.name,
            geometry=_rounded_geometry(attention.geometry),
            image_name=PurePath(image.name.replace("\\", "/")).name,
            image_range=_range(attention),
            thumbnail=_thumbnail(image.rgb()),
            model=model,
            test=test,
            variant=variant,
            versions=versions,
        )

    def mismatches(self, now: Baseline) -> Iterator[str]:
        """Return, in words, each thing that makes this a baseline of something else than a map of now."""
        for name, kept, found in (
            ("method", self.method, now.method),
            ("layer", self.layer, now.layer),
            ("run of the layer", self.layer_call, now.layer_call),
            ("grid", size_said(self.map.shape), size_said(now.map.shape)),
            ("target", class_said(self.target, self.target_name), class_said(now.target, now.target_name)),
            ("image size", size_said(self.geometry.image_size), size_said(now.geometry.image_size)),
            ("input size", size_said(self.geometry.input_size), size_said(now.geometry.input_size)),
        ):
            same = kept == found or (name == "target" and self.target is not None and self.target == now.target)
            if not same:
                yield f"{name}: {kept} in the baseline, {found} now"
        if not _same_sizes(self, now):
            return
        shift = _shift(self.geometry, now.geometry)
        if shift > _SAME_CORNER:
            yield f"geometry: the preprocess puts the image's corners {shift:.1f} input pixels from where they were"
        apart = int(np.abs(self.thumbnail.astype(int) - now.thumbnail.astype(int)).max())
        if apart > _SAME_GREY:
            yield (
                f"image: {self.image_name} in the baseline, {now.image_name} now, whose mean colours differ by up to "
                f"{apart} of 255"
            )
        elif not _same_range(self.image_range, now.image_range):
            yield f"image: values {_span(self.image_range)} in the baseline, {_span(now.image_range)} now"


def rounded(cam: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return numbers in [0, 1] with four digits, and no more than six places."""
    values = np.asarray(cam, dtype=np.float64)
    digits = [round(float(f"{value:.{_DIGITS}g}"), _DIGITS + 2) for value in values.ravel().tolist()]
    return np.array(digits, dtype=np.float64).reshape(values.shape)


def _rounded_geometry(geometry: Geometry) -> Geometry:
    # What a fit leaves beyond four places is noise; and there is no minus zero.
    first, second = (tuple(round(value, 4) + 0.0 for value in row) for row in geometry.matrix)
    return Geometry(geometry.image_size, geometry.input_size, (first, second))  # type: ignore[arg-type]  # rows of three


def _range(attention: Attention) -> tuple[float, float] | None:
    image = attention.image
    if not image.is_input:
        return None
    low, high = (float(f"{float(value):.3g}") for value in image.pixels.aminmax())  # type: ignore[union-attr]  # a tensor
    return low, high


def _thumbnail(picture: RGB) -> npt.NDArray[np.uint8]:
    small = Image.fromarray(picture).resize(_THUMBNAIL, Image.Resampling.BOX)
    return np.array(small, dtype=np.uint8).reshape(_THUMBNAIL[1], -1)


def _same_sizes(one: Baseline, other: Baseline) -> bool:
    return (one.geometry.image_size, one.geometry.input_size) == (other.geometry.image_size, other.geometry.input_size)


def _shift(one: Geometry, other: Geometry) -> float:
    width, height = one.image_size
    corners = [(0, 0), (width, 0), (0, height), (width, height)]
    return float(np.abs(one.to_input(corners) - other.to_input(corners)).max())


def _same_range(one: tuple[float, float] | None, other: tuple[float, float] | None) -> bool:
    if one is None or other is None:
        return one == other
    widest = max(high - low for low, high in (one, other)) or max(map(abs, (*one, *other)))
    return all(abs(first - second) <= 0.02 * widest for first, second in zip(one, other, strict=True))


def _span(values: tuple[float, float] | None) -> str:
    return "of a picture" if values is None else f"from {values[0]:g} to {values[1]:g}"
