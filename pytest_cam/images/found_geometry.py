"""How preprocesses move pixels, found once for each and each image size."""

from __future__ import annotations

import hashlib
import pickle
import sys
import warnings
import zlib
from collections.abc import Hashable, MutableMapping
from contextlib import suppress
from functools import lru_cache
from types import FunctionType
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch.utils.weak import WeakIdKeyDictionary

from pytest_cam.errors import GeometryError, NotAffineError, is_ours
from pytest_cam.images.applying import apply
from pytest_cam.images.geometry import Geometry, Preprocess
from pytest_cam.images.probing import Probe

__tracebackhide__ = is_ours

# What a preprocess holds beyond this is not looked through, in bytes.
_MOST_HELD = 1 << 20
# The methods by which a class says how it is pickled, and the packages whose methods do nothing but that.
_PICKLING = ("__reduce_ex__", "__reduce__", "__getstate__", "__getnewargs_ex__", "__getnewargs__")
_CALLED = sys.stdlib_module_names | {"torch"}


class _Found(NamedTuple):
    """What was found of a preprocess at an image size.

    Attributes:
        geometry: How it moves pixels, or why that cannot be found.
        witness: What it made of one image then: as long as it makes the same, it is the same preprocess.
    """

    geometry: Geometry | NotAffineError
    witness: tuple[int, ...]


_BySize: TypeAlias = dict[tuple[int, int], _Found]

# By which object it is: whether two are equal is said by code of the user, which may fail, or look at other things.
_found: MutableMapping[Preprocess, _BySize] = WeakIdKeyDictionary()


def geometry_of(preprocess: Preprocess, image_size: tuple[int, int]) -> Geometry:
    """Find how a deterministic preprocess moves pixels, by running it on images whose pixels say where they are.

    The result is kept for each size, and holds for the preprocess and for others that are made alike, as by a fixture
    that makes one for each test; each runs once more, and the result holds for as long as it makes the same of one
    image.

    Args:
        preprocess: What `pytest_cam.images.applying.apply` can call.
        image_size: (width, height) of the image in pixels.

    Returns:
        The geometry, right to a fraction of an input pixel.

    Raises:
        NotAffineError: The preprocess is not affine, turns by other than right angles, or hides where pixels go.
        GeometryError: The preprocess is random.
        PreprocessError: The preprocess fails, or returns something else than one input.
    """
    known = _known_of(preprocess)
    witness = _witness(preprocess, image_size)
    found = known.get(image_size)
    if found is None or found.witness != witness:
        probe = Probe(preprocess, image_size, is_new=found is not None or not known)
        try:
            found = _Found(probe.geometry(), witness)
        except NotAffineError as error:
            found = _Found(NotAffineError(str(error)), witness)
        except GeometryError:  # it is random: that it was not, or what is made alike, was luck
            known.clear()
            raise
        known[image_size] = found
    if isinstance(found.geometry, NotAffineError):
        raise NotAffineError(str(found.geometry))
    return found.geometry


def _witness(preprocess: Preprocess, image_size: tuple[int, int]) -> tuple[int, ...]:
    """Return a checksum of what a preprocess makes of an image that looks different wherever it is moved to."""
    # It rises, by which large parts of it differ, and unevenly, by which small ones do. In bytes from the start: every
    # check of a photo comes by here, and a photo has millions of pixels.
    uneven = np.random.default_rng(0)
    columns, rows = (
        (np.linspace(0, most, length) + uneven.uniform(0, most / 2, length)).astype(np.uint8)
        for most, length in zip((112, 56), image_size, strict=True)
    )
    made = apply(preprocess, Image.fromarray(np.add.outer(rows, columns)).convert("RGB"))
    return (*made.shape, zlib.crc32(_bytes_of(made)))


def _bytes_of(tensor: torch.Tensor) -> memoryview:
    return tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data


def _known_of(preprocess: Preprocess) -> _BySize:
    """Return what is known of a preprocess, or of one that is made alike."""
    try:
        return _found[preprocess]
    except (KeyError, TypeError):  # not known, or not weakly referable
        made_of = _made_of(preprocess)
    known = {} if made_of is None else _known_of_alike(made_of)
    with suppress(TypeError):
        _found[preprocess] = known
    return known


@lru_cache(maxsize=256)
def _known_of_alike(made_of: Hashable) -> _BySize:
    return {}


def _made_of(preprocess: Preprocess) -> Hashable | None:
    """Return what is equal for what is made alike: of the same classes and functions, with the same values.

    None where that cannot be told, as of an open file, where it would take long, as where a model is held, or where a
    class has a way of its own to be pickled.
    """
    digest = _Digest()
    pickler = _Pickler(digest)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what will no longer be pickled one day
            pickler.dump(preprocess)
    except Exception:  # whatever code of the user may raise that was not written to be pickled
        return None
    return digest.of_all.digest(), tuple(pickler.named)


class _Digest:
    """A file that keeps nothing but a digest of what is written to it."""

    def __init__(self) -> None:
        self.of_all = hashlib.sha256()
        self._written = 0

    def write(self, data: Any) -> int:
        """Add some bytes.

        Raises:
            OverflowError: There are too many.
        """
        size = memoryview(data).nbytes
        self._written += size
        _require_little(self._written)
        self.of_all.update(data)
        return size


class _Pickler(pickle.Pickler):
    """Notes the classes and functions that something is made of: their names alone may come to mean others."""

    def __init__(self, file: Any) -> None:
        super().__init__(file)
        self.named: list[Any] = []

    def reducer_override(self, value: Any) -> Any:
        """Leave nearly everything to the class above; see `pickle.Pickler`."""
        if isinstance(value, FunctionType) and "<" in value.__qualname__:  # a lambda, or one within another function
            self.named.append(value.__code__)  # which is equal each time that the same lines are run
            return tuple, (_parts_of(value),)
        if isinstance(value, (type, FunctionType)):
            self.named.append(value)
        if isinstance(value, (torch.Tensor, np.ndarray)):
            _require_little(value.nbytes)
        if isinstance(value, torch.Tensor):  # which would be written with its address
            return tuple, ((type(value), str(value.dtype), tuple(value.shape), bytes(_bytes_of(value))),)
        _require_plain(type(value))
        return NotImplemented


def _parts_of(function: FunctionType) -> tuple[Any, ...]:
    """Return what makes a function that has no name to be found by, beside its code: its file, and what it holds."""
    held = tuple(cell.cell_contents for cell in function.__closure__ or ())
    return function.__code__.co_filename, function.__defaults__, function.__kwdefaults__, vars(function), held


def _require_little(size: int) -> None:
    if size > _MOST_HELD:
        raise OverflowError(f"more than {_MOST_HELD} bytes are held")


def _require_plain(kind: type) -> None:
    """Refuse what is pickled by code of others, which may change the object, or do anything that a user can see."""
    for method in (getattr(kind, name, None) for name in _PICKLING):
        if isinstance(method, FunctionType) and method.__module__.partition(".")[0] not in _CALLED:
            raise TypeError(f"{kind.__name__} is pickled by {method.__qualname__}")
