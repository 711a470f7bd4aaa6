"""The annotated photos of this project: COCO boxes of the digit and of the tag."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pytest_cam import Box

PHOTOS = Path(__file__).parent / "photos"


@dataclass(frozen=True)
class AnnotatedPhoto:
    """A photo's file, its class, and where the digit and the tag are."""

    path: Path
    label: int
    digit: Box
    tag: Box


def annotated_photos() -> list[AnnotatedPhoto]:
    """Read photos/annotations.json."""
    document = json.loads((PHOTOS / "annotations.json").read_text(encoding="utf-8"))
    names = {category["id"]: category["name"] for category in document["categories"]}
    found: dict[int, dict[str, Box]] = {}
    labels: dict[int, int] = {}
    for annotation in document["annotations"]:
        x, y, width, height = annotation["bbox"]
        category = names[annotation["category_id"]]
        found.setdefault(annotation["image_id"], {})[category] = Box(x, y, x + width, y + height)
        labels[annotation["image_id"]] = annotation["attributes"]["class"]
    return [
        AnnotatedPhoto(PHOTOS / image["file_name"], labels[image["id"]], **found[image["id"]])
        for image in document["images"]
    ]
