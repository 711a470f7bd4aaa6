"""The same image with part of it hidden, ready for the model."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from pytest_cam.errors import PreprocessError, VacuousError, is_ours, percent_over
from pytest_cam.images.applying import apply
from pytest_cam.images.filling import filled
from pytest_cam.images.fills import Fill
from pytest_cam.images.geometry import Geometry, Preprocess
from pytest_cam.images.loading import SourceImage
from pytest_cam.images.preprocessing import PreparedImage
from pytest_cam.images.regions import Box, Region, require_visible
from pytest_cam.randomness import RandomState

__tracebackhide__ = is_ours

# With less than this left in its place, hiding or keeping says nothing of the region.
_LEAST_REST = 0.1
_ROUNDING = 1e-6


def require_hideable(region: Region, geometry: Geometry) -> float:
    """Return the share of what the model saw that a region covers, in (0, 0.9].

    Raises:
        RegionError: The region is empty, outside the image, or mostly outside what the model saw.
        VacuousError: It covers more than nine tenths of what the model saw.
    """
    require_visible(region, geometry)
    shown = float(Box(*geometry.seen).coverage(geometry).sum())
    covered = float(region.coverage(geometry).sum()) / shown
    if covered > 1 - _LEAST_REST:
        raise VacuousError(
            f"vacuous: the region covers {percent_over(covered, 1 - _LEAST_REST)} of what the model sees. Without it "
            "nothing is left to predict from, and with it nothing is missing, whatever the model does; accepted: "
            f"at most {1 - _LEAST_REST:.0%}"
        )
    return covered


def hidden(
    prepared: PreparedImage, region: Region, fill: Fill, preprocess: Preprocess | None, *, keep: bool = False
) -> PreparedImage:
    """Return an image with a region hidden, or with all but a region hidden.

    An image is changed in its own pixels and goes through the preprocess again; a tensor is changed itself.

    Args:
        prepared: The image as it is.
        region: The region, in image pixels.
        fill: What stands in place of what is hidden: see `filled`.
        preprocess: What made the input.
        keep: Whether the region is all that is left.

    Raises:
        PreprocessError: The preprocess gives an input of another shape.
        VacuousError: The model's input is the same as before.
        SettingError: There is no such fill.
    """
    source = prepared.source
    share = region.coverage(Geometry.identity(source.size))
    share = 1 - share if keep else share
    if isinstance(source.pixels, torch.Tensor):
        tensor = _tensor_filled(source.pixels, share, fill)
        changed = SourceImage(source.name, source.size, tensor, source.unmapped)
    else:
        picture = Image.fromarray(filled(np.array(source.pixels, dtype=np.uint8), share, fill))
        changed = SourceImage(source.name, source.size, picture)
        with RandomState():
            tensor = apply(preprocess, picture)  # type: ignore[arg-type]  # what is no tensor was preprocessed before
    if tensor.shape != prepared.tensor.shape:
        raise PreprocessError(
            f"the preprocess made an input {tuple(prepared.tensor.shape)} of {source.name}, and one "
            f"{tuple(tensor.shape)} of the same image with part of it hidden: it depends on the content, and the two "
            "cannot be compared"
        )
    if _is_alike(tensor, prepared.tensor):
        raise VacuousError(
            f"vacuous: hiding {'all but the region' if keep else 'the region'} by {fill!r} leaves the model's input as "
            "it is: there is nothing in there that differs from what would stand in its place. Take another fill or "
            "another image"
        )
    return PreparedImage(changed, tensor, prepared.geometry)


def _is_alike(tensor: torch.Tensor, other: torch.Tensor) -> bool:
    # What is continued over an even ground, or blurred in one, differs from it by a rounding.
    return bool(((tensor - other).abs() <= _ROUNDING * other.abs().max()).all())


def _tensor_filled(tensor: torch.Tensor, share: npt.NDArray[np.float64], fill: Fill) -> torch.Tensor:
    values = tensor.detach().to("cpu", torch.float32).permute(1, 2, 0).numpy()
    changed = torch.from_numpy(filled(values, share, fill)).permute(2, 0, 1).to(tensor)
    # Of what is left not a bit changes, in double precision either.
    return torch.where(torch.from_numpy(share > 0).to(tensor.device), changed, tensor.detach())
