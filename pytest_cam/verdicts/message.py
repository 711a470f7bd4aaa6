"""The text of a failure: enough to understand it from a bare log."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pytest_cam.columns import to_the_left, width_of
from pytest_cam.engine.scores.explained import Explained
from pytest_cam.images.geometry import Geometry
from pytest_cam.images.regions import Box, Region
from pytest_cam.verdicts.evidence import Evidence, Measurement
from pytest_cam.verdicts.findings import AnyEvidence, Figure, Findings, View
from pytest_cam.verdicts.limits import Judged
from pytest_cam.verdicts.sketch import COLUMNS_ALONE, COLUMNS_OF_TWO, LEGEND, LEGEND_OF_REGIONS, side_by_side, sketch

if TYPE_CHECKING:
    from pytest_cam.attention import Attention

CROPPED = "the preprocess crops part of the region away; test with an image that shows all of it"
# Below this ceiling the grid, not the model, decides much of the figure.
_COARSE = 0.5
# Of maps beside one another in a text, as many as a terminal is wide.
_MOST_SKETCHES = 2


def first_line(evidence: AnyEvidence) -> str:
    """Return the decision in a few words, since a terminal cuts it: "attention in box: skill 0.02 < 0.25 (...)".

    Where there is no verdict, what the check failed of stands in its place.
    """
    if evidence.problem:
        return evidence.problem
    if isinstance(evidence, Findings):
        decisions = "; ".join(
            figure.words or _decision(figure.name, figure) for figure in evidence.figures if not figure.passed
        )
        return f"{evidence.check}{': ' if decisions else ''}{decisions} ({evidence.where})"
    decisions = "; ".join(decision(measurement) for measurement in evidence.measurements)
    return f"{evidence.check}{': ' if decisions else ''}{decisions} ({evidence.method}, {layer_said(evidence)})"


def decision(measurement: Measurement) -> str:
    """Return one measurement against the limit that is nearest: "skill 0.02 < 0.25"."""
    if np.isnan(measurement.value):
        return f"{measurement.metric} undecided, the peak is shared by {measurement.tied_cells} cells"
    return _decision(measurement.metric, measurement)


def _decision(name: str, judged: Judged) -> str:
    value, limits = judged.value, judged.limits
    if np.isnan(value):
        return f"{name} is not a number"
    failed = not judged.passed  # rounding may put what passes beside its limit
    if failed and limits.at_least is not None and value < limits.at_least:
        return f"{name} {_apart(value, limits.at_least)} < {limits.at_least:g}"
    if failed and limits.at_most is not None:
        return f"{name} {_apart(value, limits.at_most)} > {limits.at_most:g}"
    bounds = f" ({limits})" if str(limits) else ""
    return f"{name} {value:.2f}{bounds}"


def message(evidence: AnyEvidence) -> str:
    """Return the whole text of a failed check.

    Args:
        evidence: What was seen and measured.

    Returns:
        The decision, then the figures behind it, what was explained, where the peak is, the map as a small picture,
        and what to try where the cause is known.
    """
    if isinstance(evidence, Findings):
        return _of_findings(evidence)
    facts = []
    for measurement in evidence.measurements:
        if measurement.limits.is_agreed:  # others stand on the first line, and in the test
            facts.append(("limit", f"{measurement.metric} {measurement.limits}"))
        facts += [("energy", _energy(measurement)), ("region", _region(measurement, evidence))]
    facts.append(("explained", explained(evidence.explained)))
    if not evidence.layout.startswith("NCHW"):  # what everybody expects needs no line
        facts.append(("layout", evidence.layout))
    facts += [("peak", _peak(evidence)), ("image", image(evidence.image_name, evidence.geometry))]
    lines = [first_line(evidence), "", *_aligned(facts), ""]
    lines += [f"  {line}" for line in sketch(evidence.map, evidence.geometry, _measured_in(evidence))]
    lines += [f"  {_legend(evidence.measurements)}", *(f"  try: {hint}" for hint in _hints(evidence))]
    return "\n".join(lines)


def _of_findings(findings: Findings) -> str:
    facts = [(figure.name, number(figure)) for figure in findings.figures]
    facts += [*findings.facts, ("image", image(findings.image_name, findings.geometry))]
    lines = [first_line(findings), "", *_aligned(facts)]
    mapped = [view for view in findings.views if view.map is not None][:_MOST_SKETCHES]
    if mapped:
        columns = COLUMNS_ALONE if len(mapped) == 1 else COLUMNS_OF_TWO
        drawn = [(view.title, _sketched(view, findings.regions, columns)) for view in mapped]
        lines += ["", *(f"  {line}" for line in side_by_side(drawn)), f"  {_legend(findings.regions)}"]
    return "\n".join([*lines, *(f"  try: {hint}" for hint in findings.hints)])


def _sketched(view: View, regions: Sequence[Region], most_columns: int) -> list[str]:
    # Of several regions, each map's own: characters have no dashes for the others.
    outlined = regions if view.own is None else [view.own]
    return sketch(view.map, view.geometry, outlined, most_columns)  # type: ignore[arg-type]  # a view with a map


def _legend(outlined: Sequence[object]) -> str:
    return LEGEND_OF_REGIONS if outlined else LEGEND


def _aligned(facts: Sequence[tuple[str, str]]) -> list[str]:
    width = max(10, *(width_of(name) for name, _ in facts))
    return [f"  {to_the_left(name, width)} {text}" for name, text in facts]


def number(figure: Figure) -> str:
    """Return a number with its limits and its meaning."""
    if figure.words:
        return (
            f"{'passes' if figure.passed else 'FAILS'}: {figure.words}{f'; {figure.meaning}' if figure.meaning else ''}"
        )
    limits = f", {'passes' if figure.passed else 'FAILS'} {figure.limits}" if str(figure.limits) else ""
    return f"{_rounded(figure)}{limits}{f'; {figure.meaning}' if figure.meaning else ''}"


def _rounded(figure: Figure) -> str:
    """Return a value with three digits, or with as many as it takes to stay on its side of the limits."""
    for digits in (3, 4, 5):
        shown = f"{figure.value:.{digits}g}"
        if replace(figure, value=float(shown)).passed == figure.passed:
            return shown
    return repr(figure.value)


def _measured_in(evidence: Evidence) -> set[Region]:
    return {measurement.region for measurement in evidence.measurements}


def explained(what: Explained) -> str:
    """Return what score a map explains, and whether the model predicts it."""
    if what.target is None:
        text = f"{what.name} = {what.score:.4g}"
    else:
        text = class_said(what.target, what.name) + (f" ({what.note})" if what.note else "")
    if what.probability is not None:
        text += f", probability {what.probability:.2f}"
    if what.predicted is None:
        return text
    if what.is_predicted:
        return f"{text}, predicted"
    return f"{text}; the model predicts {what.predicted_name}"


def class_said(index: int | None, name: str) -> str:
    """Return what a class is called: 'class 3 "dog"', or "class 3" without a name; of a callable its own name."""
    return name if index is None or name == f"class {index}" else f'class {index} "{name}"'


def layer_said(what: Evidence | Attention) -> str:
    """Return the explained layer, and which of its runs where there are several: "layer4", "relu in run 1 of 2"."""
    return what.layer + (f" in run {what.layer_call} of {what.layer_calls}" if what.layer_calls > 1 else "")


def image(name: str, geometry: Geometry) -> str:
    """Return which image was used and how large it and the model's input are."""
    width, height = geometry.image_size
    text = f"{short_path(name)}, {width} x {height}"
    if geometry.input_size == (width, height):
        return text
    return f"{text}; the model sees {geometry.input_size[0]} x {geometry.input_size[1]}"


def short_path(name: str) -> str:
    """Return a path relative to the working directory where it lies below it."""
    with suppress(OSError, ValueError):  # the working directory is gone, or the path lies elsewhere
        return str(Path(name).relative_to(Path.cwd()))
    return name


def _apart(value: float, limit: float) -> str:
    """Return a value with as many digits as it takes to tell it from the limit."""
    for digits in (2, 3, 4):
        shown = f"{round(value, digits) + 0.0:.{digits}f}"  # which makes no minus of what rounds to zero
        if shown != f"{limit:.{digits}f}":
            return shown
    return repr(value)


def _energy(measurement: Measurement) -> str:
    share, chance, ceiling = measurement.energy, measurement.chance, measurement.ceiling
    return f"{share:.2f} in the region; chance {chance:.2f}, ceiling {ceiling:.2f}"


def _region(measurement: Measurement, evidence: Evidence) -> str:
    text = " ".join(str(region) for region in evidence.regions)
    if measurement.region not in evidence.resolved_regions:
        text += " widened by one cell"
    if measurement.region not in evidence.regions and isinstance(measurement.region, Box):
        text += f" to {measurement.region}"
    if measurement.visible_share < 0.995:
        text += f"; the model saw {measurement.visible_share:.0%} of it"
    return text


def _peak(evidence: Evidence) -> str:
    if not evidence.measurements:
        return "none"
    measurement = evidence.measurements[0]
    if measurement.tied_cells > 1:
        return f"shared by {measurement.tied_cells} of {evidence.map.size} cells"
    x, y = measurement.peak
    distance = measurement.peak_distance
    where = f"{distance:.0f} px outside the region" if distance >= 0.5 else "at the region's edge"
    where = "in the region" if distance == 0 else where
    if distance > 0 and measurement.metric == "pointing" and measurement.value == 1:
        where += ", within the pointing game's tolerance"
    return f"({x:.0f}, {y:.0f}), {where}"


def _hints(evidence: Evidence) -> list[str]:
    hints = []
    what = evidence.explained
    if what.target is not None and what.predicted is not None and not what.is_predicted:
        hints.append(f"the model predicts {what.predicted_name}, not {what.name}: is this a failure of accuracy first?")
    if any(m.ceiling < _COARSE for m in evidence.measurements):
        rows, columns = evidence.map.shape
        hints.append(f"the map has only {rows} x {columns} cells; an earlier layer has a finer grid")
    if any(m.visible_share < 0.9 and not m.region.is_rest for m in evidence.measurements):
        hints.append(CROPPED)
    return hints
