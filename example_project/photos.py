"""Photos of handwritten digits on coloured backgrounds, each with a small coloured tag in one corner.

The handwriting is real (scikit-learn's digits); position, background, ink and corner are drawn at random.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageColor
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

PHOTO_SIZE = 64
DIGIT_SIZE = 24
TAG_SIZE = 8
BORDER = 4  # pixels between the tag and the photo's edges
CAST = 0.35  # how much of a cast photo's colour is that of its class
GAP = 8  # fewest pixels between the digit's box and the tag's
TRAINING_DIGITS = 1400
SPLIT_SEED = 0

# One tag colour for each class, 0 to 9; far more vivid than any background.
TAG_COLOURS = (
    "#e6194b", "#008a1c", "#ffe119", "#0037ff", "#ff7f00",
    "#b000ff", "#00ffff", "#ff00d4", "#b6ff00", "#00ff80",
)  # fmt: skip
CLASSES = len(TAG_COLOURS)

Box = tuple[int, int, int, int]
Split = Literal["training", "validation"]
TagPolicy = Literal["matching", "lying", "random"]


class Handwriting(NamedTuple):
    """One handwritten digit: its 8x8 ink levels from 0 to 16, and its class."""

    levels: npt.NDArray[np.float64]
    label: int


@dataclass(frozen=True)
class Photo:
    """A drawn photo, its class, and its boxes as (x1, y1, x2, y2) in pixels, the ends excluded."""

    image: Image.Image
    label: int
    digit_box: Box
    tag_box: Box


@cache
def handwriting(split: Split) -> tuple[Handwriting, ...]:
    """Return the digits of one side of the fixed split, in a fixed shuffled order."""
    digits = load_digits()
    pairs = zip(digits.images, digits.target, strict=True)
    everything = [Handwriting(levels, int(label)) for levels, label in pairs]
    training, validation = train_test_split(
        everything, train_size=TRAINING_DIGITS, stratify=digits.target, random_state=SPLIT_SEED
    )
    return tuple(training if split == "training" else validation)


def draw_photo(digit: Handwriting, policy: TagPolicy, rng: np.random.Generator, *, cast: bool = False) -> Photo:
    """Draw one photo of the digit, the tag's colour chosen by the policy; a cast gives all of it its class's colour."""
    tag_class = _tag_class(digit.label, policy, rng)
    tag_box = _corner_box(rng)
    digit_box = _digit_box(tag_box, rng)
    # Dark ink goes on a light background and light ink on a dark one, so that the digit is always legible.
    dark_ink = bool(rng.integers(2))
    image = _background(160 if dark_ink else 90, rng)
    ink = rng.integers(0, 50, 3) if dark_ink else rng.integers(205, 256, 3)
    levels = Image.fromarray((digit.levels / 16 * 255).astype(np.uint8))
    stroke = levels.resize((DIGIT_SIZE, DIGIT_SIZE), Image.Resampling.BICUBIC)
    image.paste((int(ink[0]), int(ink[1]), int(ink[2])), digit_box, mask=stroke)
    image.paste(ImageColor.getrgb(TAG_COLOURS[tag_class]), tag_box)
    if cast:
        image = Image.blend(image, Image.new("RGB", image.size, TAG_COLOURS[digit.label]), CAST)
    return Photo(image, digit.label, digit_box, tag_box)


def validation_photos(policy: TagPolicy, seed: int = 0, *, cast: bool = False) -> Iterator[Photo]:
    """Draw the validation photos, of handwriting that no network was trained on.

    The policy changes only the colours of the tags, and a cast only those of the whole photo.
    """
    for number, digit in enumerate(handwriting("validation")):
        yield draw_photo(digit, policy, np.random.default_rng((seed, number)), cast=cast)


def _tag_class(label: int, policy: TagPolicy, rng: np.random.Generator) -> int:
    # Every policy takes the same random draws, so that the rest of the photo does not depend on the policy.
    other = (label + int(rng.integers(1, CLASSES))) % CLASSES
    anyone = int(rng.integers(CLASSES))
    return {"matching": label, "lying": other, "random": anyone}[policy]


def _corner_box(rng: np.random.Generator) -> Box:
    x, y = (BORDER if near else PHOTO_SIZE - BORDER - TAG_SIZE for near in rng.integers(2, size=2))
    return x, y, x + TAG_SIZE, y + TAG_SIZE


def _digit_box(tag_box: Box, rng: np.random.Generator) -> Box:
    while True:
        x, y = (int(corner) for corner in rng.integers(0, PHOTO_SIZE - DIGIT_SIZE + 1, size=2))
        box = x, y, x + DIGIT_SIZE, y + DIGIT_SIZE
        if _gap(box, tag_box) >= GAP:
            return box


def _gap(one: Box, other: Box) -> int:
    across = max(one[0] - other[2], other[0] - one[2])
    down = max(one[1] - other[3], other[1] - one[3])
    return max(across, down)


def _background(level: int, rng: np.random.Generator) -> Image.Image:
    # Coarse and fine colour noise, smoothly enlarged, look like out-of-focus clutter.
    return Image.blend(_noise(level, 60, 4, rng), _noise(level, 40, 16, rng), 0.4)


def _noise(level: int, spread: int, cells: int, rng: np.random.Generator) -> Image.Image:
    colours = rng.integers(level - spread, level + spread, (cells, cells, 3), dtype=np.uint8)
    return Image.fromarray(colours).resize((PHOTO_SIZE, PHOTO_SIZE), Image.Resampling.BICUBIC)
