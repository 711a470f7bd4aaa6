"""The text of a failure: enough to understand it from a bare log."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pytest_cam.images.regions import Box
from pytest_cam.verdicts.evidence import Evidence, Measurement
from pytest_cam.verdicts.sketch import LEGEND, sketch

# Below this ceiling the grid, not the model, decides much of the figure.
_COARSE = 0.5


def first_line(evidence: Evidence) -> str:
    """Return the decision in a few words, since a terminal cuts it: "attention in box: skill 0.02 < 0.25 (...)"."""
    run = f" in run {evidence.layer_call} of {evidence.layer_calls}" if evidence.layer_calls > 1 else ""
    where = f"({evidence.method}, {evidence.layer}{run})"
    decisions = "; ".join(decision(measurement) for measurement in evidence.measurements)
    return f"{evidence.check}{': ' if decisions else ''}{decisions} {where}"


def decision(measurement: Measurement) -> str:
    """Return one measurement against the limit that is nearest: "skill 0.02 < 0.25"."""
    value, limits = measurement.value, measurement.limits
    name = measurement.metric
    if np.isnan(value):
        return f"{name} undecided, the peak is shared by {measurement.tied_cells} cells"
    if limits.at_least is not None and value < limits.at_least:
        return f"{name} {_apart(value, limits.at_least)} < {limits.at_least:g}"
    if limits.at_most is not None and value > limits.at_most:
        return f"{name} {_apart(value, limits.at_most)} > {limits.at_most:g}"
    bounds = f" ({limits})" if str(limits) else ""
    return f"{name} {value:.2f}{bounds}"


def message(evidence: Evidence) -> str:
    """Return the whole text of a failed check.

    Args:
        evidence: What was seen and measured.

    Returns:
        The decision, then the figures behind it, what was explained, where the peak is, the map as a small picture,
        and what to try where the cause is known.
    """
    facts = []
    for measurement in evidence.measurements:
        facts += [("energy", _energy(measurement)), ("region", _region(measurement, evidence))]
    facts.append(("explained", explained(evidence)))
    if not evidence.layout.startswith("NCHW"):  # what everybody expects needs no line
        facts.append(("layout", evidence.layout))
    facts += [("peak", _peak(evidence)), ("image", image(evidence))]
    lines = [first_line(evidence), "", *(f"  {name:<10} {text}" for name, text in facts), ""]
    lines += [f"  {line}" for line in sketch(evidence)]
    lines += [f"  {LEGEND}", *(f"  try: {hint}" for hint in _hints(evidence))]
    return "\n".join(lines)


def explained(evidence: Evidence) -> str:
    """Return what score the map explains, and whether the model predicts it."""
    what = evidence.explained
    if what.target is None:
        text = f"{what.name} = {what.score:.4g}"
    else:
        named = "" if what.name == f"class {what.target}" else f' "{what.name}"'
        text = f"class {what.target}{named}" + (f" ({what.note})" if what.note else "")
    if what.probability is not None:
        text += f", probability {what.probability:.2f}"
    if what.predicted is None:
        return text
    if what.is_predicted:
        return f"{text}, predicted"
    return f"{text}; the model predicts {what.predicted_name}"


def image(evidence: Evidence) -> str:
    """Return which image was used and how large it and the model's input are."""
    width, height = evidence.geometry.image_size
    text = f"{_short(evidence.image_name)}, {width} x {height}"
    if evidence.geometry.input_size == (width, height):
        return text
    return f"{text}; the model sees {evidence.geometry.input_size[0]} x {evidence.geometry.input_size[1]}"


def _short(name: str) -> str:
    """Return a path relative to the working directory where it lies below it."""
    path, here = Path(name), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else name


def _apart(value: float, limit: float) -> str:
    """Return a value with as many digits as it takes to tell it from the limit."""
    for digits in (2, 3, 4):
        if f"{value:.{digits}f}" != f"{limit:.{digits}f}":
            return f"{value:.{digits}f}"
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
    where = "in the region" if distance == 0 else f"{distance:.0f} px outside the region"
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
        hints.append("the preprocess crops part of the region away; test with an image that shows all of it")
    return hints
