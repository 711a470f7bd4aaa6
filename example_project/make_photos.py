"""Write the validation photos and their boxes (COCO format) to example_project/photos/."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

from photos import PHOTO_SIZE, Box, validation_photos

FOLDER = Path(__file__).parent / "photos"
COUNT = 200
CATEGORIES = {"digit": 1, "tag": 2}


def annotation(identifier: int, image_id: int, category: str, box: Box, label: int) -> dict[str, Any]:
    """Return one COCO annotation of a box."""
    x1, y1, x2, y2 = box
    width, height = x2 - x1, y2 - y1
    return {
        "id": identifier,
        "image_id": image_id,
        "category_id": CATEGORIES[category],
        "bbox": [x1, y1, width, height],
        "area": width * height,
        "iscrowd": 0,
        "attributes": {"class": label},
    }


def main() -> None:
    """Write the photos, their tags matching their classes, and annotations.json."""
    FOLDER.mkdir(exist_ok=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, photo in enumerate(islice(validation_photos("matching"), COUNT), start=1):
        name = f"{number:03d}_digit{photo.label}.png"
        photo.image.save(FOLDER / name, optimize=True)
        images.append({"id": number, "file_name": name, "width": PHOTO_SIZE, "height": PHOTO_SIZE})
        for category, box in (("digit", photo.digit_box), ("tag", photo.tag_box)):
            annotations.append(annotation(len(annotations) + 1, number, category, box, photo.label))
    categories = [{"id": identifier, "name": name} for name, identifier in CATEGORIES.items()]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (FOLDER / "annotations.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {len(images)} photos to {FOLDER}")


if __name__ == "__main__":
    main()
