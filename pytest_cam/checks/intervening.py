"""What the verbs that hide part of an image have in common: asking, and the evidence of a failure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_cam.checks.how import require_how
from pytest_cam.engine.scores.explained import Explained
from pytest_cam.errors import LimitError, is_ours
from pytest_cam.images import drawing
from pytest_cam.intervention import Intervention
from pytest_cam.verdicts.findings import Figure, Findings, View
from pytest_cam.verdicts.limits import as_number
from pytest_cam.verdicts.message import CROPPED, class_said

__tracebackhide__ = is_ours

# What a map needs and a forward pass does not; the `cam` fixture and markers set it for a whole file.
_OF_MAPS = ("layer", "method", "reshape", "layer_call", "method_options", "smooth", "seed")


def asked(how: Mapping[str, Any], verb: Callable[..., Any]) -> dict[str, Any]:
    """Return what a verb without a map was told, without what is about maps, after checking the rest.

    Raises:
        KeywordError: A keyword is none.
        TargetError: The target is a list.
    """
    kept = {name: value for name, value in how.items() if name not in _OF_MAPS}
    require_how(kept, verb)
    return kept


def checked_limit(name: str, value: Any, *, of_probability: bool) -> float | None:
    """Return a limit as a number; None where none is given.

    Raises:
        LimitError: It is no number, or nothing could pass or fail by it.
    """
    if value is None:
        return None
    accepted = "a number above 0 and at most 1" if of_probability else "a finite number"
    number = as_number(value)
    if number is None or not math.isfinite(number) or (of_probability and not 0 < number <= 1):
        what = "a probability" if of_probability else "the score of a callable target"
        raise LimitError(f"{name} is {value!r}; accepted for {what}: {accepted}")
    return number


def findings(intervention: Intervention, check: str, figures: Sequence[Figure], hints: Sequence[str] = ()) -> Findings:
    """Return what a failure of one of these verbs carries.

    Args:
        intervention: What was seen.
        check: What was asked, in words.
        figures: The numbers.
        hints: What to try next, beside what is known for all of them.
    """
    before, after = intervention.before, intervention.after
    name, changed = _names(intervention)
    whole, perturbed = drawing.reduced(intervention.image.rgb()), drawing.reduced(intervention.picture())
    return Findings(
        check=check,
        where=intervention.fill,
        figures=tuple(figures),
        views=(
            View("whole", f"as it is: {_briefly(before.explained)}", whole, about=_about(before.explained)),
            View(name, f"{changed}: {_briefly(after.explained)}", perturbed, about=_about(after.explained)),
        ),
        image_name=intervention.image.name,
        geometry=intervention.geometry,
        facts=(
            ("explained", class_said(before.explained.target, before.explained.name)),
            ("as it is", _said(before.explained, before.predicted)),
            (changed, _said(after.explained, after.predicted)),
            ("region", f"{intervention.region}, {intervention.covered:.0%} of what the model sees"),
        ),
        regions=(intervention.region,),
        hints=(*_accuracy(before.explained), *hints, *_cropped(intervention)),
    )


def quoted(what: Explained | None) -> str:
    """Return how a class is called in a sentence."""
    if what is None:
        return "nothing"
    return what.name if what.name == f"class {what.target}" else f'"{what.name}"'


def _names(intervention: Intervention) -> tuple[str, str]:
    return ("region-only", "region alone") if intervention.keeps else ("region-hidden", "region hidden")


def _said(what: Explained, predicted: Explained | None) -> str:
    value = f"score {what.score:.4g}" if what.probability is None else f"probability {what.probability:.2f}"
    if predicted is None:
        return value
    if what.is_predicted:
        return f"{value}, predicted"
    likely = "" if predicted.probability is None else f" with {predicted.probability:.2f}"
    return f"{value}; predicted is {quoted(predicted)}{likely}"


def _briefly(what: Explained) -> str:
    value = f"{what.name} = {what.score:.3g}" if what.probability is None else f"{quoted(what)} {what.probability:.2f}"
    return value if what.is_predicted or what.predicted_name is None else f"{value}; {what.predicted_name} is predicted"


def _about(what: Explained) -> dict[str, Any]:
    return {
        "target": what.target,
        "explained": what.name,
        "score": what.score,
        "probability": what.probability,
        "predicted": what.predicted,
        "predicted_name": what.predicted_name,
    }


def _accuracy(before: Explained) -> list[str]:
    if before.target is None or before.predicted is None or before.is_predicted:
        return []
    return [
        f"the model predicts {before.predicted_name}, not {before.name}, with nothing hidden: is this a failure of "
        "accuracy first?"
    ]


def _cropped(intervention: Intervention) -> list[str]:
    if intervention.region.is_rest or intervention.region.visible_share(intervention.geometry) >= 0.9:
        return []
    return [CROPPED]
