"""What tells several attentions of one image apart, in a few words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pytest_cam.errors import ImageError, is_ours
from pytest_cam.images.geometry import size_said
from pytest_cam.verdicts.message import layer_said

if TYPE_CHECKING:
    from pytest_cam.attention import Attention

__tracebackhide__ = is_ours

_HINT = "Accepted: attentions of one photo, whatever the method, layer, target, model or preprocess"


def facts(attentions: Sequence[Attention]) -> dict[str, list[str]]:
    """Return the method, layer, target and grid of each attention, as texts in that order."""
    names = [attention.explained.name for attention in attentions]
    targets = [attention.target for attention in attentions]
    # What has one name may be of two models, or a class and a function.
    ambiguous = {name for name in names if len({t for n, t in zip(names, targets, strict=True) if n == name}) > 1}
    return {
        "method": [attention.method for attention in attentions],
        "layer": [layer_said(attention) for attention in attentions],
        "target": [
            f"{name} ({'callable' if target is None else target})" if name in ambiguous else name
            for name, target in zip(names, targets, strict=True)
        ],
        "grid": [size_said(attention.map.shape) for attention in attentions],
    }


def labels(attentions: Sequence[Attention]) -> tuple[list[str], list[str]]:
    """Return a label for each of several attentions, and what they have in common.

    Args:
        attentions: At least one.

    Returns:
        For each attention what differs among them, such as "gradcam++, layer3, 14 x 14"; then what is the same in all,
        in the same order. Attentions that nothing tells apart, such as those of two models, are numbered.
    """
    known = facts(attentions)
    differing = [texts for texts in known.values() if len(set(texts)) > 1]
    common = [texts[0] for texts in known.values() if len(set(texts)) == 1]
    if len(attentions) == 1:
        return [", ".join(common)], []
    made = [", ".join(texts[index] for texts in differing) for index in range(len(attentions))]
    if len(set(made)) < len(made):
        made = [f"{number}: {label}" if label else f"number {number}" for number, label in enumerate(made, 1)]
    return made, common


def require_one_image(attentions: Sequence[Attention], what: str) -> None:
    """Check that several attentions are of one image.

    Two tensors may differ by one of 256 shades, as one and the same image does in two floating point types.

    Args:
        attentions: At least one.
        what: What is to be made of them, for the message: "strip", "comparison".

    Raises:
        ImageError: Their images differ in size or in pixels.
    """
    sizes = list(dict.fromkeys(attention.image.size for attention in attentions))
    if len(sizes) > 1:
        raise ImageError(
            f"the attentions of a {what} must be of one image, and these are of images of "
            f"{' and '.join(f'{width} x {height}' for width, height in sizes)} pixels. {_HINT}"
        )
    first = attentions[0].image
    others = [attention.image for attention in attentions if attention.image.pixels is not first.pixels]
    pixels = first.rgb().astype(np.int16) if others else np.zeros(())
    for other in others:
        apart = np.abs(other.rgb().astype(np.int16) - pixels).max(axis=2)
        shades = 1 if first.is_input and other.is_input else 0
        if apart.max() > shades:
            raise ImageError(
                f"the attentions of a {what} must be of one image, and {other.name} differs from {first.name} in "
                f"{np.count_nonzero(apart > shades)} of {apart.size} pixels. {_HINT}"
            )
