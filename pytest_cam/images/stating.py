"""The geometry that a preprocess states itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_cam.errors import GeometryError, is_ours, kind_of
from pytest_cam.images.geometry import Geometry, size_said

__tracebackhide__ = is_ours

_ACCEPTED = (
    "accepted: two rows of three finite numbers, from image to input, that scale, flip, shift or turn by right angles; "
    "or a Geometry"
)


def stated_geometry(stated: Any, name: str, image_size: tuple[int, int], input_size: tuple[int, int]) -> Geometry:
    """Ask a preprocess for its geometry, and check the answer.

    Args:
        stated: The preprocess's `cam_geometry`: from (width, height) of the image to an affine 2 x 3 matrix that
            carries image points (x, y, 1) to input points, as a nested sequence, array or tensor; or to a `Geometry`.
            Coordinates are continuous: the centre of the first pixel is (0.5, 0.5).
        name: What the preprocess is called.
        image_size: (width, height) of the image.
        input_size: (width, height) of the input that was made of it.

    Returns:
        The geometry.

    Raises:
        GeometryError: It cannot be called, it fails, or its answer is malformed or belongs to other sizes.
    """
    where = f"cam_geometry of the preprocess {name}"
    if not callable(stated):
        raise GeometryError(f"{where} is {kind_of(stated)}; accepted: a method cam_geometry(size)")
    try:
        answer = stated(image_size)
    except Exception as error:
        raise GeometryError(f"{where} fails for {image_size}: {type(error).__name__}: {error}") from error
    if isinstance(answer, Geometry):
        for which, said, true in (
            ("an image", answer.image_size, image_size),
            ("an input", answer.input_size, input_size),
        ):
            if tuple(said) != true:
                raise GeometryError(f"{where} says {which} of {size_said(said)}, and it is {size_said(true)}")
        answer = answer.matrix
    first, second = _matrix(answer, where).tolist()
    return Geometry(image_size, input_size, (tuple(first), tuple(second)))


def _matrix(answer: Any, where: str) -> npt.NDArray[np.float64]:
    rows = answer.tolist() if hasattr(answer, "tolist") else answer
    try:
        matrix: npt.NDArray[np.float64] = np.array(rows, dtype=np.float64)
    except (TypeError, ValueError):
        raise GeometryError(f"{where} returned {kind_of(answer)}; {_ACCEPTED}") from None
    if matrix.shape != (2, 3):
        kind = f"an array of shape {matrix.shape}" if matrix.ndim else kind_of(answer)
        raise GeometryError(f"{where} returned {kind}; {_ACCEPTED}")
    linear = np.abs(matrix[:, :2])
    # What is left of a right angle's cosine is no shear.
    matrix[:, :2][linear < 1e-9 * linear.max()] = 0.0
    straight, turned = matrix[[0, 1], [0, 1]], matrix[[0, 1], [1, 0]]
    is_aligned = (straight.all() and not turned.any()) or (turned.all() and not straight.any())
    if not np.isfinite(matrix).all() or not is_aligned:
        raise GeometryError(f"{where} returned {matrix.tolist()}; {_ACCEPTED}")
    return matrix
