"""Pixels in place of those that are to be hidden: the picture blurred, its mean colour, or what is around them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pytest_cam.errors import VacuousError, is_ours
from pytest_cam.images.drawing import opencv
from pytest_cam.images.fills import Fill, require_fill

__tracebackhide__ = is_ours

Planes = npt.NDArray[np.float32]
Share = npt.NDArray[np.float64]

# The standard deviation of the blur as a share of the longer side. With a sixteenth, example_project's honest network
# still reads 6 % of the hidden digits, with an eighth none.
_BLUR = 0.25
# What fills is smooth, so it is made at a smaller size (longer side in pixels): at full size it takes minutes.
_SMOOTH_SIDE = 256
_INPAINT_SIDE = 512
_INPAINT_RADIUS = 3.0


def filled(pixels: npt.NDArray[np.float32 | np.uint8], share: Share, fill: Fill) -> npt.NDArray[np.float32 | np.uint8]:
    """Return a picture with part of it hidden.

    Args:
        pixels: (H, W, C), uint8 or float32, of any number of channels and any range.
        share: How much of each pixel is hidden, (H, W) in [0, 1].
        fill: "blur": the picture blurred so strongly that nothing in it can be recognised. "mean": the mean colour of
            the picture. "inpaint": what is around continued inwards (Bertalmio et al., CVPR 2001, in OpenCV).

    Returns:
        (H, W, C) of the same type. Pixels of which nothing is hidden are what they were, to the bit.

    Raises:
        SettingError: There is no such fill.
        VacuousError: "inpaint" has no pixel left to go by.
        DependencyError: OpenCV does not import here.
    """
    require_fill(fill)
    stand_in = _FILLS[fill](pixels.astype(np.float32), share)
    changed: npt.NDArray[np.float32 | np.uint8] = pixels.copy()
    for row in np.flatnonzero(share.any(axis=1)):  # of a photo all at once are six times its numbers in float32
        alpha = share[row, :, None].astype(np.float32)
        mixed = (1 - alpha) * pixels[row] + alpha * stand_in[row]
        if pixels.dtype == np.uint8:
            mixed = mixed.round().clip(0, 255)
        np.copyto(changed[row], mixed, where=alpha > 0, casting="unsafe")
    return changed


def blurred(pixels: Planes) -> Planes:
    """Return planes (H, W, C) blurred with a standard deviation of a quarter of their longer side."""
    cv2 = opencv()

    def blur(plane: Planes) -> Planes:
        small = _reduced(plane, _SMOOTH_SIDE)
        wide: Planes = cv2.GaussianBlur(small, (0, 0), _BLUR * max(small.shape), borderType=cv2.BORDER_REFLECT)
        return _enlarged(wide, plane)

    return _by_plane(blur, pixels)


def _mean(pixels: Planes) -> Planes:
    return np.broadcast_to(pixels.mean(axis=(0, 1), dtype=np.float64).astype(np.float32), pixels.shape)


def _inpaint(pixels: Planes, share: Share) -> Planes:
    cv2 = opencv()
    hidden = (_reduced((share > 0).astype(np.float32), _INPAINT_SIDE) > 0).astype(np.uint8)
    if hidden.all():
        raise VacuousError(
            "fill 'inpaint' continues what is around the hidden part, and nothing is around it here. Take fill='blur' "
            "or fill='mean'"
        )

    # Telea's method adds a term that is meant for values up to 255; this one has no scale.
    def inpaint(plane: Planes) -> Planes:
        small = cv2.inpaint(_reduced(plane, _INPAINT_SIDE), hidden, _INPAINT_RADIUS, cv2.INPAINT_NS)
        return _enlarged(small, plane)

    return _by_plane(inpaint, pixels)


_FILLS: dict[str, Callable[[Planes, Share], Planes]] = {
    "blur": lambda pixels, _: blurred(pixels),
    "mean": lambda pixels, _: _mean(pixels),
    "inpaint": _inpaint,
}


def _by_plane(change: Callable[[Planes], Planes], pixels: Planes) -> Planes:
    planes = [change(np.ascontiguousarray(pixels[:, :, channel])) for channel in range(pixels.shape[2])]
    return np.stack(planes, axis=2)


def _reduced(plane: Planes, longest: int) -> Planes:
    scale = longest / max(plane.shape)
    if scale >= 1:
        return plane
    cv2 = opencv()
    size = max(1, round(plane.shape[1] * scale)), max(1, round(plane.shape[0] * scale))
    small: Planes = cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
    return small


def _enlarged(small: Planes, like: Planes) -> Planes:
    if small.shape == like.shape:
        return small
    cv2 = opencv()
    large: Planes = cv2.resize(small, like.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return large
