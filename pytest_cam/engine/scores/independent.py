"""What to say of scores that do not depend on a layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from pytest_cam.engine.reading.layouts import Layout
from pytest_cam.errors import IndependentScoreError, MethodError

STAYS = "it stays exactly what it is with other values at"  # a sign, as for `independent`


def score_of(name: str) -> str:
    """Return what is said of a score in a sentence: "the score of class 3", and "the score of the detection" once."""
    return f"the {name}" if name.startswith("score of ") else f"the score of {name}"


def not_reached(layer: str, score: str) -> IndependentScoreError:
    """Return the error of a score to which no path leads from a layer.

    Args:
        layer: The layer's dotted name.
        score: What the score is called.
    """
    return IndependentScoreError(
        f"{score_of(score)} does not depend on layer {layer}: no path leads from its output to the score (a side "
        "branch, or a detach() or a no_grad block on the way)"
    )


def independent(
    layer: str, layout: Layout, score: str, of_image: str, sign: str = "its gradient is exactly zero at"
) -> IndependentScoreError:
    """Return the error of a score that does not depend on a layer.

    Args:
        layer: The layer's dotted name.
        layout: How its output reads.
        score: What the score is called.
        of_image: Of which image it is, or "" where there is one.
        sign: What shows it, in words that go before a place.
    """
    where = f"{score_of(score)} does not depend on layer {layer}{of_image}"
    if layout.prefix:
        return IndependentScoreError(
            f"{where}: {sign} all {layout.grid[0]} x {layout.grid[1]} patches. "
            "After the last attention only the class token is read; take the normalisation before that attention, "
            "which layer=None finds. If that one has none either, the score depends on no layer: a head of zeros, as "
            "torchvision's transformers have before they are trained"
        )
    return IndependentScoreError(
        f"{where}: {sign} all its features (a saturated or dead unit, or a part of the output that the head "
        "does not read). Explain a logit, not a probability, or take another layer"
    )


def of_copies(
    error: IndependentScoreError, layer: str, layout: Layout, score: str, of_image: str
) -> IndependentScoreError:
    """Return the error of an image for what was found of copies of it, each of which has a place in a batch of its own.

    Args:
        error: What was found.
        layer: The layer's dotted name.
        layout: How its output reads.
        score: What the score is called.
        of_image: Of which image it is, or "" where there is one.
    """
    no_path = not_reached(layer, score)
    return no_path if str(error) == str(no_path) else independent(layer, layout, score, of_image)


def independent_of_input(score: str, of_image: str) -> IndependentScoreError:
    """Return the error of a score that does not depend on the model's input, and so on none of its layers.

    Args:
        score: What the score is called.
        of_image: Of which image it is, or "" where there is one.
    """
    return IndependentScoreError(
        f"{score_of(score)} does not depend on the input{of_image}: {STAYS} all its pixels (a head of zeros, as "
        "torchvision's transformers have before they are trained; a saturated or dead unit; or a change too small for "
        "the score's precision). Explain a logit, not a probability, or load the trained weights"
    )


def of_zeros(method: str, of_image: str) -> MethodError:
    """Return the error of an input that no mask changes, since it is zero everywhere.

    Args:
        method: The method that masks it.
        of_image: Of which image it is, or "" where there is one.
    """
    return MethodError(
        f"{method} compares what the model says of the input under masks, and the input is zero everywhere{of_image}: "
        "each mask leaves it as it is, and a map would say nothing. Accepted: an input with other values, as a "
        "normalisation makes it of a black image, or a method of gradients, such as gradcam++"
    )


def is_one(scores: torch.Tensor) -> bool:
    """Return whether several versions have one score; a last batch of another size may round otherwise."""
    return bool((scores[: (len(scores) + 1) // 2] == scores[0]).all())


def of_index(error: IndependentScoreError, indices: Sequence[object], last: str) -> IndependentScoreError:
    """Return the error of a score that does not depend on a layer which was given by its index.

    Args:
        error: That of the layer by its name.
        indices: What was given, one or more.
        last: The dotted name of the last layer that the score depends on.
    """
    given = " and ".join(map(repr, indices))
    return IndependentScoreError(
        f"{error}. An index, here {given}, counts all layers with a grid that run, those of another head too: the last "
        f"one that this score depends on is {last!r}, which layer=None finds",
        error.evidence,
    )


def of_no_layer(last: str, tried: list[str], score: str) -> IndependentScoreError:
    """Return the error of a score that depends on none of the layers that were tried.

    Args:
        last: The dotted name of the last layer with a grid.
        tried: Those of the layers before it.
        score: What the score is called.
    """
    return IndependentScoreError(
        f"{score_of(score)} depends neither on layer {last} nor on the {len(tried)} before it that were tried, back "
        f"to {tried[0]}: a head of zeros, as torchvision's transformers have before they are trained; a saturated or "
        "dead unit (explain a logit, not a probability); or a detach() or a no_grad block on the way. Accepted: a "
        "layer by its name"
    )
