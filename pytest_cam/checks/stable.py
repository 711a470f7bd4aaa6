"""The map must move with the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pytest_cam.attending import attend, attend_batch, prepared_in
from pytest_cam.attention import Attention
from pytest_cam.checks.how import How, of_one_target, require_how
from pytest_cam.engine.batches.coupling import are_apart
from pytest_cam.engine.black_box import Model, state_of
from pytest_cam.engine.further import seed_of
from pytest_cam.engine.methods import method_named
from pytest_cam.engine.scores.ready_targets import ReadyTarget
from pytest_cam.errors import EmptyMapError, FlatMapError, PerturbationError, TargetError, VacuousError, is_ours
from pytest_cam.images import drawing
from pytest_cam.images.perturbations import Change, Move, Perturbation, perturbation, same
from pytest_cam.images.preprocessing import PreparedImage
from pytest_cam.measures.similarity import PEARSON_RANGE, is_flat, pearson
from pytest_cam.verdicts.findings import Figure, Findings, View
from pytest_cam.verdicts.judging import Asked, judge
from pytest_cam.verdicts.limits import fallible_limit, least
from pytest_cam.verdicts.message import explained
from pytest_cam.views import require_pattern, view_of, where

if TYPE_CHECKING:
    from typing_extensions import Unpack

__tracebackhide__ = is_ours

CHECK = "attention stable"

_LEAST_ALIKE = 0.8
_OF_AN_INPUT = ("shift", "brightness", "noise")
_OF_AN_IMAGE = (*_OF_AN_INPUT, "jpeg")


@dataclass(frozen=True, eq=False)
class Perturbed:
    """What became of a map under one perturbation.

    Attributes:
        name: The perturbation's: "flip", "noise 0.1".
        attention: The attention of the perturbed image, in its own place.
        pearson: The correlation with the original's map, once it is laid over it, in [-1, 1].
    """

    name: str
    attention: Attention
    pearson: float


@dataclass(frozen=True, eq=False)
class Stability:
    """How a map moved with its image.

    Attributes:
        attention: That of the image as it is.
        under: What became of it under each perturbation, in the order in which they were given.
    """

    attention: Attention
    under: tuple[Perturbed, ...]


def assert_attention_stable(
    model: Model,
    img: Any,
    under: Sequence[Any] | str | None = None,
    *,
    at_least: float | None = None,
    **how: Unpack[How],
) -> Stability:
    """Fail unless the map stays with what is in the image when the image is changed a little.

    Ask it under what the model was trained to bear: a mirrored digit or letter is another one, so "flip" is only asked
    where it is named. After the original's, one forward pass explains all perturbed images of a model that is made of
    torch's own modules; in another one the images of a batch might change one another's scores, and each has its own.

    Args:
        model: As for `attend`.
        img: As for `attend`.
        under: Names, perturbations or functions, or one of them. "flip" and "shift" (by one cell of the map) move the
            content of the input, as the model sees it, so that the map can be laid back exactly; "brightness" (times
            1.2), "noise" (2 % of the range) and "jpeg" (quality 75) change the image's own pixels, before the
            preprocess. With other strengths: `Shift(2)`, `Brightness(0.5)`, `Noise(0.1)`, `Jpeg(30)`. A function takes
            the RGB PIL image and returns one of that size, with everything in its place, or takes and returns a tensor
            where `img` is one; it must not be random. None is shift, brightness, noise and, of an image, jpeg.
        at_least: The least Pearson correlation, in [-1, 1], of the map, laid back, with that of the original over the
            part that both show; 0.8 by default.
        **how: `layer`, `method`, `target`, `preprocess` and all else as for `attend`. Where no target is given, all are
            explained for the class that the model predicts on the original. `seed`, 0 by default, is that of "noise".

    Returns:
        The map of the original, and each perturbation's with its correlation.

    Raises:
        AttentionError: The map does not stay with the image.
        PerturbationError: There is no such perturbation, it is random, or it does not fit the image or the map.
        VacuousError: There is none, or one changes nothing in this image.
        TargetError: The target is tied to a place, which "flip" and "shift" move.
        EmptyMapError: The map of the original is zero everywhere, or in all that is compared.
        FlatMapError: It is the same everywhere, or in all that is compared.
        LimitError: The limit is outside of its range, or the end of it that nothing could fail.
        CamError: As for `attend`.
    """
    require_how(how, assert_attention_stable)
    limits = least(fallible_limit("at_least", at_least, "Pearson", *PEARSON_RANGE), _LEAST_ALIKE)
    with state_of(model, [method_named(how.get("method", "gradcam++"), model)]) as state:
        [prepared] = prepared_in(state, [img], how.get("preprocess"), "image")
    chosen = _chosen(under, prepared, how)
    attention = attend(model, img, **how)
    result = Stability(attention, ())
    with Asked(attention.evidence):
        require_pattern(attention)
        result = _stability(model, prepared, chosen, attention, how)
        meaning = "with the original's map, once laid back over it"
        figures = tuple(
            Figure(f"Pearson under {each.name}", each.pearson, limits, meaning, range=PEARSON_RANGE, level=0.0)
            for each in result.under
        )
        judge(CHECK, figures, lambda held: _findings(result, held))
    return result


def _stability(
    model: Model, prepared: PreparedImage, chosen: list[Perturbation], attention: Attention, how: How
) -> Stability:
    with state_of(model, []) as state:
        with state.users_code():
            changed = [_perturbed(each, prepared, attention) for each in chosen]
        together = are_apart(state)
    if how.get("model_args") or how.get("model_kwargs"):  # which are for one image
        together = False
    asked = of_one_target(how, attention)
    found = attend_batch(model, changed, **asked) if together else [attend(model, each, **asked) for each in changed]
    under = (
        Perturbed(str(each), other, _likeness(each, attention, other))
        for each, other in zip(chosen, found, strict=True)
    )
    return Stability(attention, tuple(under))


def _chosen(under: Sequence[Any] | str | None, prepared: PreparedImage, how: How) -> list[Perturbation]:
    if under is None:
        under = _OF_AN_INPUT if prepared.source.is_input else _OF_AN_IMAGE
    given = list(under) if isinstance(under, (list, tuple)) else [under]
    if not given:
        raise VacuousError("vacuous: under is empty; accepted: one perturbation or more")
    chosen = [perturbation(each, seed_of(how)) for each in given]
    names = [str(each) for each in chosen]
    if len(set(names)) < len(names):
        raise PerturbationError(f"under has a perturbation twice: {', '.join(names)}; accepted: each once")
    target = how.get("target")
    moving = next((each for each in chosen if isinstance(each, Move)), None)
    if moving and isinstance(target, ReadyTarget) and type(target).on_input is not ReadyTarget.on_input:
        raise TargetError(
            f"the target {type(target).__name__} is tied to a place in the image, which {moving} moves; accepted: a "
            "class, or under=[...] without flip and shift"
        )
    return chosen


def _perturbed(each: Perturbation, prepared: PreparedImage, attention: Attention) -> Any:
    """Return what `attend` is given: the perturbed input of a move, the perturbed image of a change."""
    rows, columns = attention.map.shape
    before = prepared.source.pixels if isinstance(each, Change) else prepared.tensor
    after = each.changed(before) if isinstance(each, Change) else each.moved(prepared.tensor, (rows, columns))
    if same(before, after):
        raise VacuousError(f"vacuous: {each} changes nothing in {prepared.source.name}, so its map cannot change")
    return after


def _likeness(each: Perturbation, attention: Attention, other: Attention) -> float:
    first, second = attention.map, other.map
    if isinstance(each, Move):
        first, second = each.matched(first, second)
    if float(first.max()) == 0:
        raise EmptyMapError(
            f"all of the attention lies where {each} takes it out of the input, so there is nothing to compare; leave "
            "it out of under=[...], or shift the other way",
            attention.evidence(),
        )
    if is_flat(first):
        raise FlatMapError(
            f"in what {each} leaves of the input attention is the same everywhere, so there is no pattern to compare; "
            "leave it out of under=[...], or shift the other way",
            attention.evidence(),
        )
    return pearson(first, second) if float(second.max()) > 0 else 0.0


def _in_image(view: View, moved: Attention, original: Attention) -> View:
    """Return the view of a moved input, which is its own image, in the image that the others are views of."""
    if original.image.is_input or not moved.image.is_input:
        return view
    picture = drawing.input_in_image(moved.image.rgb(), original.geometry, drawing.reduced(original.image.rgb()))
    return replace(view, picture=picture, geometry=original.geometry)


def _findings(result: Stability, figures: tuple[Figure, ...]) -> Findings:
    attention = result.attention
    views = [view_of(attention, "original", "as it is")]
    # The worst one first: a text shows two maps.
    for number, each in sorted(enumerate(result.under, 1), key=lambda numbered: numbered[1].pearson):
        title = f"{each.name}: Pearson {each.pearson:.2f}"
        views.append(_in_image(view_of(each.attention, f"perturbed-{number}", title), each.attention, attention))
    changed = [each for each in result.under if each.attention.explained.predicted != attention.explained.predicted]
    hints = [
        f"under {each.name} the model predicts {each.attention.explained.predicted_name} and no longer "
        f"{attention.explained.predicted_name}: is it accurate there?"
        for each in changed
    ]
    if any(each.name == "flip" and not figure.passed for each, figure in zip(result.under, figures, strict=True)):
        hints.append("a mirrored letter, digit or scene may be another one to the model: was it trained with flips?")
    empty = [each.name for each in result.under if each.attention.map.max() == 0]
    return Findings(
        check=CHECK,
        where=where(attention),
        figures=figures,
        views=tuple(views),
        image_name=attention.image.name,
        geometry=attention.geometry,
        facts=(
            ("explained", explained(attention.explained)),
            *([("empty", f"under {', '.join(empty)} the map is zero everywhere")] if empty else []),
        ),
        hints=tuple(hints),
    )
