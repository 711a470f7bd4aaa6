"""What a call may change in a model and in the generators of random numbers, and putting it back."""

from __future__ import annotations

import operator
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, repeat
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.utils.hooks import RemovableHandle

from pytest_cam.engine.hooks import HOOK_KINDS, has_global_hooks
from pytest_cam.errors import ModelError, is_ours
from pytest_cam.randomness import RandomState

__tracebackhide__ = is_ours

BufferTable = dict[str, torch.Tensor | None]

_KNOWN = ("torch.nn.modules.", "torchvision.models.", "torchvision.ops.")
_RANDOM = (nn.FractionalMaxPool2d, nn.FractionalMaxPool3d)


# Hooks, training flags and buffers belong to the model: two threads that explain it take turns.
_ONE_AT_A_TIME = threading.RLock()

# Seen as integers of the same width, NaN equals NaN and 0.0 is not -0.0.
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64, 16: torch.int64}


@dataclass(frozen=True)
class _Values:
    """What some tensors hold that have one type, one device and one number of dimensions.

    They are kept end to end: one copy and one comparison for all, since one each is what a small network would feel.
    """

    tensors: list[torch.Tensor]
    shapes: list[torch.Size]
    held: torch.Tensor

    @classmethod
    def of(cls, tensors: list[torch.Tensor]) -> _Values:
        return cls(tensors, [tensor.shape for tensor in tensors], _end_to_end(tensors))

    def put_back(self) -> None:
        if self.untouched():
            return
        start = 0
        for tensor, shape in zip(self.tensors, self.shapes, strict=True):
            before = self.held[start : start + shape.numel()].view(shape)
            start += shape.numel()
            if tensor.shape != shape or tensor.dtype != before.dtype:
                tensor.data = before.clone()
            elif not same_bits(tensor, before):
                with torch.inference_mode(tensor.is_inference()), torch.no_grad():
                    tensor.copy_(before)

    def untouched(self) -> bool:
        try:
            return same_bits(_end_to_end(self.tensors), self.held)
        except RuntimeError:  # one of them has another number of dimensions now
            return False


def _is_as_before(table: BufferTable, before: BufferTable) -> bool:
    same_names = list(table.keys()) == list(before)
    return same_names and all(map(operator.is_, table.values(), before.values()))


def _refill(table: BufferTable, before: BufferTable) -> None:
    if isinstance(table, dict):
        table.clear()
        table.update(before)
        return
    # That of a TorchScript module: buffers are replaced there, but never added or taken away.
    for name, tensor in before.items():
        table[name] = tensor


def _end_to_end(tensors: list[torch.Tensor]) -> torch.Tensor:
    dimensions = tensors[0].ndim
    if dimensions == 0:
        return torch.stack(tensors)
    return torch.cat(tensors if dimensions == 1 else [tensor.reshape(-1) for tensor in tensors])


def same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Return whether two tensors of one type and one number of values are the same to the bit."""
    kind = _BITS[one.element_size()]
    return torch.equal(one.reshape(-1).view(kind), other.reshape(-1).view(kind))


class _Buffers:
    """The buffers of some modules: which tensors they are, and what those hold."""

    def __init__(self, modules: list[nn.Module]) -> None:
        self._empty: list[BufferTable] = []
        self._tables: list[tuple[BufferTable, BufferTable]] = []
        alike: dict[tuple[torch.dtype, torch.device, int], list[torch.Tensor]] = {}
        for module in modules:
            table = module._buffers
            if not table:
                self._empty.append(table)
                continue
            self._tables.append((table, dict(table.items())))
            for tensor in table.values():
                # A sparse buffer has no values end to end; it is put back only where it was replaced.
                if tensor is not None and tensor.layout == torch.strided:
                    alike.setdefault((tensor.dtype, tensor.device, tensor.ndim), []).append(tensor)
        with torch.no_grad():
            self._values = [_Values.of(tensors) for tensors in alike.values()]

    def are_as_before(self) -> bool:
        replaced = any(self._empty) or not all(_is_as_before(table, before) for table, before in self._tables)
        return not replaced and all(values.untouched() for values in self._values)

    def put_back(self) -> None:
        for table in filter(len, self._empty):
            table.clear()
        for table, before in self._tables:
            if not _is_as_before(table, before):
                _refill(table, before)
        with torch.no_grad():
            for values in self._values:
                values.put_back()


class ModelState:
    """Puts a model in eval mode inside a `with` block, and puts everything back after it.

    Kept and put back: each module's own training flag, every buffer (a forward pass may write to one even in
    eval mode), and the state of the random generators of torch (CPU and the model's device), NumPy and Python.
    Parameters, their `requires_grad` and their `.grad` are never written to. The block runs outside of
    `torch.inference_mode`, whose tensors no graph can use.

    A model made of nothing but torch's and torchvision's own modules, as they are, writes to no buffer in eval mode and
    draws no random numbers: of it only the flags are kept. (What a hook of the user does there is the user's.)

    Flags are set directly, not by `model.eval()`, which a model may override with a side effect.

    Args:
        model: The model.
        opens: Whether its layers or gradients will be used; else it may be one that runs outside of Python.

    Attributes:
        model: The model.
        modules: The model and all modules in it, each once.
        device: Where the model's first parameter lies, or else its first buffer.
        dtype: The floating point type of that parameter, or None.
        is_known: Whether the model is made of torch's and torchvision's own modules, uncompiled.
        flags: Each module's own training flag as it was; None where all were off.

    Raises:
        ModelError: The model is not a `torch.nn.Module` that runs in Python on tensors that autograd can use.
    """

    def __init__(self, model: nn.Module, *, opens: bool = True) -> None:
        if not isinstance(model, nn.Module):
            hint = ""
            if type(model).__name__ == "ExportedProgram":
                hint = ": an exported program has no layers to explain; pass the module that was exported"
            raise ModelError(f"model is a {_kind(model)}; accepted: a torch.nn.Module (an instance, not a class){hint}")
        tree = _Tree.of(model)
        self.modules = tree.modules
        self._tree = tree
        parameter = _first(tree.each("_parameters"))
        if opens and not tree.is_known:
            _require_python(model, self.modules)
        _require_differentiable(self.modules, tree.lazy, parameter if opens else None)
        self.model = model
        self.is_known = tree.kept is not None and not tree.kept.has_other_methods and not tree.is_any_given("forward")
        first = parameter if parameter is not None else _first(tree.each("_buffers"))
        self.device = torch.device("cpu") if first is None else first.device
        self.dtype = parameter.dtype if parameter is not None and parameter.is_floating_point() else None

    def __enter__(self) -> ModelState:
        _ONE_AT_A_TIME.acquire()
        try:
            return self._entered()
        except BaseException:
            _ONE_AT_A_TIME.release()
            raise

    def _entered(self) -> ModelState:
        self._ordinary_mode = torch.inference_mode(False)
        self._ordinary_mode.__enter__()
        self.flags = list(self._tree.each("training")) if any(self._tree.each("training")) else None
        self._buffers = None if self.is_known else _Buffers(self.modules)
        self._random = None if self.is_known else RandomState(self.device)
        if self.flags is not None:
            self._set_eval()
        if self.is_known:
            self._tree.has_hooks()  # looked for while there are none of this package's own
        return self

    def __exit__(self, *error: Any) -> None:
        try:
            self._put_back()
        finally:
            if self.flags is not None or not self.is_known:
                for module, flag in zip(self.modules, self.flags or repeat(False)):  # noqa: B905  # the latter has no end
                    module.training = flag
            self._ordinary_mode.__exit__(*error)
            _ONE_AT_A_TIME.release()

    def has_hooks(self) -> bool:
        """Return whether somebody placed a hook on a module, or on all modules of the process."""
        return has_global_hooks() or self._tree.has_hooks()

    def is_untouched(self) -> bool:
        """Return whether no random number was drawn and no buffer written to since the state was entered."""
        drawn = self._random is not None and not self._random.is_current()
        return not drawn and (self._buffers is None or self._buffers.are_as_before())

    def run(self, inputs: torch.Tensor) -> Any:
        """Run the model such that the inputs stay what they are: on a copy, unless it is known to leave them alone.

        Args:
            inputs: (n, C, H, W).

        Raises:
            ModelError: The model has written to inputs that it left alone before.
        """
        kept = self._tree.kept
        if kept is None or not self.is_known or kept.hooked:
            return self.model(inputs.clone())
        if not kept.spares_inputs:
            with torch.inference_mode(False):  # whose tensors do not count what is written to them
                copy = inputs.clone()
            output, kept.spares_inputs = self.model(copy), copy._version == 0
            return output
        version = inputs._version
        output = self.model(inputs)
        if inputs._version != version:
            kept.spares_inputs = False
            raise ModelError(
                "the model has written to its input, which it left alone before; was a module of it changed to work in "
                "place? The input that was passed is overwritten; the next call will run on a copy"
            )
        return output

    @contextmanager
    def placing_own_hooks(self) -> Iterator[None]:
        """Count the hooks that are placed in the block as this package's own, which will be gone when it is asked."""
        kept, first = self._tree.kept, RemovableHandle.next_id
        yield
        if kept is not None and kept.next_hook == first:
            kept.next_hook = RemovableHandle.next_id

    def rewind(self) -> None:
        """Put back what a forward pass may have changed, so that a second one starts where the first one did."""
        self._put_back()
        self._set_eval()

    def _put_back(self) -> None:
        if self._random is not None:
            self._random.put_back()
        if self._buffers is not None:
            self._buffers.put_back()

    def _set_eval(self) -> None:
        if any(self._tree.each("training")):
            for module in self.modules:
                module.training = False


def _kind(value: object) -> str:
    return f"class ({value.__name__})" if isinstance(value, type) else type(value).__name__


@dataclass(frozen=True, eq=False)
class _Tree:
    """The modules of a model and what is known of their kinds.

    Attributes:
        modules: The model and all modules in it, each once.
        is_known: Whether all are torch's and torchvision's own, of kinds that draw no random numbers.
        lazy: Which of their kinds are lazy.
        kept: What is kept of a known model from call to call.
    """

    modules: list[nn.Module]
    is_known: bool
    lazy: tuple[type[LazyModuleMixin], ...]
    kept: _Kept | None

    @classmethod
    def of(cls, model: nn.Module) -> _Tree:
        kept = _KEPT.get(model)
        if kept is not None:
            modules = [model, *kept.below]
            if kept.is_of(modules):
                return cls(modules, True, (), kept)
        modules = modules_of(model)
        kinds = list(map(type, modules))
        known, lazy = _traits(frozenset(kinds))
        kept = _KEPT[model] = _Kept.of(modules, kinds) if known and not lazy else None
        return cls(modules, known, lazy, kept)

    # A small network feels each step over all modules: there are few, and they run in C. The attributes of a known
    # module are read from its dict, which is faster than asking the module; one of TorchScript keeps them elsewhere.

    def each(self, name: str) -> Iterator[Any]:
        """Return an attribute of every module."""
        if self.kept is not None:
            return map(operator.itemgetter(name), self.kept.attributes)
        return map(operator.attrgetter(name), self.modules)

    def is_any_given(self, name: str) -> bool:
        """Return whether an instance was given an attribute that its class has, such as another forward method."""
        attributes = map(vars, self.modules) if self.kept is None else self.kept.attributes
        return any(map(operator.contains, attributes, repeat(name)))

    def has_hooks(self) -> bool:
        """Return whether somebody placed a hook on a module."""
        if self.kept is None:
            return any(any(self.each(kind)) for kind in HOOK_KINDS)
        # Each hook that is placed anywhere takes the next number.
        if self.kept.next_hook != RemovableHandle.next_id:
            self.kept.hooked = any(any(self.each(kind)) for kind in HOOK_KINDS)
            self.kept.next_hook = RemovableHandle.next_id
        return self.kept.hooked


@dataclass(eq=False)
class _Kept:
    """The modules below a known model as they were found, and what shows that they still are the ones.

    Attributes:
        below: The modules below the model.
        kinds: The kinds of the model and these.
        attributes: The dicts of the model and these, which hold their attributes.
        parents: Those of them that hold modules.
        children: The modules that these hold.
        childless: The tables of those that hold none. A hook of the user may run a module that is placed there.
        sizes: How many attributes each has.
        has_other_methods: Whether one was given a method of its own in place of its class's.
        next_hook: The number that torch's next hook would have had when hooks were last looked for.
        hooked: Whether there were any.
        spares_inputs: Whether a pass has shown that the model does not write to its input.
    """

    below: list[nn.Module]
    kinds: list[type]
    attributes: list[dict[str, Any]]
    parents: list[dict[str, nn.Module | None]]
    children: list[nn.Module | None]
    childless: list[dict[str, nn.Module | None]]
    sizes: list[int]
    has_other_methods: bool
    next_hook: int = -1
    hooked: bool = True
    spares_inputs: bool = False

    @classmethod
    def of(cls, modules: list[nn.Module], kinds: list[type]) -> _Kept:
        attributes = list(map(vars, modules))
        parents = [module._modules for module in modules if module._modules]
        return cls(
            modules[1:],
            kinds,
            attributes,
            parents,
            _children_in(parents),
            [module._modules for module in modules if not module._modules],
            list(map(len, attributes)),
            any(map(_has_other_methods, modules)),
        )

    def is_of(self, modules: list[nn.Module]) -> bool:
        return (
            self.kinds == list(map(type, modules))
            and self.children == _children_in(self.parents)
            and not any(self.childless)
            and self.sizes == list(map(len, self.attributes))
            and vars(modules[0]) is self.attributes[0]
        )


# What is kept must not keep the model alive: known modules do not refer to the model that they are in. None is kept of
# the others.
_KEPT: WeakKeyDictionary[nn.Module, _Kept | None] = WeakKeyDictionary()


def _has_other_methods(module: nn.Module) -> bool:
    kind = type(module)
    return "_compiled_call_impl" in vars(module) or any(callable(getattr(kind, name, None)) for name in vars(module))


def _children_in(parents: list[dict[str, nn.Module | None]]) -> list[nn.Module | None]:
    return list(chain.from_iterable(map(dict.values, parents)))


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


@lru_cache(maxsize=256)
def _traits(kinds: frozenset[type[nn.Module]]) -> tuple[bool, tuple[type[LazyModuleMixin], ...]]:
    """Return whether all kinds are torch's and torchvision's own and draw no random numbers, and the lazy ones."""
    known = all(kind.__module__.startswith(_KNOWN) for kind in kinds) and kinds.isdisjoint(_RANDOM)
    return known, tuple(kind for kind in kinds if issubclass(kind, LazyModuleMixin))


def _first(tables: Iterable[Mapping[str, torch.Tensor | None]]) -> torch.Tensor | None:
    return next((tensor for table in tables for tensor in table.values() if tensor is not None), None)


def _require_python(model: nn.Module, modules: list[nn.Module]) -> None:
    if isinstance(model, torch.jit.ScriptModule):
        raise ModelError(
            f"model is a {type(model).__name__}: TorchScript runs its layers without the hooks that read them; pass "
            "the torch.nn.Module that it was made from"
        )
    if isinstance(model, torch.fx.GraphModule) and not any(map(_calls_a_module, model.graph.nodes)):
        raise ModelError(
            f"model is a {type(model).__name__} whose graph calls no modules, as torch.export makes it: there are no "
            "layers to explain. Pass the torch.nn.Module that it was made from"
        )
    for module in modules:
        kind = type(module)
        if kind.__name__ == "FullyShardedDataParallel" or any(base.__name__ == "FSDPModule" for base in kind.__mro__):
            raise ModelError(
                f"the model is sharded by FSDP ({kind.__name__}), so no process holds a whole layer; load its state "
                "dict into the plain torch.nn.Module, in one process, and pass that"
            )
        if _is_quantised(kind):
            raise ModelError(
                f"the model has quantised modules ({kind.__module__}.{kind.__name__}), through which no gradient "
                "flows; pass the float model that it was made from"
            )


def _calls_a_module(node: torch.fx.Node) -> bool:
    return node.op == "call_module" and not str(node.target).startswith("_")  # torch.export's guards begin so


def _is_quantised(kind: type) -> bool:
    return kind.__module__.startswith(("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized"))


def _require_differentiable(
    modules: list[nn.Module], lazy: tuple[type[LazyModuleMixin], ...], parameter: torch.Tensor | None
) -> None:
    if lazy and any(isinstance(module, lazy) and module.has_uninitialized_params() for module in modules):
        raise ModelError(
            "the model has lazy modules whose parameters do not exist yet, and making them would change the model; "
            "run it once before"
        )
    if parameter is not None and parameter.is_inference():
        raise ModelError(
            "the model's parameters were made under torch.inference_mode, and autograd cannot use them; make or "
            "load the model outside of it"
        )
