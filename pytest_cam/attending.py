"""`attend`: from a model and the user's images to attentions, in one forward pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from pytest_cam.attention import Attention
from pytest_cam.engine.layers import LayerLike
from pytest_cam.engine.methods import method_named
from pytest_cam.engine.state import ModelState
from pytest_cam.engine.targets import Target, Targets
from pytest_cam.engine.trace import Trace, trace
from pytest_cam.errors import ImageError, ModelError, NonFiniteError, is_ours
from pytest_cam.images.frames import Frame
from pytest_cam.images.geometry import Preprocess
from pytest_cam.images.preprocessing import PreparedImage, prepare
from pytest_cam.randomness import RandomState

__tracebackhide__ = is_ours


def attend(
    model: nn.Module,
    img: Any,
    *,
    layer: LayerLike = None,
    method: str = "gradcam++",
    target: Target = None,
    preprocess: Preprocess | None = None,
    class_names: Sequence[str] | None = None,
    device: str | torch.device | None = None,
    frame: Frame = "image",
) -> Attention:
    """Compute the class activation map of one image, in one forward pass.

    The model comes back as it was, also when this raises: hooks, training flags, `requires_grad`, `.grad`, buffers,
    grad mode and random state.

    Args:
        model: The classifier, an `nn.Module`; it is run in eval mode.
        img: A path, a PIL image, a uint8 array (H, W, 3) or (H, W), a uint8 `tv_tensors.Image`, or a float tensor
            (C, H, W) or (1, C, H, W) that is model input already.
        layer: A dotted name as in `model.named_modules()`, a module of the model, or None for the last executed
            module whose output has spatial extent, adaptive pooling aside.
        method: "gradcam", "gradcam++", "hirescam", "layercam" or "xgradcam".
        target: The score to explain: a class index, a class name, a callable from the image's own part of the output
            (for a classifier its K logits) to a scalar tensor, or None for the predicted class.
        preprocess: From an RGB PIL image, or a uint8 array (H, W, 3), to a float tensor (C, H, W); or a Hugging Face
            image processor, or an albumentations transform. Needed unless `img` is a tensor. How it moves pixels is
            found by running it, or, where it has one, asked of its method `cam_geometry(size)`: from (width, height) of
            the image to an affine 2 x 3 matrix that carries image points to input points.
        class_names: The K class names.
        device: Where the model is expected to be; None takes it where it is. The input is moved there.
        frame: "input" takes a preprocess through which image coordinates cannot be carried too: then the input stands
            for the image in all that follows, and regions are given with frame="input".

    Returns:
        The attention.

    Raises:
        CamError: One of its kinds for each thing that can be wrong: see `pytest_cam.errors`.
    """
    return _attend(model, [img], layer, method, target, preprocess, class_names, device, frame)[0]


def attend_batch(
    model: nn.Module,
    images: Sequence[Any] | torch.Tensor,
    *,
    layer: LayerLike = None,
    method: str = "gradcam++",
    target: Targets = None,
    preprocess: Preprocess | None = None,
    class_names: Sequence[str] | None = None,
    device: str | torch.device | None = None,
    frame: Frame = "image",
) -> list[Attention]:
    """Compute the class activation maps of B images in one forward pass.

    Args:
        model: As for `attend`.
        images: A tensor (B, C, H, W) of model inputs, or a sequence of B images, each as for `attend`, whose inputs
            have one shape.
        layer: As for `attend`.
        method: As for `attend`.
        target: One for all images, or a list of one each.
        preprocess: As for `attend`.
        class_names: As for `attend`.
        device: As for `attend`.
        frame: As for `attend`.

    Returns:
        B attentions, in the order of the images.

    Raises:
        TargetError: The number of targets is not that of the images.
        ImageError: There are no images, or their inputs differ in shape.
        CamError: As for `attend`.
    """
    if isinstance(images, torch.Tensor) and images.ndim != 4:
        raise ImageError(
            f"images is a tensor of shape {tuple(images.shape)}; accepted: (B, C, H, W), or a list of images"
        )
    if not isinstance(images, (Sequence, torch.Tensor)) or isinstance(images, str):
        raise ImageError(f"images is a {type(images).__name__}; accepted: a tensor (B, C, H, W), or a list of images")
    if len(images) == 0:
        raise ImageError("there are no images in the batch")
    return _attend(model, list(images), layer, method, target, preprocess, class_names, device, frame)


def _attend(
    model: nn.Module,
    images: list[Any],
    layer: LayerLike,
    method: str,
    targets: Targets,
    preprocess: Preprocess | None,
    class_names: Sequence[str] | None,
    device: str | torch.device | None,
    frame: Frame,
) -> list[Attention]:
    compute = method_named(method)
    with ModelState(model) as state:
        _require_device(state.device, device)
        # A preprocess may draw random numbers; the model's state need not know.
        with nullcontext() if preprocess is None else RandomState():
            prepared = [prepare(img, preprocess, frame) for img in images]
        seen = trace(model, _stacked(prepared), layer, targets, class_names, state=state)
        maps = compute(seen.activations, seen.gradients).to("cpu", torch.float32).numpy()
    return [_attention(item, maps[index], seen, index, method) for index, item in enumerate(prepared)]


def _stacked(prepared: list[PreparedImage]) -> torch.Tensor:
    shapes = [tuple(item.tensor.shape) for item in prepared]
    if len(set(shapes)) > 1:
        raise ImageError(f"the inputs of a batch must have one shape, and these have {sorted(set(shapes))}")
    # A copy, also of one: a model may overwrite its input.
    return torch.stack([item.tensor.detach() for item in prepared])


def _attention(item: PreparedImage, cam: npt.NDArray[np.float32], seen: Trace, index: int, method: str) -> Attention:
    if not math.isfinite(np.add.reduce(cam, axis=None)) and not np.isfinite(cam).all():
        raise NonFiniteError(
            f"the {method} map at layer {seen.layer} is not finite although activations and gradients are: their "
            "products leave the range of float32. Scale the score"
        )
    cam.flags.writeable = False
    explained = seen.explained[index]
    return Attention(cam, seen.layer, seen.calls, method, explained, item.source, item.geometry)


def _require_device(actual: torch.device, wanted: str | torch.device | None) -> None:
    if wanted is None:
        return
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise ModelError(f"device is {wanted!r}; accepted: 'cpu', 'cuda', 'cuda:0', 'mps', ... ({error})") from None
    if device.type != actual.type or (device.index is not None and device.index != actual.index):
        raise ModelError(
            f"the model is on {actual}, and device is {device}: move it there first, with model.to({str(device)!r}). "
            "In a test, take the `cam_device` fixture in the fixture that makes the model"
        )
