"""The model must not look there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from pytest_cam.attending import attend, require_one
from pytest_cam.attention import Attention
from pytest_cam.engine.black_box import Model
from pytest_cam.engine.further import Further, require_known
from pytest_cam.engine.layers import LayerLike
from pytest_cam.engine.scores.targets import Target
from pytest_cam.errors import is_ours
from pytest_cam.images.frames import Frame
from pytest_cam.images.geometry import Preprocess

if TYPE_CHECKING:
    from typing_extensions import Unpack

__tracebackhide__ = is_ours


def assert_attention_not_in_region(
    model: Model,
    img: Any,
    box: Any,
    layer: LayerLike = None,
    method: str = "gradcam++",
    *,
    target: Target = None,
    metric: str = "lift",
    at_most: float | None = None,
    preprocess: Preprocess | None = None,
    class_names: Any = None,
    device: str | torch.device | None = None,
    frame: Frame = "image",
    **further: Unpack[Further],
) -> Attention:
    """Fail if the model's attention lies in a region that must not matter: a watermark, a tag, a border.

    The region is widened by one cell of the map, into which the evidence of a small mark spreads.

    Args:
        model: As for `assert_attention_in_region`.
        img: As for `assert_attention_in_region`.
        box: As for `assert_attention_in_region`.
        layer: As for `assert_attention_in_region`.
        method: As for `assert_attention_in_region`.
        target: As for `assert_attention_in_region`.
        metric: "lift" (default, at most 1.0: no more than chance), "skill", "pointing" (default 0), "energy",
            "iou" or "rank".
        at_most: The greatest value that passes.
        preprocess: As for `assert_attention_in_region`.
        class_names: As for `assert_attention_in_region`.
        device: As for `assert_attention_in_region`.
        frame: As for `assert_attention_in_region`.
        **further: As for `assert_attention_in_region`.

    Returns:
        The attention, for further checks without a second forward pass.

    Raises:
        AttentionError: The model looks there.
        CamError: The question makes no sense as it was asked; each of its kinds names what was given and accepted.
    """
    require_known(further, assert_attention_not_in_region)
    require_one("assert_attention_not_in_region", layer, method, target)
    attention = attend(
        model,
        img,
        layer=layer,
        method=method,
        target=target,
        preprocess=preprocess,
        class_names=class_names,
        device=device,
        frame=frame,
        **further,
    )
    attention.assert_not_in_region(box, metric=metric, at_most=at_most, frame=frame)
    return attention
