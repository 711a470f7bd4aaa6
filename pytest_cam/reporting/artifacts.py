"""Files written from evidence: pictures, the raw map, and all numbers."""

from __future__ import annotations

import io
import json
import math
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from pytest_cam.atomic import write_bytes
from pytest_cam.errors import ArtifactError, DependencyError
from pytest_cam.images.geometry import Geometry
from pytest_cam.images.style import Style
from pytest_cam.reporting.pictures import attended, pictures, pictures_of
from pytest_cam.reporting.removing import MANIFEST, files_in
from pytest_cam.verdicts.evidence import Evidence, Measurement
from pytest_cam.verdicts.findings import AnyEvidence, Findings
from pytest_cam.verdicts.limits import Judged
from pytest_cam.verdicts.message import first_line
from pytest_cam.versions import versions_of

if TYPE_CHECKING:
    from pytest_cam.engine.scores.explained import Explained

FORMAT = 1
_LIBRARIES = ("pytest-cam", "pytest", "torch", "torchvision", "numpy", "pillow", "opencv-python")


def write_artifact(folder: Path, evidence: AnyEvidence, context: dict[str, str], style: Style | None = None) -> None:
    """Write one piece of evidence into a folder of its own, each file atomically.

    The numbers and the original need no OpenCV, and are there even if drawing fails. What an earlier artifact left in
    the folder goes.

    Args:
        folder: Where to; made if it is missing.
        evidence: What was seen and measured.
        context: What the run says of it: test, phase, outcome.
        style: How the pictures are drawn.

    Raises:
        ArtifactError: A file cannot be written, or the pictures cannot be drawn.
    """
    maps, originals = _arrays(evidence)
    drawn, problem = _drawn(evidence, style or Style())
    files = sorted({*maps, *originals, *drawn, MANIFEST})
    head = {"format": FORMAT, **context, "decision": first_line(evidence), "check": evidence.check}
    numbers = _numbers(evidence, drawable=not problem)
    manifest = {**head, **numbers, "files": files, "versions": versions_of(_LIBRARIES)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        earlier = files_in(folder)
        # First of all what says whose files these are: on a disk that is full a later run may remove the rest by that.
        _write_json(folder / MANIFEST, {**manifest, "files": sorted(earlier.union(files))})
        for name, cam in maps.items():
            _write_map(folder / name, cam)
        for name, picture in {**originals, **drawn}.items():
            _write_image(folder / name, picture)
        if gone := earlier.difference(files):
            for name in gone:
                (folder / name).unlink(missing_ok=True)
            _write_json(folder / MANIFEST, manifest)
    except OSError as error:
        with suppress(OSError):  # there is something in it
            folder.rmdir()
        raise ArtifactError(f"artifact {folder} could not be written: {error}") from error
    if problem:
        raise ArtifactError(f"artifact {folder} has no pictures: {problem}")


def _arrays(evidence: AnyEvidence) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the maps and the pictures that need no drawing, by file name."""
    if isinstance(evidence, Evidence):
        return {"map.npy": evidence.map}, {"original.png": evidence.picture}
    maps = {f"{view.name}.npy": view.map for view in evidence.views if view.map is not None}
    return maps, {f"{view.name}-original.png": view.picture for view in evidence.views}


def _write_map(path: Path, cam: Any) -> None:
    _write(path, lambda file: np.save(file, cam, allow_pickle=False))


def _drawn(evidence: AnyEvidence, style: Style) -> tuple[dict[str, Any], str]:
    try:
        if isinstance(evidence, Findings):
            return dict(pictures_of(evidence, style)), ""
        return dict(pictures(evidence, style)), ""
    except DependencyError as error:
        return {}, str(error)
    except Exception:
        return {}, f"drawing failed\n{traceback.format_exc()}"


def _write_json(path: Path, document: dict[str, Any]) -> None:
    text = json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False)
    # A path may hold bytes that are no UTF-8; what backslashreplace makes of them is JSON's own escape.
    _write(path, lambda file: file.write(text.encode("utf-8", "backslashreplace")))


def _write_image(path: Path, picture: Any) -> None:
    # At the level that is zlib's own, 6, photos take up to three times as long and get a hundredth smaller, if at all.
    _write(path, lambda file: Image.fromarray(picture).save(file, format="PNG", compress_level=4))


def _write(path: Path, fill: Callable[[IO[bytes]], Any]) -> None:
    buffer = io.BytesIO()
    fill(buffer)
    write_bytes(path, buffer.getvalue())


def _numbers(evidence: AnyEvidence, *, drawable: bool) -> dict[str, Any]:
    if isinstance(evidence, Findings):
        return _of_findings(evidence)
    return {
        "method": evidence.method,
        "layer": evidence.layer,
        "layer_call": evidence.layer_call,
        "layer_calls": evidence.layer_calls,
        "layout": evidence.layout,
        "explained": {name: _plain(value) for name, value in _explained(evidence.explained).items()},
        "image": _image(evidence.image_name, evidence.geometry),
        "map": _map(evidence.map),
        "regions": [region.to_json() for region in evidence.regions],
        "measurements": [_measurement(measurement) for measurement in evidence.measurements],
        "attended_boxes": [box.to_json() for box in attended(evidence)] if drawable else None,
    }


def _of_findings(findings: Findings) -> dict[str, Any]:
    return {
        "how": findings.where,
        "image": _image(findings.image_name, findings.geometry),
        "regions": [region.to_json() for region in findings.regions],
        "measurements": [
            {"metric": figure.name, "meaning": figure.meaning, **_judged(figure)} for figure in findings.figures
        ],
        "views": [
            {
                "name": view.name,
                "title": view.title,
                "map": None if view.map is None else _map(view.map),
                **{name: _plain(value) for name, value in view.about.items()},
            }
            for view in findings.views
        ],
        "facts": dict(findings.facts),
    }


def _image(name: str, geometry: Geometry) -> dict[str, Any]:
    return {
        "name": name,
        "size": list(geometry.image_size),
        "input_size": list(geometry.input_size),
        "image_to_input": [list(row) for row in geometry.matrix],
        "seen": list(geometry.seen),
    }


def _map(cam: Any) -> dict[str, Any]:
    return {"shape": list(cam.shape), "max": _plain(cam.max()), "sum": _plain(cam.sum(dtype=np.float64))}


def _judged(judged: Judged) -> dict[str, Any]:
    return {
        "value": _plain(judged.value),
        "at_least": judged.limits.at_least,
        "at_most": judged.limits.at_most,
        "limits_from": judged.limits.source,
        "margin": _plain(judged.margin),
        "passed": judged.passed,
    }


def _measurement(measurement: Measurement) -> dict[str, Any]:
    return {
        "metric": measurement.metric,
        **_judged(measurement),
        "region": measurement.region.to_json(),
        "energy": measurement.energy,
        "chance": measurement.chance,
        "ceiling": measurement.ceiling,
        "peak": list(measurement.peak),
        "peak_distance": measurement.peak_distance,
        "tied_cells": measurement.tied_cells,
        "visible_share": measurement.visible_share,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, (np.generic, float)):
        number = float(value)
        return number if math.isfinite(number) else None
    return value


def _explained(what: Explained) -> dict[str, Any]:
    """Return what was explained, as it is read."""
    names = ("probability" if each.name == "likelihood" else each.name for each in fields(what))
    return {name: getattr(what, name) for name in names}
