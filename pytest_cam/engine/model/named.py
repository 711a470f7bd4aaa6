"""What functions read outside of themselves: from closures, and by the names that their code uses."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from types import CodeType, FunctionType, ModuleType
from typing import Any

# Packages whose classes nobody changes, beside those of Python itself; and whose own settings nobody does.
INSTALLED = frozenset({"torch", "torchvision", "numpy", "PIL", *sys.stdlib_module_names})
FINISHED = INSTALLED | {"timm", "transformers"}


def is_of_the_user(kind: type) -> bool:
    """Return whether a class is of a package that is not known, so that a test may change it."""
    return not is_from(INSTALLED, kind)


def is_from(packages: frozenset[str], value: type | FunctionType | ModuleType) -> bool:
    """Return whether a class, a function or a module is of one of some packages."""
    module = value.__name__ if isinstance(value, ModuleType) else value.__module__
    return str(module).partition(".")[0] in packages


def closure_of(function: FunctionType) -> list[Any]:
    """Return what the variables hold that a function has from around itself."""
    found = []
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # an empty one, whose variable is not set yet
            found.append(cell.cell_contents)
    return found


@lru_cache(maxsize=4096)
def names_in(code: CodeType) -> tuple[str, ...]:
    """Return the names that some code uses, and what is defined in it: lambdas, generators."""
    within = (name for part in code.co_consts if isinstance(part, CodeType) for name in names_in(part))
    return tuple(dict.fromkeys([*code.co_names, *within]))


def read_by_name(known: Mapping[str, Any], names: Iterable[str]) -> list[tuple[Any, Mapping[str, Any], list[str]]]:
    """Return what code may read by some names: globals, and attributes of the modules, classes and objects among these.

    Args:
        known: The globals.
        names: Those that the code uses.

    Returns:
        The globals, the modules that are imported, and each module, class and object with such an attribute: itself,
        what it holds, the names in that.
    """
    found: list[tuple[Any, Mapping[str, Any], list[str]]] = [(known, known, [name for name in names if name in known])]
    # What is no global may be a module that the code imports itself.
    found.append((sys.modules, sys.modules, [name for name in names if name not in known and name in sys.modules]))
    for _, inside, there in found:  # which grows meanwhile, as by `config.model.scale`
        for value in map(inside.__getitem__, there):
            # What a class does not hold itself, one of its bases may.
            for each in value.__mro__ if isinstance(value, type) else (value,):
                if _has_what_is_read(each) and all(each is not other for other, *_ in found):
                    within = [name for name in names if name in vars(each)]
                    found += [(each, vars(each), within)] if within else []
    return found


def _has_what_is_read(value: Any) -> bool:
    if isinstance(value, (ModuleType, type)):
        return not is_from(INSTALLED, value)
    return has_attributes(value)


def has_attributes(value: Any) -> bool:
    """Return whether a value keeps attributes of its own in a dict."""
    return type(getattr(value, "__dict__", None)) is dict
