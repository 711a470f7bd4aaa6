"""The CAM methods by name: each a function in a file of its own, which is imported when it is used.

A method asks for what it needs by the names of its parameters, as a fixture does: see `RESOURCES`. This file imports
the standard library only, so that names can be checked where nothing is computed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from importlib import import_module
from typing import Any, TypeVar

from pytest_cam.engine.methods.entry_points import described, entry_points, loaded
from pytest_cam.engine.methods.same_function import is_same
from pytest_cam.errors import MethodError, is_ours, kind_of, nearest

__tracebackhide__ = is_ours

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])

RESOURCES = {
    "activations": "A, the layer's output, (B, C, h, w), float32 or float64",
    "gradients": "G = d score / d A, (B, C, h, w)",
    "curvature": "the Hessian of the score in A times A, (B, C, h, w)",
    "inputs": "the model's input, (B, C, H, W)",
    "score": "the explained score, a float",
    "target": "the explained class index, or None where a callable is explained",
    "logits": "the class scores, (1, K)",
    "class_gradients": "from weights (1, K) to the gradient of sum(weights * logits) in A, (1, C, h, w)",
    "score_inputs": "(count, make): the explained score, (count,), of inputs that make(start, stop) returns",
    "score_activations": "(count, make): the same for outputs of the layer, (n, C, h, w)",
    "trace_inputs": "(count, make): activations and gradients, each (count, C, h, w), for other inputs",
    "attention_gradients": "for each attention block of a vision transformer d score / d attention, (heads, n, h, w)",
    "generator": "a torch.Generator of the CPU, with the seed of the call",
}
_OF_WHOLE_BATCHES = {"activations", "gradients", "curvature"}
_OF_ANY_CALLABLE = {"inputs", "score", "target", "logits", "score_inputs", "generator"}
_WITHOUT_A_LAYER = _OF_ANY_CALLABLE | {"attention_gradients"}
_WITHOUT_A_GRADIENT = _OF_ANY_CALLABLE | {"activations", "score_activations"}
_OF_IMAGES_ALONE = {"score_inputs", "score_activations", "trace_inputs", "attention_gradients"}
_OF_THE_TARGET = set(RESOURCES) - {"activations", "inputs", "logits", "generator"}


@dataclass(frozen=True)
class Method:
    """A CAM method.

    Attributes:
        name: What users call it.
        load: Returns its function.
    """

    name: str
    load: Callable[[], Callable[..., Any]]

    @cached_property
    def function(self) -> Callable[..., Any]:
        """From the resources that its parameters name to maps (B, h, w), all >= 0."""
        function = self.load()
        _require_function(self.name, function)
        return function

    @property
    def is_built_in(self) -> bool:
        """Whether it is one of this package's."""
        return METHODS.get(self.name) is self

    @cached_property
    def needs(self) -> frozenset[str]:
        """The resources that it asks for."""
        return frozenset(_parameters(self.function)[0])

    @cached_property
    def options(self) -> Mapping[str, Any]:
        """Its own options with their defaults."""
        return _parameters(self.function)[1]

    @cached_property
    def takes_batches(self) -> bool:
        """Whether it takes a batch of images at once; else it gets them one at a time."""
        return self.needs <= _OF_WHOLE_BATCHES

    @cached_property
    def takes_a_layer(self) -> bool:
        """Whether it explains a layer, and not the model as a whole."""
        return not self.needs <= _WITHOUT_A_LAYER

    @cached_property
    def takes_gradients(self) -> bool:
        """Whether it differentiates the score."""
        return not self.needs <= _WITHOUT_A_GRADIENT

    @property
    def runs_images_alone(self) -> bool:
        """Whether it runs the model on versions of one image of a batch."""
        return bool(self.needs & _OF_IMAGES_ALONE)

    @property
    def takes_any_callable(self) -> bool:
        """Whether it explains what is no module, too."""
        return not (self.takes_a_layer or self.takes_gradients)

    @cached_property
    def takes_a_target(self) -> bool:
        """Whether its map depends on which score is explained."""
        return bool(self.needs & _OF_THE_TARGET)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call its function."""
        return self.function(*args, **kwargs)


def _built_in(name: str, file: str) -> Method:
    return Method(name, lambda: getattr(import_module(f"{__name__}.{file}"), file))


METHODS = {
    method.name: method
    for method in (
        _built_in("gradcam", "gradcam"),
        _built_in("gradcam++", "gradcam_plus_plus"),
        _built_in("hirescam", "hirescam"),
        _built_in("layercam", "layercam"),
        _built_in("xgradcam", "xgradcam"),
        _built_in("gradcam-elementwise", "gradcam_elementwise"),
        _built_in("eigencam", "eigencam"),
        _built_in("eigengradcam", "eigengradcam"),
        _built_in("kpcacam", "kpcacam"),
        _built_in("shapleycam", "shapleycam"),
        _built_in("finercam", "finercam"),
        _built_in("legrad", "legrad"),
        _built_in("smoothgradcam++", "smoothgradcam_plus_plus"),
        _built_in("scorecam", "scorecam"),
        _built_in("ablationcam", "ablationcam"),
        _built_in("rise", "rise"),
        _built_in("occlusion", "occlusion"),
        _built_in("random", "random_map"),
    )
}
_registered: dict[str, Method] = {}


def register_method(name: str) -> Callable[[AnyFunction], AnyFunction]:
    """Make a function a CAM method of that name.

    The function's parameters say what it gets, by these names; parameters that are keyword-only and have a default are
    its own options, for `method_options={...}`:

    - `activations`: A, the layer's output, (B, C, h, w), float32 or float64.
    - `gradients`: G = d score / d A, (B, C, h, w). A function that does not ask for it costs no backward pass.
    - and those that the built-in methods use: see `pytest_cam.engine.methods.RESOURCES`.

    It returns maps (B, h, w), which are measured as they are where they are positive; what is negative counts as zero.
    What it raises becomes a `MethodError` that names it, chained from the error; a shortage of memory stays what it is.

    Args:
        name: What `method=` and `--cam-method` take.

    Returns:
        A decorator, which leaves the function as it is.

    Raises:
        MethodError: The name is taken or empty, or the function asks for something that there is not.
    """
    if not isinstance(name, str) or not name:
        raise MethodError(f"a method is registered under {name!r}; accepted: a name, as in register_method('mine')")

    def register(function: AnyFunction) -> AnyFunction:
        _require_function(name, function)
        known = _registered.get(name)
        # A conftest that is imported a second time brings the same function again.
        if name in METHODS or (known is not None and not is_same(known.function, function)):
            raise MethodError(f"there is a method {name!r} already; register yours under another name")
        _registered[name] = Method(name, lambda: function)
        return function

    return register


def method_named(name: object, model: Any = None) -> Method:
    """Return the method of that name.

    Args:
        name: That of a built-in method, of a registered one, or of an entry point in the group `pytest_cam.methods`.
        model: What will be explained: a layer of it is at times given for the method.

    Raises:
        MethodError: There is no such method or more than one, or what an entry point stands for is no method.
    """
    if isinstance(name, str):
        found = METHODS.get(name) or _registered.get(name)
        if name in entry_points():
            found = _from_entry_points(name)
        if found is not None:
            return found
        if name and hasattr(model, "named_modules") and name in dict(model.named_modules()):
            raise MethodError(f"there is no method {name!r}. It is a layer of the model: layer={name!r}")
    raise MethodError(f"there is no method {name!r}. {nearest(name, method_names())}")


def method_names() -> list[str]:
    """Return the names of all methods that there are, each once."""
    return list(dict.fromkeys([*METHODS, *_registered, *entry_points()]))


def names_for_any_callable() -> list[str]:
    """Return the names of the methods that explain any callable; of entry points, those that are in use."""
    known = {**METHODS, **_found, **_registered}
    return [name for name, method in known.items() if method.takes_any_callable]


def contested_names() -> list[str]:
    """Return the names of entry points that another method has, too; it may be the same one, registered as well."""
    return [
        name for name, points in entry_points().items() if len(points) > 1 or name in METHODS or name in _registered
    ]


_found: dict[str, Method] = {}


def _from_entry_points(name: str) -> Method:
    """Return the method that an entry point stands for, after checking that no other one has its name."""
    first, *others = entry_points()[name]
    if name in METHODS or others:
        raise _taken(name)
    method = _found.get(name) or Method(name, partial(loaded, first))
    function = method.function
    _found[name] = method
    # A package may register what its entry point stands for, too: then it did when it was imported.
    registered = _registered.get(name)
    if registered is not None and not is_same(registered.function, function):
        raise _taken(name)
    return method if registered is None else registered


def _taken(name: str) -> MethodError:
    points = list(map(described, entry_points()[name]))
    advice = ""
    if name in METHODS:
        holder = "a built-in one"
    elif name in _registered:
        holder, advice = "a registered one", "; register yours under another name"
    else:
        holder = points.pop(0)
    return MethodError(
        f"there is a method {name!r} already, {holder}, and {' and '.join(points)} has the same name{advice}"
    )


def _parameters(function: Callable[..., Any]) -> tuple[list[str], dict[str, Any]]:
    """Return the names of the resources that a function asks for, and its options with their defaults."""
    kinds = _signature(function).parameters.values()
    options = {kind.name: kind.default for kind in kinds if kind.default is not kind.empty}
    return [kind.name for kind in kinds if kind.default is kind.empty], options


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(function)
    except ValueError:  # some of those written in C have none
        return inspect.Signature()


def _require_function(name: str, function: Callable[..., Any]) -> None:
    if not callable(function):
        raise MethodError(f"method {name!r} is {kind_of(function)}; accepted: a function")
    asked, _ = _parameters(function)
    for kind in _signature(function).parameters.values():
        if kind.kind in (kind.POSITIONAL_ONLY, kind.VAR_POSITIONAL):
            raise MethodError(
                f"method {name!r} takes '{kind}' by position; accepted: parameters that go by their names"
            )
    for resource in asked:
        if resource not in RESOURCES:
            raise MethodError(
                f"method {name!r} asks for {resource!r}, which there is not. {nearest(resource, RESOURCES)} A "
                "parameter with a default is an option of the method's own"
            )
    if not {"activations", "inputs", "attention_gradients"} & set(asked):
        raise MethodError(
            f"method {name!r} asks for {', '.join(asked) or 'nothing'}; accepted: parameters named 'activations', or "
            "'inputs' or 'attention_gradients' for a method without a layer, and others of "
            f"{', '.join(map(repr, RESOURCES))}"
        )
