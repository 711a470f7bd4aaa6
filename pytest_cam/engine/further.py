"""The further keywords of every verb: how the model is called, and how what it returns is read."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from numbers import Integral
from typing import Any, TypedDict

from pytest_cam.engine.reading.layouts import Reshape
from pytest_cam.engine.reading.outputs import Selector
from pytest_cam.errors import KeywordError, is_ours, kind_of, nearest

__tracebackhide__ = is_ours


class Further(TypedDict, total=False):
    """What `attend`, `attend_batch`, the verbs and the `cam` fixture take beside the keywords in their signatures.

    Attributes:
        output: Which part of what the model returns is explained: a key, the name of an attribute, an index, a
            callable on all of it, or None where the class scores are found without.
        model_args: What the model takes after the image, for the whole batch; or before it, where `input_ids` come
            first and the image goes to `pixel_values`, as in models of Hugging Face for images and words.
        model_kwargs: What the model takes by keyword.
        reshape: From the layer's output tensor to (B, C, h, w). None finds out: (B, C, h, w), (B, h, w, C), or tokens
            (B, prefix + h * w, C) of a grid that fits the input.
        layer_call: Which execution of a layer that runs several times in a pass, from 1; None for the last.
        seed: That of methods which draw random numbers; 0 where it is not given. The global generators are left alone.
        method_options: The options of the method, by name, such as {"samples": 16}.
        smooth: Whether the map is the mean over six versions of the input: as it is, and 0.9 and 1.1 times it, each
            also mirrored.
    """

    output: Selector
    model_args: Sequence[Any]
    model_kwargs: Mapping[str, Any] | None
    reshape: Reshape | None
    layer_call: int | None
    seed: int
    method_options: Mapping[str, Any] | None
    smooth: bool


def require_known(further: Mapping[str, Any], verb: Callable[..., Any]) -> None:
    """Reject keywords that a verb does not have, as Python itself would, with the nearest that it has.

    Args:
        further: What was given beside the keywords in a signature.
        verb: The function whose own keywords are accepted, too.

    Raises:
        KeywordError: There is one, or the value of one is of the wrong kind.
    """
    if not further:
        return
    for name in further:
        if name not in Further.__annotations__ and name not in _own_keywords(verb):
            accepted = (*_own_keywords(verb), *Further.__annotations__)
            raise KeywordError(f"{verb.__name__}() has no keyword {name!r}. {nearest(name, accepted)}")
    args = further.get("model_args")
    if args is not None and not isinstance(args, (list, tuple)):
        raise KeywordError(
            f"model_args is {kind_of(args)}; accepted: a tuple of what the model takes after the image, as in "
            "model_args=(metadata,)"
        )
    for name in ("model_kwargs", "method_options"):
        given = further.get(name)
        if given is not None and not isinstance(given, Mapping):
            raise KeywordError(f"{name} is {kind_of(given)}; accepted: a dict from name to value")
    reshape = further.get("reshape")
    if reshape is not None and not callable(reshape):
        raise KeywordError(
            f"reshape is {kind_of(reshape)}; accepted: a function from the layer's output to a tensor (B, C, h, w)"
        )
    seed = further.get("seed", 0)
    if isinstance(seed, bool) or not isinstance(seed, Integral) or not -(2**63) <= int(seed) < 2**64:
        raise KeywordError(f"seed is {seed!r}; accepted: an integer of 64 bits")
    if not isinstance(further.get("smooth", False), bool):
        raise KeywordError(f"smooth is {further.get('smooth')!r}; accepted: True or False")


def seed_of(further: Mapping[str, Any], draw: int = 0) -> int:
    """Return the seed, of one of several draws, as torch and NumPy take it: a number of Python, 0 to 2**64 - 1."""
    return (int(further.get("seed", 0)) + draw) % 2**64


@lru_cache(maxsize=32)
def _own_keywords(verb: Callable[..., Any]) -> tuple[str, ...]:
    kinds = inspect.signature(verb).parameters.values()
    return tuple(kind.name for kind in kinds if kind.kind in (kind.POSITIONAL_OR_KEYWORD, kind.KEYWORD_ONLY))
