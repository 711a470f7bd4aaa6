"""What a verdict over more than one map needs to be drawn and explained: numbers, and pictures beside one another."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pytest_cam.images.geometry import Geometry
from pytest_cam.images.loading import RGB
from pytest_cam.images.regions import Region
from pytest_cam.verdicts.evidence import Evidence
from pytest_cam.verdicts.limits import Judged, Limits


@dataclass(frozen=True)
class Figure(Judged):
    """One number of a check, and the limits it is held to.

    Attributes:
        name: What it is, in a word or two: "Pearson", "drop of probability".
        value: The number.
        limits: What passes; empty where it is only told.
        meaning: What it says, for people.
        words: Where a number says less than words: what the first line says when it fails.
        range: The least and the greatest that a limit may be.
        level: The value that says nothing: what chance gives; None where that is not known.
    """

    name: str
    value: float
    limits: Limits = field(default_factory=Limits)
    meaning: str = ""
    words: str = ""
    range: tuple[float, float] = (-math.inf, math.inf)
    level: float | None = None


@dataclass(frozen=True, eq=False)
class View:
    """One picture of a check: an image as a model saw it, and the map over it where there is one.

    Attributes:
        name: What its files are called: "reference", "region-hidden". Letters, digits and dashes.
        title: What stands above the picture.
        picture: The image, (H, W, 3) uint8, reduced where it is very large.
        map: The raw map, (h, w) float32, >= 0, or None.
        geometry: Between that image and the map's input; None where there is no map.
        about: What else to write down of it, plain values: layer, method, target, score, prediction.
        own: The one of the check's regions that this map is to lie in, where each map has its own.
    """

    name: str
    title: str
    picture: RGB
    map: npt.NDArray[np.float32] | None = None
    geometry: Geometry | None = None
    about: dict[str, Any] = field(default_factory=dict)
    own: Region | None = None


@dataclass(frozen=True, eq=False)
class Findings:
    """All that is needed to draw and explain one verdict over several maps or predictions. Small arrays, no tensors.

    Attributes:
        check: What was asked, in words: "prediction needs box".
        where: How it was asked, for the brackets on the first line: "gradcam++, layer4", "blur".
        figures: The numbers; the check passes where all of them do.
        views: The pictures, in the order in which they are read.
        image_name: What the user passed.
        geometry: Between image and input.
        facts: What else the text says, as (name, text).
        regions: The regions of the check, in image pixels.
        hints: What to try next, where the cause is known.
        problem: As that of `Evidence`.
    """

    check: str
    where: str
    figures: tuple[Figure, ...]
    views: tuple[View, ...]
    image_name: str
    geometry: Geometry
    facts: tuple[tuple[str, str], ...] = ()
    regions: tuple[Region, ...] = ()
    hints: tuple[str, ...] = ()
    problem: str = ""


AnyEvidence: TypeAlias = Evidence | Findings
