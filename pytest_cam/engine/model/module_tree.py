"""The modules of a model, found once and looked at again at each call."""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.utils.hooks import RemovableHandle

from pytest_cam.engine.model.alive import Idleness, leads_to
from pytest_cam.engine.model.hooks import HOOK_KINDS

_KNOWN = ("torch.nn.modules.", "torchvision.models.", "torchvision.ops.")
_attributes = operator.attrgetter("__dict__")  # which takes half as long as `vars`
# What torch gives to every module.
OF_EACH_MODULE = frozenset(vars(nn.Module()))
# From how many values on a linear layer is called wide: 16 MiB in float32, more than a head of a thousand classes has.
_WIDE = 1 << 22
# From how many values on the weights of convolutions of 1 x 1 are many: those of a ResNet-50 have 12 million, of a
# network of depthwise ones 2 million.
_MANY = 1 << 22
_RANDOM = (nn.FractionalMaxPool2d, nn.FractionalMaxPool3d)


@dataclass(eq=False)
class ModuleTree:
    """The modules of a model and what is known of their kinds.

    Attributes:
        modules: The model and all modules in it, each once.
        is_known: Whether all are torch's and torchvision's own, of kinds that draw no random numbers.
        lazy: Which of their kinds are lazy.
        kept: What is kept from call to call of a known model whose methods are those of its classes.
    """

    modules: list[nn.Module]
    is_known: bool
    lazy: tuple[type[LazyModuleMixin], ...]
    kept: _Kept | None

    @classmethod
    def of(cls, model: nn.Module) -> ModuleTree:
        """Find the modules of a model, or see that they still are those that were found before."""
        kept = _KEPT.get(model)
        if kept is not None:
            modules = [model, *kept.below]
            if kept.is_of(modules):
                kept.idleness.note_use(_CLOCK.now)
                return cls(modules, True, (), kept)
        modules = modules_of(model)
        kinds = list(map(type, modules))
        known, lazy = _traits(set(kinds))
        if not known or lazy or any(map(_has_other_methods, modules)) or _leads_back(model, modules):
            _KEPT.pop(model, None)
            return cls(modules, known, lazy, None)
        kept = _keep(model, _Kept.of(modules, kinds))
        return cls(modules, known, lazy, kept)

    # A small network feels each step over all modules: there are few, and they run in C. The attributes of a known
    # module are read from its dict, which is faster than asking the module; one of TorchScript keeps them elsewhere.

    @property
    def identity(self) -> object:
        """What is equal as long as the modules are the same ones, of the same kinds, in the same places."""
        if self.kept is not None:
            return self.kept
        # Not the model itself, which this would keep alive.
        return [(type(module), list(module._modules.items())) for module in self.modules]

    @property
    def kinds(self) -> tuple[type, ...]:
        """The modules' kinds, each once."""
        return _each_once(map(type, self.modules)) if self.kept is None else self.kept.distinct_kinds

    @property
    def other_kinds(self) -> tuple[type, ...]:
        """Those of their kinds that are not torch's and torchvision's own."""
        return () if self.kept is not None else tuple(kind for kind in self.kinds if not _is_theirs(kind))

    @property
    def attributes(self) -> list[dict[str, Any]]:
        """The dicts of the modules, which hold their attributes."""
        return list(map(vars, self.modules)) if self.kept is None else self.kept.attributes

    @property
    def own(self) -> list[Any]:
        """What the modules of a known model hold beside what every module does; of another model all that they hold."""
        return self.attributes if self.kept is None else [get(held) for get, held in self.kept.own]

    @property
    def has_wide_layers(self) -> bool:
        """Whether any of the modules is a wide linear layer, by `is_wide`."""
        return any(map(_is_wide_layer, self.modules)) if self.kept is None else self.kept.has_wide_layers

    @property
    def has_many_pointwise_weights(self) -> bool:
        """Whether much of a pass is convolutions of 1 x 1."""
        if self.kept is None:
            return sum(map(_values_of_pointwise, self.modules)) >= _MANY
        return self.kept.has_many_pointwise_weights

    def each(self, name: str) -> Iterator[Any]:
        """Return an attribute of every module."""
        if self.kept is not None:
            return map(operator.itemgetter(name), self.kept.attributes)
        return map(operator.attrgetter(name), self.modules)

    def set_training(self, flags: Iterable[bool]) -> None:
        """Set the training flag of each module; a known one's in its dict, since to be told takes a module long."""
        if self.kept is not None:
            for attributes, flag in zip(self.kept.attributes, flags):  # noqa: B905  # flags may have no end
                attributes["training"] = flag
            return
        for module, flag in zip(self.modules, flags):  # noqa: B905  # as above
            if module.training != flag:
                module.training = flag

    def has_hooks(self) -> bool:
        """Return whether somebody placed a hook on a module."""
        if self.kept is None:
            return any(any(self.each(kind)) for kind in HOOK_KINDS)
        # Each hook that is placed anywhere takes the next number; one that is taken away leaves nothing to see.
        if self.kept.hooked or self.kept.next_hook != RemovableHandle.next_id:
            self.kept.hooked = any(any(self.each(kind)) for kind in HOOK_KINDS)
            self.kept.next_hook = RemovableHandle.next_id
        return self.kept.hooked


@dataclass(eq=False)
class _Kept:
    """The modules below a known model as they were found, and what shows that they still are the ones.

    Attributes:
        below: The modules below the model.
        kinds: The kinds of the model and these.
        distinct_kinds: Each of them once.
        attributes: The dicts of the model and these, which hold their attributes.
        parents: Those of them that hold modules.
        children: The modules that these hold.
        childless: The tables of those that hold none. A hook of the user may run a module that is placed there.
        sizes: How many attributes each has.
        weights_to_lay_out: How many values the weights hold that convolutions lay out anew in each pass for an input
            with its channels last.
        has_wide_layers: Whether any of the modules is a wide linear layer.
        has_many_pointwise_weights: Whether much of a pass is convolutions of 1 x 1.
        own: Of each that has attributes which not every module has, what gets these from its dict, and the dict.
        next_hook: The number that torch's next hook would have had when hooks were last looked for.
        hooked: Whether there were any.
        layouts: How outputs of layers were read.
        spares_inputs: Whether a pass has shown that the model does not write to its input.
        idleness: When the model was last used, counted in models that came newly.
    """

    below: list[nn.Module]
    kinds: list[type]
    distinct_kinds: tuple[type, ...]
    attributes: list[dict[str, Any]]
    parents: list[dict[str, nn.Module | None]]
    children: list[nn.Module | None]
    childless: list[dict[str, nn.Module | None]]
    sizes: list[int]
    weights_to_lay_out: int
    has_wide_layers: bool
    has_many_pointwise_weights: bool
    own: list[tuple[Callable[[dict[str, Any]], Any], dict[str, Any]]]
    next_hook: int = -1
    hooked: bool = True
    layouts: dict[Hashable, Any] = field(default_factory=dict)
    spares_inputs: bool = False
    idleness: Idleness = field(default_factory=Idleness)

    @classmethod
    def of(cls, modules: list[nn.Module], kinds: list[type]) -> _Kept:
        attributes = list(map(vars, modules))
        parents = [module._modules for module in modules if module._modules]
        return cls(
            modules[1:],
            kinds,
            _each_once(kinds),
            attributes,
            parents,
            _children_in(parents),
            [module._modules for module in modules if not module._modules],
            list(map(len, attributes)),
            sum(map(_values_to_lay_out, modules)),
            any(map(_is_wide_layer, modules)),
            sum(map(_values_of_pointwise, modules)) >= _MANY,
            [(operator.itemgetter(*names), held) for held in attributes if (names := held.keys() - OF_EACH_MODULE)],
        )

    def is_of(self, modules: list[nn.Module]) -> bool:
        return (
            self.kinds == list(map(type, modules))
            and all(map(operator.is_, map(_attributes, modules), self.attributes))
            and self.sizes == list(map(len, self.attributes))
            and self.children == _children_in(self.parents)
            and not any(self.childless)
        )


@dataclass
class _Clock:
    now: int = 0


_CLOCK = _Clock()
# What is kept must not keep the model alive: nothing is of those that refer to themselves when they come.
_KEPT: WeakKeyDictionary[nn.Module, _Kept] = WeakKeyDictionary()


def _keep(model: nn.Module, kept: _Kept) -> _Kept:
    """Keep something of a model, and let go of those that have come to refer to themselves since they were used."""
    _CLOCK.now += 1
    for reference in _KEPT.keyrefs():  # a list, as other threads may add to it
        other = reference()
        held = None if other is None else _KEPT.get(other)
        if other is not None and held is not None and held.idleness.is_due(_CLOCK.now) and leads_to(held, other):
            del _KEPT[other]
    kept.idleness.note_use(_CLOCK.now)
    _KEPT[model] = kept
    return kept


def _each_once(kinds: Iterable[type]) -> tuple[type, ...]:
    return tuple(dict.fromkeys(kinds))


def _has_other_methods(module: nn.Module) -> bool:
    kind = type(module)
    return "_compiled_call_impl" in vars(module) or any(callable(getattr(kind, name, None)) for name in vars(module))


def _leads_back(model: nn.Module, modules: list[nn.Module]) -> bool:
    """Return whether an attribute holds the model itself, or may in a closure."""
    values = chain.from_iterable(vars(module).values() for module in modules)
    return any(
        value is model
        or getattr(value, "__self__", None) is model
        or isinstance(value, partial)
        or (isinstance(value, FunctionType) and value.__closure__ is not None)
        for value in values
    )


def _children_in(parents: list[dict[str, nn.Module | None]]) -> list[nn.Module | None]:
    return list(chain.from_iterable(map(dict.values, parents)))


def _values_to_lay_out(module: nn.Module) -> int:
    weight = module._parameters.get("weight")
    if weight is None or weight.ndim != 4 or weight.is_contiguous(memory_format=torch.channels_last):
        return 0
    return weight.numel()


def is_wide(weight: torch.Tensor) -> bool:
    """Return whether a linear layer's weight is so large that to read it is a part of one image's pass."""
    return weight.numel() >= _WIDE


def _is_wide_layer(module: nn.Module) -> bool:
    weight = module._parameters.get("weight") if isinstance(module, nn.Linear) else None
    return weight is not None and is_wide(weight)


def _values_of_pointwise(module: nn.Module) -> int:
    weight = module._parameters.get("weight") if isinstance(module, nn.Conv2d) else None
    return weight.numel() if weight is not None and weight.shape[2:] == (1, 1) else 0


def modules_of(model: nn.Module) -> list[nn.Module]:
    """Return a model and all modules in it, each once."""
    found = [model]
    seen = {model}
    for module in found:  # which grows meanwhile
        for child in module._modules.values():
            if child is not None and child not in seen:
                seen.add(child)
                found.append(child)
    return found


def _is_theirs(kind: type) -> bool:
    return kind.__module__.startswith(_KNOWN)


def _traits(kinds: set[type[nn.Module]]) -> tuple[bool, tuple[type[LazyModuleMixin], ...]]:
    """Return whether all kinds are torch's and torchvision's own and draw no random numbers, and the lazy ones."""
    known = all(map(_is_theirs, kinds)) and kinds.isdisjoint(_RANDOM)
    return known, tuple(kind for kind in kinds if issubclass(kind, LazyModuleMixin))
