"""Two models must look at the same place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from pytest_cam.attending import attend
from pytest_cam.attention import Attention
from pytest_cam.checks.how import How, of_one_target, require_how
from pytest_cam.comparison import Comparison
from pytest_cam.engine.black_box import Model
from pytest_cam.engine.layers import LayerLike
from pytest_cam.errors import CamError, LayerError, PreprocessError, VacuousError, is_ours
from pytest_cam.images.geometry import Preprocess
from pytest_cam.verdicts.likeness import LikenessLimits, Mode, rule

if TYPE_CHECKING:
    from typing_extensions import Unpack

__tracebackhide__ = is_ours


def assert_attention_agrees(
    model: Model,
    reference: Model,
    img: Any,
    *,
    mode: Mode = "retrained",
    cosine: float | None = None,
    max_difference: float | None = None,
    emd: float | None = None,
    pearson: float | None = None,
    reference_layer: LayerLike = None,
    reference_preprocess: Preprocess | None = None,
    **how: Unpack[How],
) -> Comparison:
    """Fail unless a model looks where another one does: quantised, exported, pruned, distilled or trained again.

    Both are explained for one target: what is given, or else the class that `model` predicts.

    Args:
        model: The model under test.
        reference: The model that it should be like. It may have another input size, where `img` is an image.
        img: As for `attend`. A tensor is the input of both.
        mode: "retrained" (default: EMD at most 0.15 of the diagonal and Pearson at least 0.6), for two networks that
            should have learnt the same; or "same-weights" (cosine at least 0.999 and a greatest difference in any cell
            of at most 0.02), for one network in two forms.
        cosine: The least cosine that passes, in place of the mode's or beside its rule, in [0, 1].
        max_difference: The greatest difference in any cell that passes, each map divided by its maximum, in [0, 1].
        emd: The greatest earth mover's distance that passes, as a share of the diagonal, in [0, 1].
        pearson: The least correlation that passes, in [-1, 1].
        reference_layer: The reference's layer; None asks at the one that `layer` names, or at the reference's own where
            none is named.
        reference_preprocess: The reference's preprocess; None takes the model's.
        **how: How both are asked: `layer`, `method`, `target`, `preprocess` and all else as for `attend`.

    Returns:
        The comparison, over the part of the image that both models saw.

    Raises:
        AttentionError: The two look at different places.
        VacuousError: The two are one object, asked in one way.
        FlatMapError: Both maps are the same everywhere, and are to correlate.
        PreprocessError: The reference cannot take the model's input.
        KeywordError, LimitError: There is no such mode or limit, or it is outside of its range.
        CamError: As for `attend`; what is wrong with the reference says so.
    """
    require_how(how, assert_attention_agrees)
    limits: LikenessLimits = {"cosine": cosine, "max_difference": max_difference, "emd": emd, "pearson": pearson}
    rule(mode, dict(limits))
    if model is reference and reference_layer is None and reference_preprocess is None:
        raise VacuousError("vacuous: model and reference are one object, which always agrees with itself")
    attention = attend(model, img, **how)
    other = _of_reference(reference, img, attention, reference_layer, reference_preprocess, how)
    comparison = Comparison(attention, other)
    comparison.assert_agrees(mode, names=("model", "reference"), **limits)
    return comparison


def _of_reference(
    reference: Model,
    img: Any,
    attention: Attention,
    layer: LayerLike,
    preprocess: Preprocess | None,
    how: How,
) -> Attention:
    asked = of_one_target(how, attention)
    if layer is not None:
        asked["layer"] = layer
    elif isinstance(how.get("layer"), nn.Module):  # the model's own, which the reference does not have
        asked["layer"] = attention.layer
    if preprocess is not None:
        asked["preprocess"] = preprocess
    try:
        return attend(reference, img, **asked)
    except CamError as error:
        own = "" if layer is not None else ". reference_layer= names its own layer"
        hint = own if isinstance(error, LayerError) else ""
        raise type(error)(f"the reference: {error}{hint}", error.evidence) from None
    except (RuntimeError, ValueError, TypeError) as error:
        # What a model says of an input that does not fit is torch's, and of many kinds.
        width, height = attention.geometry.input_size
        cure = (
            "pass the image, with preprocess= and reference_preprocess="
            if attention.image.is_input
            else "give reference_preprocess="
        )
        raise PreprocessError(
            f"the reference failed on the input of {width} x {height} pixels that the model takes: {error}. If it "
            f"needs another, {cure}"
        ) from error
