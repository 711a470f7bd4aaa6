"""What a model returns: the class scores in it, and each image's own part of it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import fields, is_dataclass, replace
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np
import torch

from pytest_cam.errors import OutputError, is_ours, kind_of, nearest

__tracebackhide__ = is_ours

Selector: TypeAlias = str | int | Callable[[Any], Any] | None


def selected(output: Any, selector: Selector) -> Any:
    """Return the part of a model's output that is to be explained.

    Args:
        output: What the model returned.
        selector: A key of a dict, the name of an attribute, an index into a tuple or list, a callable on the whole
            output, or None for all of it.

    Raises:
        OutputError: There is no such part.
    """
    if selector is None:
        return output
    if callable(selector):
        return selector(output)
    if isinstance(selector, bool) or not isinstance(selector, (str, int)):
        raise OutputError(
            f"output is {kind_of(selector)}; accepted: a key, the name of an attribute, an index, or a "
            "callable on what the model returns"
        )
    entries = _entries(output)
    if selector in entries:
        return entries[selector]
    if isinstance(selector, int) and isinstance(output, (list, tuple)) and -len(output) <= selector < len(output):
        return output[selector]
    # A tensor has many attributes, and none of them is a part of the output.
    if isinstance(selector, str) and not isinstance(output, torch.Tensor):
        found = getattr(output, selector, None)
        if found is not None and not callable(found):
            return found
    hint = nearest(selector, [key for key in entries if isinstance(key, str)])
    raise OutputError(
        f"output={selector!r} is not in what the model returned: {described(output)}{f'. {hint}' if hint else ''}"
    )


# Where a tensor lies in an output: the keys on the way to it, and how many these are at most.
_Path: TypeAlias = tuple[Any, ...]
_DEEPEST = 5


class Rows:
    """Which tensors of a model's output have one row for each image: those that had in each pass until now.

    A table of eight prototypes has as many rows as a batch of eight images, and not as the next one.
    """

    def __init__(self) -> None:
        self._others: set[_Path] = set()

    def see(self, output: Any, batch: int) -> None:
        """Note which tensors of an output have another number of rows than the batch had images."""
        for path, tensor in _tensors(output):
            if tensor.ndim == 0 or tensor.shape[0] != batch:
                self._others.add(path)

    def are_in(self, value: Any, batch: int, path: _Path = ()) -> bool:
        """Return whether a value, that lies at a path, is a tensor with rows for a batch, or holds one."""
        if isinstance(value, torch.Tensor):
            return value.ndim > 0 and value.shape[0] == batch and path not in self._others
        within = _entries(value).items() if len(path) < _DEEPEST else ()
        return any(self.are_in(item, batch, (*path, key)) for key, item in within)


def _tensors(value: Any, path: _Path = ()) -> Iterator[tuple[_Path, torch.Tensor]]:
    if isinstance(value, torch.Tensor):
        yield path, value
    elif len(path) < _DEEPEST:  # an object may lead back to itself
        for key, item in _entries(value).items():
            yield from _tensors(item, (*path, key))


def class_scores(output: Any, batch: int, rows: Rows) -> torch.Tensor | None:
    """Return the class scores (B, K) in a model's output, K = 1 for one logit an image, or None.

    They are the output itself, its `logits`, or the only tensor among its entries that is (B, K), or else (B,). None
    where no tensor or several could be them.
    """
    found = _candidates(output, batch, rows)
    return next(iter(found.values())) if len(found) == 1 else None


def no_class_scores(output: Any, batch: int, rows: Rows) -> OutputError:
    """Return the error that says why there are no class scores in an output."""
    found = _candidates(output, batch, rows)
    if len(found) > 1:
        listed = ", ".join(f"{key!r} {tuple(tensor.shape)}" for key, tensor in found.items())
        return OutputError(
            f"the model returned {described(output)}, in which several tensors could be the class scores: {listed}. "
            f"Say which: output={next(iter(found))!r}, for instance"
        )
    return OutputError(
        f"the model returned {described(output)}; accepted: class scores (B, K), here ({batch}, K), in floating point, "
        f"alone or in a dict or tuple. For other outputs pass target=<callable>, which gets the image's own part of "
        f"the output and returns a scalar tensor{_hint(output)}"
    )


def own_part(output: Any, index: int, batch: int, rows: Rows) -> Any:
    """Return one image's own part of a model's output.

    Of a tensor (B, ...) it is row `index`; of a dict, tuple or dataclass the same with this done to all that is in
    it, where what is no tensor (B, ...) stays whole; of a list with one part for each image it is that part.

    Raises:
        OutputError: Nothing in the output belongs to one image.
    """
    if isinstance(output, (list, tuple)) and len(output) == batch and _is_one_part_each(output, batch, rows):
        return output[index]
    if not rows.are_in(output, batch):
        raise OutputError(
            f"the model returned {described(output)}, in which each image's own part cannot be found; accepted: "
            f"tensors (B, ...), alone or in a dict or tuple, or a list of B parts, here of length {batch}"
        )
    return _row(output, index, batch, rows)


def grids_in(part: Any) -> list[torch.Tensor]:
    """Return the tensors in an image's own part that may have a grid, of those with a graph."""
    return [tensor for _, tensor in _tensors(part) if tensor.ndim > 1 and tensor.requires_grad]


def described(output: Any) -> str:
    """Return what an output is, with the shapes in it: "a dict with 'logits' (1, 10), 'labels' (1,) of torch.int64"."""
    if isinstance(output, torch.Tensor):
        return f"a tensor {_shape(output)}"
    entries = _entries(output)
    text = kind_of(output)
    if isinstance(output, (list, tuple)):
        text += f" of {len(output)}"
    if not entries:
        return text
    shown = [f"{key!r} {_short(value)}" for key, value in list(entries.items())[:8]]
    return f"{text} with {', '.join(shown)}{', ...' if len(entries) > 8 else ''}"


def _short(value: Any) -> str:
    return _shape(value) if isinstance(value, torch.Tensor) else f"({type(value).__name__})"


def _shape(tensor: torch.Tensor) -> str:
    """Return a tensor's shape, and its type where no scores are of it."""
    return f"{tuple(tensor.shape)}{'' if tensor.is_floating_point() else f' of {tensor.dtype}'}"


def _hint(output: Any) -> str:
    tensors = [output, *_entries(output).values()]
    if any(isinstance(tensor, torch.Tensor) and tensor.ndim == 4 for tensor in tensors):
        return ". SegmentationMask(...) is one for a segmenter"
    if any(isinstance(part, Mapping) and "boxes" in part for part in tensors):
        return ". DetectionBox(...) is one for a detector"
    return ""


def _candidates(output: Any, batch: int, rows: Rows) -> dict[Any, torch.Tensor]:
    if isinstance(output, torch.Tensor):
        found = _as_scores(output, batch)
        return {} if found is None else {"": found}
    entries = _entries(output)
    if "logits" in entries:
        entries = {"logits": entries["logits"]}
    entries = {key: value for key, value in entries.items() if rows.are_in(value, batch, (key,))}
    scores = {key: found for key, value in entries.items() if (found := _as_scores(value, batch)) is not None}
    of_classes = {key: found for key, found in scores.items() if entries[key].ndim == 2}
    return of_classes or scores


def _as_scores(value: Any, batch: int) -> torch.Tensor | None:
    if not isinstance(value, torch.Tensor) or not value.is_floating_point() or value.ndim not in (1, 2):
        return None
    if value.shape[0] != batch or value.numel() == 0:
        return None
    return value if value.ndim == 2 else value[:, None]


def _entries(output: Any) -> dict[Any, Any]:
    if isinstance(output, Mapping):
        return dict(output)
    if isinstance(output, (list, tuple)):
        return output._asdict() if hasattr(output, "_asdict") else dict(enumerate(output))
    if _is_of_dataclass(output):
        return {field.name: getattr(output, field.name) for field in fields(output)}
    if isinstance(output, torch.Tensor) or not hasattr(output, "__dict__"):
        return {}
    return dict(vars(output))


def _is_one_part_each(output: Sequence[Any], batch: int, rows: Rows) -> bool:
    """Tell a list with one item for each image from a tuple of tensors (B, ...); both may have length B."""
    tensors = {key: item for key, item in enumerate(output) if isinstance(item, torch.Tensor)}
    batched = [key for key, item in tensors.items() if rows.are_in(item, batch, (key,))]
    if not tensors or not batched:
        return True
    return isinstance(output, list) and len(tensors) == len(output) and len(batched) < len(tensors)


def _row(value: Any, index: int, batch: int, rows: Rows, path: _Path = ()) -> Any:
    if not rows.are_in(value, batch, path):
        return value
    if isinstance(value, torch.Tensor):
        return value[index]
    return _with(value, {key: _row(item, index, batch, rows, (*path, key)) for key, item in _entries(value).items()})


def copied(part: Any) -> Any:
    """Return an image's own part with a copy, in the graph, of each tensor in it: what gets it may write to it."""
    return with_each(part, lambda held: held.clone() if isinstance(held, torch.Tensor) else held.copy())


def with_each(part: Any, change: Callable[[Any], Any], depth: int = _DEEPEST) -> Any:
    """Return an output with something else in place of each tensor and array in it.

    Dicts, lists, tuples and dataclasses, also those of other kinds, are copied for it, and other objects are not.

    Args:
        part: The output.
        change: From a tensor or a NumPy array to what takes its place.
        depth: How deep the output is looked into.
    """
    if isinstance(part, (torch.Tensor, np.ndarray)):
        return change(part)
    if not depth:
        return part
    if isinstance(part, MutableMapping):
        # Not `_with`: what was not taken apart for its rows is what the model returned, and may have methods.
        mapping = copy.copy(part)
        for key, item in part.items():
            mapping[key] = with_each(item, change, depth - 1)
        return mapping
    own = {key: with_each(item, change, depth - 1) for key, item in _entries(part).items()}
    if type(part) is SimpleNamespace or _is_of_dataclass(part):
        return _with_attributes(part, own)
    return _with(part, own) if isinstance(part, (list, tuple, Mapping)) else part


def _with(value: Any, own: dict[Any, Any]) -> Any:
    """Return an output of the kind of another one, with these entries."""
    if _is_of_dataclass(value):
        # Those of Hugging Face hold each part as an entry, too.
        holds_entries = isinstance(value, Mapping)
        return replace(value, **own) if holds_entries else _with_attributes(value, own)
    if isinstance(value, (list, tuple)):
        items = list(own.values())
        return value._make(items) if hasattr(value, "_make") else type(value)(items)
    return own if isinstance(value, Mapping) else SimpleNamespace(**own)


def _with_attributes(value: Any, own: dict[Any, Any]) -> Any:
    instance = copy.copy(value)
    for name, item in own.items():
        object.__setattr__(instance, name, item)
    return instance


def _is_of_dataclass(value: Any) -> bool:
    return is_dataclass(value) and not isinstance(value, type)
