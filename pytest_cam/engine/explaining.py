"""From a model and its inputs to raw maps: several layers, methods and targets from one forward pass."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from numbers import Number
from typing import Any

import torch

from pytest_cam.engine.apart import require_apart, with_arguments_told, with_row_told
from pytest_cam.engine.asking import Ask, Found, Question
from pytest_cam.engine.cache.pass_cache import PassCache
from pytest_cam.engine.layers import AUTO, LayersLike, listed, resolve, resolve_all
from pytest_cam.engine.methods import METHODS, Method, method_named
from pytest_cam.engine.passes.listing import index_of
from pytest_cam.engine.passes.trace import GRADIENTS, trace
from pytest_cam.engine.scores.finite import not_finite
from pytest_cam.engine.scores.independent import of_index
from pytest_cam.engine.scores.targets import Target
from pytest_cam.engine.scoring import scored
from pytest_cam.engine.subject import Subject
from pytest_cam.errors import (
    CamError,
    IndependentScoreError,
    LayerError,
    MethodError,
    NonFiniteError,
    ProbabilityWarning,
    TargetIgnoredWarning,
    is_ours,
    nearest,
    warn,
)

__tracebackhide__ = is_ours

_PROBABILITIES = (
    "the class scores that the model returned look like probabilities: each row lies in [0, 1] and sums to 1, or holds "
    "one number that a sigmoid gave. Where the model is sure, their gradients fade; explain logits instead: leave the "
    "softmax or sigmoid out of the model, or name the logits with output= where it returns both"
)
_told: set[str] = set()


def methods_named(names: Any, options: Mapping[str, Any] | None, model: Any) -> list[Method]:
    """Return the methods of some names, after checking that each option is one of theirs.

    The model is as for `method_named`.

    Raises:
        MethodError: There is no such method, the list is empty or names one twice, or no method has such an option.
    """
    given = list(names) if isinstance(names, (list, tuple)) else [names]
    if not given:
        raise MethodError("the list of methods is empty; accepted: one method or more")
    methods = [method_named(name, model) for name in given]
    for index, method in enumerate(methods):
        if method in methods[:index]:
            raise MethodError(f"the list of methods names {method.name!r} twice; each gives one attention")
    for option in options or ():
        accepted = [name for method in methods for name in method.options]
        if option not in accepted:
            raise MethodError(
                f"{' and '.join(method.name for method in methods)} has no option {option!r}. "
                f"{nearest(option, accepted) or 'It has none.'}"
            )
    return methods


def explain(
    subject: Subject,
    inputs: torch.Tensor,
    layer: LayersLike,
    methods: Sequence[Method],
    targets: list[list[Target]],
    *,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
) -> list[Found]:
    """Return the maps of all layers, methods and targets, from one forward pass.

    Args:
        subject: The model.
        inputs: The batch (B, C, H, W).
        layer: One or several, as for `trace`.
        methods: What is computed.
        targets: For each target one for each image.
        seed: That of methods which draw random numbers.
        options: The methods' own options.

    Returns:
        One for each layer, within it for each method, within it for each target.

    Raises:
        MethodError: A method takes no layer and one is given, or a registered method returns something else than maps.
        NonFiniteError: A map is not finite.
        ModelError: The images of the batch change one another's scores.
        CamError: As for `trace`.
    """
    inputs = subject.placed(inputs)
    without = [method for method in methods if not method.takes_a_layer]
    if without:
        _require_no_layer(without, layer)
    else:
        _require_no_method(subject, layer)
    if isinstance(layer, (list, tuple)) and not without and all(index_of(item) is None for item in layer):
        resolve_all(subject.module, layer)  # which a list that is answered from the cache must pass, too
    _require_layer_of_call(subject.said("layer_call"), layer)
    cache = PassCache(subject, inputs)
    said = _as_key(options) if options and cache.is_on else ()
    keys: list[Any] = []
    if cache.is_on and said is not None:
        keys = [
            (each, target[0], method, seed, said) for each in listed(layer) for method in methods for target in targets
        ]
    # What a registered method reads beside what it is handed may have changed.
    known: list[Any] = [cache.get(*key) if key[2].is_built_in else None for key in keys]
    if not known or None in known:
        known = _computed(subject, inputs, layer, methods, targets, cache, seed, options or {})
        for key, found in zip(keys, known, strict=False):  # of no keys, nothing is kept
            cache.put(found, found.maps.nbytes, *key)
    if any(what.of_probabilities for found in known for what in found.explained):
        warn(_PROBABILITIES, ProbabilityWarning)
    return known


def _computed(
    subject: Subject,
    inputs: torch.Tensor,
    layer: LayersLike,
    methods: Sequence[Method],
    targets: list[list[Target]],
    cache: PassCache,
    seed: int,
    options: Mapping[str, Any],
) -> list[Found]:
    """Return the maps; an error says where the input is what is not finite, and what an index should have been."""
    try:
        questions = _questions(subject, inputs, layer, methods, targets, cache)
        return _answers(subject, inputs, methods, questions, seed, options)
    except NonFiniteError as error:
        if bool(inputs.isfinite().all()):
            raise
        raise not_finite("input", inputs, "that the model was given") from error
    except IndependentScoreError as error:
        counted = [item for item in listed(layer) if index_of(item) is not None]
        last = _last_that_counts(subject, inputs, targets) if counted else None
        if last is None:
            raise
        raise of_index(error, counted, last) from None


def _questions(
    subject: Subject,
    inputs: torch.Tensor,
    layer: LayersLike,
    methods: Sequence[Method],
    targets: list[list[Target]],
    cache: PassCache,
) -> list[Question]:
    if not any(method.takes_a_layer for method in methods):
        scores = scored(subject, inputs, targets)
        return [Question(each, found.explained, found.logits, []) for each, found in zip(targets, scores, strict=True)]
    needs = methods[0].needs.union(*(method.needs for method in methods[1:]))
    layers = listed(layer)
    # What is kept has let go of its graph, which class gradients need.
    kind = frozenset(needs & {"gradients", "curvature", "class_gradients"})
    traces: list[list[Any]] = []
    if cache.is_on:
        traces = [[cache.get(one, target[0], kind) for one in layers] for target in targets]
    if not layers or not traces or any(part is None for parts in traces for part in parts):
        traces = trace(subject, inputs, layer, targets, needs)
        if cache.is_on and "class_gradients" not in kind:
            for target, parts in zip(targets, traces, strict=True):
                for one, part in zip(layers, parts, strict=True):
                    cache.put(part, part.nbytes, one, target[0], kind)
    return [
        Question(each, parts[0].explained, parts[0].logits, parts) for each, parts in zip(targets, traces, strict=True)
    ]


def _answers(
    subject: Subject,
    inputs: torch.Tensor,
    methods: Sequence[Method],
    questions: list[Question],
    seed: int,
    options: Mapping[str, Any],
) -> list[Found]:
    """Return what the methods answer, after a check that each image of a batch has the score that it has alone."""
    first = questions[0]
    cut = subject.has_arguments and bool(subject.cut_arguments())
    alone = cut and any(method.runs_images_alone for method in methods)
    if cut and len(inputs) > 1:  # by rows, of which methods ask for one image's own
        subject = with_arguments_told(subject, inputs, first.given, first.explained, of_each=alone)
    elif alone:
        subject = with_row_told(subject, inputs, first.given[0], first.explained[0])
    ask = Ask(subject, inputs, seed, options)
    found = [
        ask(method, question, number)
        for number in range(max(1, len(first.parts)))
        for method in methods
        for question in questions
    ]
    if not cut:
        require_apart(subject, inputs, first.given[-1], first.explained)
    return found


def _last_that_counts(subject: Subject, inputs: torch.Tensor, targets: list[list[Target]]) -> str | None:
    """Return the name of the layer that is found where none is given; None where there is no such layer either."""
    subject.state.rewind()
    try:
        traces = trace(subject, inputs, None, targets, GRADIENTS)
    except CamError:
        return None
    return traces[0][0].layer


def _as_key(options: Mapping[str, Any]) -> Hashable:
    """Return options as a key, or None where one of them may hold something else while it looks the same."""
    if not all(map(_is_plain, options.values())):
        return None
    return tuple(sorted((name, repr(value)) for name, value in options.items()))


def _is_plain(value: Any) -> bool:
    if type(value) in (list, tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (str, bytes, Number))


def _require_no_method(subject: Subject, layer: LayersLike) -> None:
    """Raise where a method is given for a layer: the model has none of that name."""
    for each in listed(layer):
        if isinstance(each, str) and each in METHODS:
            try:
                resolve(subject.module, each)
            except LayerError:
                name = type(subject.module).__name__
                raise LayerError(f"{name} has no layer {each!r}. It is a method: method={each!r}") from None


def _require_no_layer(methods: list[Method], layer: LayersLike) -> None:
    if layer is not None and layer != AUTO:
        names = " and ".join(method.name for method in methods)
        raise MethodError(
            f"{names} explains the model as a whole and takes no layer, and layer is {layer!r}; leave it out (in a "
            "call of its own, where other methods need one), or pass layer='auto' where a setting names one"
        )


def _require_layer_of_call(layer_call: Any, layer: LayersLike) -> None:
    if layer_call is not None and any(item in (None, AUTO) for item in listed(layer)):
        raise LayerError(
            f"layer_call is {layer_call!r}, and no layer is named: of the one that is found the last execution is "
            "explained. Accepted: layer_call beside a layer, such as layer='layer4'"
        )


def tell_of_ignored_targets(methods: Sequence[Method], targets: list[list[Target]]) -> None:
    """Warn, once for each method, where targets are given to one whose map is the same for every target.

    Args:
        methods: What is computed.
        targets: Those that the user gave, for each of them one for each image.
    """
    if all(target is None for each in targets for target in each):
        return
    for method in methods:
        if not method.takes_a_target and method.name not in _told:
            _told.add(method.name)
            warn(
                f"{method.name} has the same map for every target: target={targets[0][0]!r} changes only what the "
                "message says (this is said once)",
                TargetIgnoredWarning,
            )
