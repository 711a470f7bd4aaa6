"""The model must look there."""

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


def assert_attention_in_region(
    model: Model,
    img: Any,
    box: Any,
    layer: LayerLike = None,
    method: str = "gradcam++",
    *,
    target: Target = None,
    metric: str = "skill",
    at_least: float | None = None,
    at_most: float | None = None,
    preprocess: Preprocess | None = None,
    class_names: Any = None,
    device: str | torch.device | None = None,
    frame: Frame = "image",
    **further: Unpack[Further],
) -> Attention:
    """Fail unless the model's attention lies in a region of the image.

    Args:
        model: The classifier, an `nn.Module`; it is run in eval mode and comes back as it was. For the methods
            "rise" and "occlusion" also any callable, as for `attend`.
        img: A path, a PIL image, a uint8 array (H, W, 3) or (H, W), a uint8 `tv_tensors.Image`, or a float tensor
            (C, H, W) or (1, C, H, W) that is model input already.
        box: The region: a `Box`, `Polygon` or `Mask`, (x1, y1, x2, y2), half-open, or several of these, in pixels of
            the image, whatever the preprocess does to it; for a tensor, in pixels of the tensor.
        layer: A dotted name, a module, or None for the last executed module whose output has spatial extent.
        method: The name of a CAM method, as for `attend`.
        target: A class index, a class name, a callable from the image's own part of the output to a scalar tensor,
            or None for the predicted class.
        metric: "skill" (default, at least 0.25), "pointing" (default 1), "energy", "lift", "iou" or "rank".
        at_least: The least value that passes.
        at_most: The greatest value that passes.
        preprocess: From an RGB PIL image, or a uint8 array (H, W, 3), to a float tensor (C, H, W); or a Hugging Face
            image processor, or an albumentations transform. Needed unless `img` is a tensor. How it moves pixels is
            found by running it, or, where it has one, asked of its method `cam_geometry(size)`: from (width, height) of
            the image to an affine 2 x 3 matrix that carries image points to input points.
        class_names: The K class names, or a weights member of torchvision that knows them; None takes those that the
            model carries.
        device: Where the model is expected to be; None takes it where it is.
        frame: "image" (default), or "input" where the box is in pixels of the model's input, after the preprocess.
        **further: As for `attend`.

    Returns:
        The attention, for further checks without a second forward pass.

    Raises:
        AttentionError: The model looks elsewhere.
        CamError: The question makes no sense as it was asked; each of its kinds names what was given and accepted.

    Example:
        >>> import torch
        >>> from pytest_cam import assert_attention_in_region
        >>> model = torch.nn.Sequential(
        ...     torch.nn.Conv2d(1, 1, 1, bias=False), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
        ...     torch.nn.Linear(1, 2))
        >>> for parameter in model.parameters():
        ...     _ = torch.nn.init.ones_(parameter)
        >>> image = torch.zeros(1, 8, 8)
        >>> image[:, 2:6, 2:6] = 1.0
        >>> assert_attention_in_region(model, image, (2, 2, 6, 6), "0", target=1).peak
        (2.5, 2.5)
    """
    require_known(further, assert_attention_in_region)
    require_one("assert_attention_in_region", layer, method, target)
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
    attention.assert_in_region(box, metric=metric, at_least=at_least, at_most=at_most, frame=frame)
    return attention
