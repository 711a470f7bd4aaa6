"""The names of a model's classes, from the user or from the model itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from pytest_cam.errors import TargetError, is_ours, kind_of, nearest

__tracebackhide__ = is_ours

_MOST_LISTED = 8
_ACCEPTED = "accepted: a list of K names, a dict from class index to name, or a weights member of torchvision"


def as_names(given: Any) -> Sequence[str] | None:
    """Return the class names that a user gave.

    Args:
        given: A sequence of names, a dict from class index to name, a weights member of torchvision
            (`ResNet50_Weights.DEFAULT`), whose `.meta["categories"]` is read, or None.

    Raises:
        TargetError: It is none of these.
    """
    if given is None or isinstance(given, (list, tuple)):
        return given
    if isinstance(given, type):
        raise TargetError(f"class_names is the class {given.__name__}; take a member of it: {given.__name__}.DEFAULT")
    meta = getattr(given, "meta", None)
    if isinstance(meta, Mapping):
        if "categories" not in meta:
            raise TargetError(f"class_names is {given}, whose meta has no 'categories'; {_ACCEPTED}")
        return list(meta["categories"])
    if isinstance(given, Mapping):
        names = _by_index(given)
        if names is None:
            raise TargetError(f"class_names is a dict whose keys are not 0 to {len(given) - 1}; {_ACCEPTED}")
        return names
    if isinstance(given, (str, bytes)) or not hasattr(given, "__len__"):
        raise TargetError(f"class_names is {kind_of(given)}; {_ACCEPTED}")
    return list(given)


def names_of(model: nn.Module, *, looks_within: bool = True) -> Sequence[str] | None:
    """Return the class names that a model carries, or None.

    Read are `model.weights.meta["categories"]`, as where a project keeps torchvision's weights beside the network,
    and `model.config.id2label` of Hugging Face, unless it holds nothing but the placeholders LABEL_0, LABEL_1, ...

    Args:
        model: The model.
        looks_within: Whether those of a model that it wraps are its own, as in parallel, averaged, Lightning and PEFT
            models.
    """
    seen: list[nn.Module] = []
    each: nn.Module | None = model
    while each is not None and each not in seen:
        names = _carried(each)
        if names is not None:
            return names
        seen.append(each)
        each = _wrapped(each) if looks_within else None
    return None


def _wrapped(model: nn.Module) -> nn.Module | None:
    """Return the one module in a model that has parameters, where the model has none beside: what it wraps."""
    if any(parameter is not None for parameter in model._parameters.values()):
        return None
    weighted = [child for child in model.children() if next(child.parameters(), None) is not None]
    return weighted[0] if len(weighted) == 1 else None


def _carried(model: nn.Module) -> Sequence[str] | None:
    meta = getattr(_own(model, "weights"), "meta", None)
    if meta is not None and isinstance(meta, Mapping) and "categories" in meta:
        return list(meta["categories"])
    labels = getattr(_own(model, "config"), "id2label", None)
    names = _by_index(labels) if labels is not None and isinstance(labels, Mapping) else None
    if names is None or all(name == f"LABEL_{index}" for index, name in enumerate(names)):
        return None
    return names


def _own(model: nn.Module, name: str) -> Any:
    # To ask a module for an attribute that it does not have is slow: it looks among its parameters and children.
    return getattr(model, name) if name in vars(model) or hasattr(type(model), name) else None


def _by_index(names: Mapping[Any, str]) -> list[str] | None:
    return [names[index] for index in range(len(names))] if names.keys() == set(range(len(names))) else None


def index_named(name: str, class_names: Sequence[str] | None) -> int:
    """Return the index of the class of that name.

    Raises:
        TargetError: No class names are known, none is this one, or several are.
    """
    hint = f". As a class index it is a number: target={int(name)}" if name.isdecimal() else ""
    if class_names is None:
        raise TargetError(
            f"target {name!r} is a class name, and no class names are known: pass class_names=[...], or override the "
            f"`cam_class_names` fixture{hint}"
        )
    wanted = in_one_line(name)
    # To look for its last word is faster than to lay each in one line: there may be many names, and many targets.
    last = wanted.rpartition(" ")[2]
    found = [index for index, each in enumerate(class_names) if last in str(each) and in_one_line(each) == wanted]
    if len(found) > 1:
        listed = ", ".join(map(str, found[:_MOST_LISTED])) + (", ..." if len(found) > _MOST_LISTED else "")
        raise TargetError(f"target {name!r} names {len(found)} classes ({listed}); pass the class index")
    if not found:
        raise TargetError(
            f"there is no class {name!r}. {nearest(name, dict.fromkeys(filter(None, map(in_one_line, class_names))))}"
            f"{hint.removeprefix('.')}"
        )
    return found[0]


def name_of(index: int, class_names: Sequence[str] | None) -> str:
    """Return what a class is called in messages and pictures.

    Returns:
        Its name; where other classes have the same, as ImageNet has two cranes, with the index: "crane (134)". Without
        a name it is "class 134".
    """
    name = in_one_line(class_names[index]) if class_names is not None and 0 <= index < len(class_names) else ""
    if class_names is None or not name:
        return f"class {index}"
    return f"{name} ({index})" if class_names.count(class_names[index]) > 1 else name


def in_one_line(name: object) -> str:
    """Return a name without what would break the lines and tables that it stands in."""
    return " ".join(str(name).split())
