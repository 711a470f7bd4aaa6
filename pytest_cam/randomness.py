"""The state of the random generators of torch, NumPy and Python, and putting it back."""

from __future__ import annotations

import pickle
import random

import numpy as np
import torch


class RandomState:
    """What the global random generators would give next, from when this is made.

    Used as a `with` block, it puts that back when the block ends.
    """

    def __init__(self, device: torch.device | None = None) -> None:
        """Note the state.

        Args:
            device: A device whose generator is noted beside the CPU's.
        """
        self._device = device
        self._cpu = torch.get_rng_state()
        self._on_device = None if device is None else _state_on(device)
        self._python = random.getstate()
        self._numpy = np.random.get_state(legacy=False)

    def put_back(self) -> None:
        """Make the generators give again what they would have given."""
        torch.set_rng_state(self._cpu)
        if self._device is not None and self._on_device is not None:
            _set_state_on(self._device, self._on_device)
        random.setstate(self._python)
        np.random.set_state(self._numpy)

    def is_current(self) -> bool:
        """Return whether no generator has been drawn from since."""
        return self._frozen() == RandomState(self._device)._frozen()

    def _frozen(self) -> bytes:
        on_device = None if self._on_device is None else self._on_device.numpy()
        return pickle.dumps((self._cpu.numpy(), on_device, self._python, self._numpy))

    def __enter__(self) -> RandomState:
        return self

    def __exit__(self, *_: object) -> None:
        self.put_back()


def _state_on(device: torch.device) -> torch.Tensor | None:
    if device.type == "cuda":
        return torch.cuda.get_rng_state(device)
    return torch.mps.get_rng_state() if device.type == "mps" else None


def _set_state_on(device: torch.device, state: torch.Tensor) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.mps.set_rng_state(state)
