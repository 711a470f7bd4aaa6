"""Print which check catches which model: `python example_project/verdicts.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from network import DigitNet, load, preprocess
from photos import CLASSES, Photo, validation_photos

import pytest_cam
from pytest_cam import AttentionError, EmptyMapError

PHOTOS = 20
HOW: dict[str, Any] = {"layer": "features", "preprocess": preprocess}


@dataclass(frozen=True)
class Subject:
    """A model and the photos on which its shortcut, where it has one, is there to be taken."""

    name: str
    net: DigitNet
    photos: list[Photo]


def subjects() -> list[Subject]:
    """Return the honest model and those that should be caught."""
    tagged, cast = (list(islice(validation_photos("matching", cast=tint), PHOTOS)) for tint in (False, True))
    return [
        *(Subject(name, load(name), tagged) for name in ("honest", "honest-2", "shortcut", "mostly")),
        Subject("cast", load("cast"), cast),
        Subject("random weights", random_net(), tagged),
    ]


def random_net() -> DigitNet:
    """Return the network as it is before training."""
    torch.manual_seed(0)
    return DigitNet().eval()


def checks() -> dict[str, Callable[[DigitNet, Photo], Any]]:
    """Return each check as it is asked of one photo, for the photo's class."""
    honest, cam = load("honest"), pytest_cam

    def of_class(check: Callable[..., Any], *args: Any, **more: Any) -> Callable[[DigitNet, Photo], Any]:
        return lambda net, photo: check(
            net, photo.image, *(arg(photo) for arg in args), **HOW, target=photo.label, **more
        )

    def discriminative(net: DigitNet, photo: Photo) -> Any:
        pair = [photo.label, (photo.label + 1) % CLASSES]
        # One digit stands for both classes, and Grad-CAM++ follows whatever speaks for either.
        return cam.assert_attention_class_discriminative(net, photo.image, pair, method="gradcam", **HOW)

    return {
        "attention in region (digit)": of_class(cam.assert_attention_in_region, lambda photo: photo.digit_box),
        "attention not in region (tag)": of_class(cam.assert_attention_not_in_region, lambda photo: photo.tag_box),
        "attention class discriminative": discriminative,
        "prediction needs region (digit)": of_class(cam.assert_prediction_needs_region, lambda photo: photo.digit_box),
        "region suffices (digit)": of_class(cam.assert_region_suffices, lambda photo: photo.digit_box),
        "attention stable": of_class(cam.assert_attention_stable),
        "attention agrees (with honest)": lambda net, photo: agrees(net, honest, photo),
        "attention depends on weights": of_class(cam.assert_attention_depends_on_weights),
        "attention faithful": of_class(cam.assert_attention_faithful),
    }


def agrees(net: DigitNet, honest: DigitNet, photo: Photo) -> Any:
    """Check that a network looks where the honest one does."""
    return pytest_cam.assert_attention_agrees(net, honest, photo.image, target=photo.label, **HOW)


def share_that_passes(check: Callable[[DigitNet, Photo], Any], subject: Subject) -> float:
    """Return the share of photos on which the check is green; a map of zeros is not."""
    passed = 0
    for photo in subject.photos:
        try:
            check(subject.net, photo)
        except (AttentionError, EmptyMapError):
            continue
        passed += 1
    return passed / len(subject.photos)


def table() -> dict[str, dict[str, float]]:
    """Return the share of photos that pass, for each check and each model."""
    models = subjects()
    return {
        name: {subject.name: share_that_passes(check, subject) for subject in models}
        for name, check in checks().items()
    }


def main() -> None:
    """Print the table."""
    found = table()
    names = [subject.name for subject in subjects()]
    print(f"| photos of {PHOTOS} that pass | {' | '.join(names)} |\n| --- |{' ---: |' * len(names)}")
    for check, shares in found.items():
        print(f"| {check} | {' | '.join(f'{shares[name]:.0%}' for name in names)} |")


if __name__ == "__main__":
    main()
