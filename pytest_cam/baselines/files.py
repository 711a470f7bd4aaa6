"""The files of baselines: JSON that can be read in a diff, a picture for reviewers, and nothing that changes by itself.

Keys are sorted, each on a line of its own, each row of the map on one; no times and no absolute paths. The same
baseline is the same bytes, whoever writes it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from PIL import Image

from pytest_cam.atomic import write_bytes
from pytest_cam.baselines.baseline import Baseline
from pytest_cam.baselines.keys import picture_of
from pytest_cam.baselines.model_identity import ModelIdentity
from pytest_cam.errors import BaselineError, NewerBaselineError, is_ours
from pytest_cam.images.geometry import Geometry
from pytest_cam.images.loading import RGB

__tracebackhide__ = is_ours

FORMAT = 1
_ROWS = ("map", "thumbnail")
# No layer has a finer grid; a file that says so is damaged, and is not to fill the memory.
_LONGEST_SIDE = 4096


def read(path: Path, name: str) -> Baseline | None:
    """Read a baseline.

    Args:
        path: Its file.
        name: What to call it.

    Returns:
        The baseline, or None where there is no such file.

    Raises:
        NewerBaselineError: A later version of this package wrote it.
        BaselineError: It cannot be read, or is not as it was written.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        raise BaselineError(f"baseline {name} lies below a file; accepted: a directory there") from None
    except OSError as error:
        raise BaselineError(f"baseline {name} cannot be read ({error.strerror or error})") from None
    return _Reading(name).baseline(content)


def write(path: Path, name: str, baseline: Baseline, picture: RGB | None) -> None:
    """Write a baseline and its picture, each file at once or not at all: readers and other writers see whole ones.

    Args:
        path: Its file; the directory is made where it is missing.
        name: What to call it.
        baseline: What to write.
        picture: The map over the image, for eyes; (H, W, 3) uint8 or None.

    Raises:
        BaselineError: It cannot be written there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if picture is not None:
            _replace(picture_of(path), lambda file: Image.fromarray(picture).save(file, format="PNG"))
        content = text_of(baseline).encode("utf-8", "backslashreplace")
        _replace(path, lambda file: file.write(content))
    except (FileExistsError, NotADirectoryError):
        raise BaselineError(f"baseline {name} would lie below a file; accepted: a directory there") from None
    except OSError as error:
        raise BaselineError(
            f"baseline {name} cannot be written ({error.strerror or error}); accepted: a directory in which this user "
            "may create files"
        ) from None


def text_of(baseline: Baseline) -> str:
    """Return what a baseline's file holds."""
    content = _content(baseline)
    content["digest"] = _digest(content)
    lines = (f"  {json.dumps(key)}: {_value(key, content[key])}" for key in sorted(content))
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _content(baseline: Baseline) -> dict[str, Any]:
    geometry = baseline.geometry
    return {
        "format": FORMAT,
        "geometry": {
            "image_size": list(geometry.image_size),
            "image_to_input": [list(row) for row in geometry.matrix],
            "input_size": list(geometry.input_size),
        },
        "grid": list(baseline.map.shape),
        "image": {
            "name": baseline.image_name,
            "range": None if baseline.image_range is None else list(baseline.image_range),
        },
        "layer": baseline.layer,
        "layer_call": baseline.layer_call,
        "map": baseline.map.tolist(),
        "maximum": baseline.maximum,
        "method": baseline.method,
        "model": {"architecture": baseline.model.architecture, "weights": baseline.model.weights},
        "target": {"index": baseline.target, "name": baseline.target_name},
        "test": baseline.test,
        "thumbnail": [row.tobytes().hex() for row in baseline.thumbnail],
        "variant": baseline.variant,
        "versions": baseline.versions,
    }


def _value(key: str, value: Any) -> str:
    if key not in _ROWS:
        return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
    rows = ",\n".join(f"    {json.dumps(row, allow_nan=False)}" for row in value)
    return f"[\n{rows}\n  ]"


def _digest(content: dict[str, Any]) -> str:
    # Of what is read, not of bytes: git may write line ends of its own.
    kept = {key: value for key, value in content.items() if key != "digest"}
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]


def _replace(path: Path, fill: Callable[[io.BytesIO], Any]) -> None:
    buffer = io.BytesIO()
    fill(buffer)
    if path.is_file() and path.read_bytes() == buffer.getvalue():
        return  # nothing to change, not even the time of the file
    write_bytes(path, buffer.getvalue())


class _Reading:
    """Reads one file, and says of everything that is wrong with it where it is.

    Args:
        name: What to call the file.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def baseline(self, content: bytes) -> Baseline:
        document = self._document(content)
        try:
            found = self._read(document)
        except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
            if isinstance(error, BaselineError):
                raise
            what = f"no {error}" if isinstance(error, KeyError) else str(error)
            self._damaged(f"it is not as it was written: {what}")
        if document.get("digest") != _digest(document):
            self._damaged(
                "its digest is not that of its content, so it was edited by hand, or merged from two versions"
            )
        return found

    def _document(self, content: bytes) -> dict[str, Any]:
        try:
            document = json.loads(content.decode("utf-8"), parse_constant=self._no_number)
        except BaselineError:
            raise
        except (ValueError, RecursionError) as error:
            conflict = b"<<<<<<<" in content
            self._damaged("it has the marks of a merge conflict" if conflict else f"truncated, or no JSON: {error}")
        if not isinstance(document, dict) or not isinstance(document.get("format"), int):
            self._damaged("it has no format number, so it is no baseline of pytest-cam")
        if document["format"] > FORMAT:
            raise NewerBaselineError(
                f"baseline {self._name} has format {document['format']}, and this version of pytest-cam knows formats "
                f"up to {FORMAT}; upgrade pytest-cam. It is never overwritten from here"
            )
        if document["format"] != FORMAT:
            self._damaged(f"there is no format {document['format']}")
        return document

    def _read(self, document: dict[str, Any]) -> Baseline:
        geometry, image, model, target = (document[key] for key in ("geometry", "image", "model", "target"))
        thumbnail = np.array([list(bytes.fromhex(row)) for row in document["thumbnail"]], dtype=np.uint8)
        if thumbnail.shape != (8, 24):
            raise ValueError(f"the thumbnail has the shape {thumbnail.shape}, and not (8, 24)")
        first, second = ((float(a), float(b), float(c)) for a, b, c in geometry["image_to_input"])
        return Baseline(
            map=self._map(document["map"], document["grid"]),
            maximum=float(document["maximum"]),
            method=str(document["method"]),
            layer=str(document["layer"]),
            layer_call=int(document["layer_call"]),
            target=None if target["index"] is None else int(target["index"]),
            target_name=str(target["name"]),
            geometry=Geometry(_size(geometry["image_size"]), _size(geometry["input_size"]), (first, second)),
            image_name=str(image["name"]),
            image_range=None if image["range"] is None else (float(image["range"][0]), float(image["range"][1])),
            thumbnail=thumbnail,
            model=ModelIdentity(model["architecture"], model["weights"]),
            test=str(document["test"]),
            variant=document["variant"],
            versions=dict(document["versions"]),
        )

    def _map(self, rows: Any, grid: Any) -> Any:
        if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
            raise ValueError("the map is no list of rows")
        high, wide = grid
        if [len(row) for row in rows] != [wide] * high or not 1 <= min(high, wide) <= max(high, wide) <= _LONGEST_SIDE:
            lengths = sorted({len(row) for row in rows})
            raise ValueError(
                f"the grid is {high} x {wide}, and the map has {len(rows)} rows of {' or '.join(map(str, lengths))}"
            )
        for number, row in enumerate(rows, start=1):
            for value in row:
                if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
                    raise ValueError(f"row {number} of the map holds {value!r}; accepted: numbers from 0 to 1")
        cam = np.array(rows, dtype=np.float64)
        if cam.max() != 1:
            raise ValueError(f"the greatest value of the map is {cam.max():g}, and it must be 1")
        return cam

    def _no_number(self, constant: str) -> NoReturn:
        self._damaged(f"it holds {constant}, and a map has finite numbers")

    def _damaged(self, what: str) -> NoReturn:
        raise BaselineError(
            f"baseline {self._name} is damaged: {what}. Take it from version control again, or write it anew with "
            "--cam-update=changed"
        ) from None


def _size(given: Any) -> tuple[int, int]:
    width, height = given
    return int(width), int(height)
