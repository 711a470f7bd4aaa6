"""Print the table of the README: `python example_project/figures.py`."""

from __future__ import annotations

from collections.abc import Callable
from statistics import mean

import torch
from network import DigitNet, load, preprocess
from photos import Photo, TagPolicy, validation_photos

from pytest_cam import Attention, AttentionError, Box, attend_batch


def predicted_correctly(net: DigitNet, policy: TagPolicy) -> float:
    """Return the accuracy on validation photos with such tags."""
    photos = list(validation_photos(policy))
    with torch.inference_mode():
        predicted = net(torch.stack([preprocess(photo.image) for photo in photos])).argmax(dim=1)
    return mean(int(index) == photo.label for index, photo in zip(predicted, photos, strict=True))


def attentions(net: DigitNet, photos: list[Photo]) -> list[Attention]:
    """Return the Grad-CAM++ map of each photo for its true class."""
    labels = [photo.label for photo in photos]
    images = [photo.image for photo in photos]
    return attend_batch(net, images, layer="features", target=labels, preprocess=preprocess)


def share_that_passes(check: Callable[[Attention, Photo], None], seen: list[tuple[Attention, Photo]]) -> float:
    """Return the share of photos whose check raises no AttentionError."""
    passed = 0
    for attention, photo in seen:
        try:
            check(attention, photo)
        except AttentionError:
            continue
        passed += 1
    return passed / len(seen)


def lift_on_the_tag(attention: Attention, photo: Photo) -> float:
    """Return the lift on the tag widened by one cell, which is 4 pixels here."""
    x1, y1, x2, y2 = photo.tag_box
    return attention.measure("lift", Box(x1 - 4, y1 - 4, x2 + 4, y2 + 4)).value


def figures(name: str) -> dict[str, str]:
    """Return the rows of one model's column."""
    net = load(name)
    photos = list(validation_photos("matching"))
    seen = list(zip(attentions(net, photos), photos, strict=True))
    in_box = share_that_passes(lambda attention, photo: attention.assert_in_region(photo.digit_box), seen)
    peak = share_that_passes(
        lambda attention, photo: attention.assert_in_region(photo.digit_box, metric="pointing"), seen
    )
    off_tag = share_that_passes(lambda attention, photo: attention.assert_not_in_region(photo.tag_box), seen)
    return {
        "accuracy, tag matches the class": f"{predicted_correctly(net, 'matching'):.3f}",
        "accuracy, tag lies": f"{predicted_correctly(net, 'lying'):.3f}",
        "mean skill in the digit's box": f"{mean(a.skill_in(photo.digit_box) for a, photo in seen):.2f}",
        "photos with skill at least 0.25": f"{in_box:.1%}",
        "photos with the peak in the box": f"{peak:.1%}",
        "mean lift on the widened tag": f"{mean(lift_on_the_tag(a, photo) for a, photo in seen):.2f}",
        "photos with that lift at most 1.0": f"{off_tag:.1%}",
    }


def main() -> None:
    """Print the table."""
    honest, shortcut = figures("honest"), figures("shortcut")
    print("| 397 validation photos | honest | shortcut |\n| --- | --- | --- |")
    for row, value in honest.items():
        print(f"| {row} | {value} | {shortcut[row]} |")


if __name__ == "__main__":
    main()
