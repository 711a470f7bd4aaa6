"""Draw the two panels of the README: `python docs/draw_panels.py`, after `pip install -e ".[example]"`."""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

from pytest_cam import AttentionError, attend
from pytest_cam.reporting.pictures import pictures

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "example_project"))

from annotations import annotated_photos  # noqa: E402  the example project is a user's folder, not a package
from network import load, preprocess  # noqa: E402  the same

NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def main() -> None:
    """Write docs/shortcut.png and docs/honest.png."""
    photo = annotated_photos()[0]
    for candidate in ("shortcut", "honest"):
        attention = attend(
            load(candidate),
            photo.path.relative_to(ROOT),
            layer="features",
            target=photo.label,
            preprocess=preprocess,
            class_names=NAMES,
        )
        try:
            attention.assert_in_region(photo.digit)
            evidence = attention.evidence(
                "attention in box", (photo.digit,), (attention.measure("skill", photo.digit),)
            )
        except AttentionError as error:
            evidence = error.evidence
        Image.fromarray(pictures(evidence)["panel.png"]).save(ROOT / "docs" / f"{candidate}.png", optimize=True)


if __name__ == "__main__":
    main()
