"""NumPy arrays in what a callable returns, as tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pytest_cam.engine.outputs import with_each

# Numbers that are longer than torch's longest, real and complex, and what they become: by NumPy's letters for them.
_LONGEST = {"g": "d", "G": "D"}


def as_tensors(output: Any) -> Any:
    """Return an output with each array of numbers in it as a tensor."""
    return with_each(output, lambda held: held if isinstance(held, torch.Tensor) else _as_tensor(held))


def _as_tensor(array: npt.NDArray[Any]) -> Any:
    if array.dtype.kind not in "biufc":
        return array  # no numbers: the names of classes, perhaps
    kind = _LONGEST.get(array.dtype.char, array.dtype.newbyteorder("="))
    native = np.ascontiguousarray(array.astype(kind, copy=False)).reshape(array.shape)
    # torch warns of arrays that cannot be written to, as those of JAX are.
    return torch.from_numpy(native if native.flags.writeable else native.copy())
