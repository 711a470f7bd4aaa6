"""What is kept of one model in one state: its inputs, and what passes found for each of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, NamedTuple, TypeAlias

import torch

from pytest_cam.engine.cache.fingerprint import Fingerprint
from pytest_cam.engine.model.alive import Idleness

# How many bytes the objects around one thing that was found take, beside its numbers: measured, and rounded up.
_AROUND = 2048
# How many bytes of an input are looked at first: few, since each lies in another place of the memory, and enough to
# tell images of one size apart whose background is the same.
_LOOKED_AT = 64

_clock = count()
Bits: TypeAlias = Any  # a tensor, or memory


class Content(NamedTuple):
    """What an input holds, to the bit.

    Attributes:
        bits: Its memory.
        alike: Its shape, type and device, and a few of its bytes: other than those of most other inputs.
    """

    bits: Bits
    alike: Hashable

    @classmethod
    def of(cls, inputs: torch.Tensor) -> Content:
        """Return what a tensor holds; its memory is not copied."""
        bits = _bits(inputs)
        # An odd step comes by each byte of a number; in the last one of pixels there is often nothing.
        few = bits[:: len(bits) // _LOOKED_AT | 1]
        return cls(bits, (inputs.shape, inputs.dtype, inputs.device, *few.tolist()))


@dataclass(eq=False)
class Entry:
    """An input of a model, and what was found for it.

    Attributes:
        content: What the input holds, in memory of its own.
        test: The test in which it was made: there the weights were as the pass found them.
        found: What was found, by what it depends on.
        size: How many bytes all of this takes.
        used: When it was last used.
    """

    content: Content
    test: int
    found: dict[Hashable, Any] = field(default_factory=dict)
    size: int = 0
    used: int = 0


@dataclass(eq=False)
class Shelf:
    """What is kept of one model in one state.

    Attributes:
        fingerprint: The state.
        weights: What the weights hold, to the bit.
        test: The last test in which they were compared with that.
        changed: In how many states in a row, this one included, the last pass has changed the model.
        idleness: When the model was last explained, counted in tests.
        size: How many bytes the inputs and all that was found for them take.
    """

    fingerprint: Fingerprint
    weights: list[int]
    test: int
    changed: int
    idleness: Idleness = field(default_factory=Idleness)
    size: int = 0
    _alike: dict[Hashable, list[Entry]] = field(default_factory=dict)
    _by_use: OrderedDict[Entry, None] = field(default_factory=OrderedDict)  # the last used one stands last

    def entry_of(self, content: Content) -> Entry | None:
        """Return the entry of an input, or None."""
        return next((each for each in self._alike.get(content.alike, ()) if _are_equal(each.content, content)), None)

    def note_use(self, entry: Entry) -> None:
        """Note that an entry is used; one that had to go is used by nobody else."""
        if entry in self._by_use:
            entry.used = next(_clock)
            self._by_use.move_to_end(entry)

    def add(self, content: Content, test: int) -> Entry:
        """Return a new entry for an input, of which a copy is kept."""
        entry = Entry(Content(_copied(content.bits), content.alike), test, size=content.bits.nbytes)
        self._alike.setdefault(content.alike, []).append(entry)
        self._by_use[entry] = None
        self.size += entry.size
        return entry

    def holds(self, entry: Entry) -> bool:
        """Return whether an entry is still kept."""
        return entry in self._by_use

    def put(self, entry: Entry, key: Hashable, found: Any, size: int) -> None:
        """Keep what was found for an entry, which takes so many bytes, and note that the entry is used."""
        entry.found[key] = found
        entry.size += size + _AROUND
        self.size += size + _AROUND
        self.note_use(entry)

    def oldest(self) -> Entry:
        """Return the entry that was not used for longest; there has to be one."""
        return next(iter(self._by_use))

    def drop_oldest(self) -> None:
        """Let go of the entry that was not used for longest."""
        entry, _ = self._by_use.popitem(last=False)
        self.size -= entry.size
        alike = self._alike[entry.content.alike]
        alike.remove(entry)
        if not alike:
            del self._alike[entry.content.alike]


def _bits(inputs: torch.Tensor) -> Bits:
    """Return the memory of a tensor: as bytes on the CPU, where they are compared at once, else as whole numbers."""
    fixed = inputs.detach().resolve_neg()
    if fixed.device.type != "cpu":
        memory = fixed.contiguous().reshape(-1).view(torch.uint8)
        return memory if memory.numel() % 8 else memory.view(torch.int64)
    try:
        return fixed.numpy().data.cast("B")
    except TypeError:  # values that NumPy does not know, or that do not lie one after the other
        return fixed.contiguous().reshape(-1).view(torch.uint8).numpy().data


def _copied(bits: Bits) -> Bits:
    return bits.clone() if isinstance(bits, torch.Tensor) else bytes(bits)


def _are_equal(kept: Content, content: Content) -> bool:
    # Of two of one size this is equality; it compares memory without making a copy first.
    of_tensor = isinstance(kept.bits, torch.Tensor)
    return torch.equal(kept.bits, content.bits) if of_tensor else bool(kept.bits.startswith(content.bits))
