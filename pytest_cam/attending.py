"""`attend`: from a model and the user's images to attentions, in one forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, overload

import torch
from torch import nn

from pytest_cam.attention import Attention
from pytest_cam.engine.asking import Found
from pytest_cam.engine.black_box import Model, State, state_of
from pytest_cam.engine.combining import fused, smoothed
from pytest_cam.engine.explaining import explain, methods_named, tell_of_ignored_targets
from pytest_cam.engine.further import Further, require_known, seed_of
from pytest_cam.engine.layers import FusedLayers, LayerLike, LayersLike, region_hint
from pytest_cam.engine.model.requirements import require_device
from pytest_cam.engine.scores.ready_targets import ReadyTarget
from pytest_cam.engine.scores.targets import Target, Targets, one_each
from pytest_cam.engine.subject import Subject
from pytest_cam.errors import CamError, ImageError, LayerError, MethodError, TargetError, is_ours, kind_of
from pytest_cam.images.batching import stacked
from pytest_cam.images.frames import Frame
from pytest_cam.images.geometry import Preprocess
from pytest_cam.images.loading import ExpectingChannelsFirst, is_input
from pytest_cam.images.preprocessing import PreparedImage, prepare

if TYPE_CHECKING:
    from typing_extensions import Unpack

__tracebackhide__ = is_ours


@overload
def attend(
    model: Model,
    img: Any,
    *,
    layer: LayerLike = None,
    method: str = ...,
    target: Target = ...,
    preprocess: Preprocess | None = ...,
    class_names: Any = ...,
    device: str | torch.device | None = ...,
    frame: Frame = ...,
    **further: Unpack[Further],
) -> Attention: ...


@overload
def attend(
    model: Model,
    img: Any,
    *,
    layer: list[str | int | nn.Module],
    method: str | list[str] = ...,
    target: Target | list[Target] = ...,
    preprocess: Preprocess | None = ...,
    class_names: Any = ...,
    device: str | torch.device | None = ...,
    frame: Frame = ...,
    **further: Unpack[Further],
) -> list[Attention]: ...


@overload
def attend(
    model: Model,
    img: Any,
    *,
    layer: LayerLike = None,
    method: list[str],
    target: Target | list[Target] = ...,
    preprocess: Preprocess | None = ...,
    class_names: Any = ...,
    device: str | torch.device | None = ...,
    frame: Frame = ...,
    **further: Unpack[Further],
) -> list[Attention]: ...


@overload
def attend(
    model: Model,
    img: Any,
    *,
    layer: LayerLike = None,
    method: str = ...,
    target: list[Target],
    preprocess: Preprocess | None = ...,
    class_names: Any = ...,
    device: str | torch.device | None = ...,
    frame: Frame = ...,
    **further: Unpack[Further],
) -> list[Attention]: ...


def attend(
    model: Model,
    img: Any,
    *,
    layer: LayersLike = None,
    method: str | Sequence[str] = "gradcam++",
    target: Targets = None,
    preprocess: Preprocess | None = None,
    class_names: Any = None,
    device: str | torch.device | None = None,
    frame: Frame = "image",
    **further: Unpack[Further],
) -> Attention | list[Attention]:
    """Compute class activation maps of one image, in one forward pass.

    The model comes back as it was, also when this raises: hooks, training flags, `requires_grad`, `.grad`, buffers,
    grad mode and random state.

    Args:
        model: The classifier, an `nn.Module`; it is run in eval mode. For the methods "rise" and "occlusion" also any
            callable from a batch (B, C, H, W) to scores, and a session of ONNX Runtime.
        img: A path, a PIL image, a uint8 array (H, W, 3) or (H, W), a uint8 `tv_tensors.Image`, or a float tensor
            (C, H, W) or (1, C, H, W) that is model input already.
        layer: A dotted name as in `model.named_modules()`, a module of the model, or an index such as -1 into its
            explainable layers, as `pytest --cam-list-layers` prints them (it takes a second pass). None or "auto" is
            the last executed module whose output shows the image on a grid, adaptive pooling aside; where the score
            does not depend on it, or is read from its own cells as a segmenter's is, the last before it; where a class
            token is read the norm before the last attention. Or `FusedLayers("layer3", "layer4")`: one map for several.
        method: The name of a CAM method: see `pytest_cam.engine.methods.METHODS` and `register_method`.
        target: The score to explain: a class index, a class name, a callable from the image's own part of the output
            (for a classifier its K logits) to a scalar tensor, such as `ClassLogit(3)` or `DetectionBox(box)`, or None
            for the predicted class. Of a single logit z, class 1 is +z and class 0 is -z.
            Lists of layers, of methods and of targets give a list of attentions, all from one forward pass.
        preprocess: From an RGB PIL image, or a uint8 array (H, W, 3), to a float tensor (C, H, W); or a Hugging Face
            image processor, or an albumentations transform. Needed unless `img` is a tensor. How it moves pixels is
            found by running it, or, where it has one, asked of its method `cam_geometry(size)`: from (width, height) of
            the image to an affine 2 x 3 matrix that carries image points to input points.
        class_names: The K class names, or a weights member of torchvision that knows them; None takes those that the
            model carries, as `model.config.id2label` does.
        device: Where the model is expected to be; None takes it where it is. The input is moved there.
        frame: "input" takes a preprocess through which image coordinates cannot be carried too: then the input stands
            for the image in all that follows, and regions are given with frame="input".
        **further: `output`: which part of what the model returns is explained: a key, an attribute, an index, or a
            callable on all of it. `model_args` and `model_kwargs`: what the model takes beside the image. `reshape`:
            from the layer's output tensor to (B, C, h, w); None finds out. `layer_call`: which execution of a layer
            that runs several times in a pass, from 1; None for the last. `seed`: that of methods which draw random
            numbers, 0 by default. `method_options`: a method's own options, such as {"samples": 16}. `smooth=True`: the
            mean of the maps of six versions of the input: 0.9, 1 and 1.1 times it, each also mirrored.

    Returns:
        The attention. Where a list is given, a list: for each layer, within it for each method, within it for each
        target.

    Raises:
        CamError: One of its kinds for each thing that can be wrong: see `pytest_cam.errors`.

    Warns:
        ProbabilityWarning: The class scores look like probabilities.
        TargetIgnoredWarning: A target is given to a method whose map is the same for every target.
    """
    require_known(further, attend)
    several = isinstance(target, (list, tuple))
    targets: list[list[Target]] = [[each] for each in target] if isinstance(target, (list, tuple)) else [[target]]  # type: ignore[list-item]  # what is no list is one
    if not targets:
        raise TargetError("the list of targets is empty; accepted: one target or more")
    (found,) = _attend(model, [img], layer, method, targets, preprocess, class_names, device, frame, further)
    return found if several or any(isinstance(given, (list, tuple)) for given in (layer, method)) else found[0]


def attend_batch(
    model: Model,
    images: Sequence[Any] | torch.Tensor,
    *,
    layer: LayerLike = None,
    method: str = "gradcam++",
    target: Targets = None,
    preprocess: Preprocess | None = None,
    class_names: Any = None,
    device: str | torch.device | None = None,
    frame: Frame = "image",
    **further: Unpack[Further],
) -> list[Attention]:
    """Compute the class activation maps of B images in one forward pass.

    Args:
        model: As for `attend`.
        images: A tensor (B, C, H, W) of model inputs, or a sequence of B images, each as for `attend`, whose inputs
            have one shape.
        layer: As for `attend`, but one.
        method: As for `attend`.
        target: One for all images, or a list of one each.
        preprocess: As for `attend`.
        class_names: As for `attend`.
        device: As for `attend`.
        frame: As for `attend`.
        **further: As for `attend`; `model_args` and `model_kwargs` are those of the whole batch.

    Returns:
        B attentions, in the order of the images.

    Raises:
        TargetError: The number of targets is not that of the images.
        ImageError: There are no images, or their inputs differ in shape.
        ModelError: The images change one another's scores. (Of a model that runs code of its own, the last image is
            run alone once, and compared.)
        CamError: As for `attend`.
    """
    require_known(further, attend_batch)
    if isinstance(images, torch.Tensor) and images.ndim != 4:
        raise ImageError(
            f"images is a tensor of shape {tuple(images.shape)}; accepted: (B, C, H, W), or a list of images"
        )
    if not isinstance(images, (Sequence, torch.Tensor)) or isinstance(images, str):
        raise ImageError(f"images is {kind_of(images)}; accepted: a tensor (B, C, H, W), or a list of images")
    if len(images) == 0:
        raise ImageError("there are no images in the batch")
    require_one("attend_batch", layer, method)
    targets = [one_each(target, len(images))]
    found = _attend(model, list(images), layer, method, targets, preprocess, class_names, device, frame, further)
    return [attentions[0] for attentions in found]


def require_one(verb: str, layer: Any = None, method: Any = None, target: Any = None) -> None:
    """Check that one layer, one method and one target are asked for.

    Raises:
        LayerError, MethodError, TargetError: It is a list.
    """
    given: tuple[tuple[str, Any, type[CamError]], ...] = (
        ("layer", layer, LayerError),
        ("method", method, MethodError),
        ("target", target, TargetError),
    )
    for name, value, error in given:
        if isinstance(value, (list, tuple)):
            raise error(
                f"{name} is a list of {len(value)}; {verb} takes one {name}, and attend(..., {name}=[...]) gives an "
                f"attention for each{region_hint(value) if name == 'layer' else ''}"
            )


def _attend(
    model: Model,
    images: list[Any],
    layer: LayersLike,
    method: str | Sequence[str],
    targets: list[list[Target]],
    preprocess: Preprocess | None,
    class_names: Any,
    device: str | torch.device | None,
    frame: Frame,
    further: Further,
) -> list[list[Attention]]:
    """Return, for each image, one attention for each layer, method and target."""
    options = further.get("method_options")
    methods = methods_named(method, options, model)
    with state_of(model, methods) as state:
        require_device(state.device, device)
        prepared = prepared_in(state, images, preprocess, frame)
        placed = [
            [placed_on_input(target, item) for target, item in zip(each, prepared, strict=True)] for each in targets
        ]
        subject = Subject(state.model, state, len(images), class_names, further)
        tell_of_ignored_targets(methods, placed)
        layers = list(layer.layers) if isinstance(layer, FusedLayers) else layer
        maps_of = smoothed if further.get("smooth") else explain
        with ExpectingChannelsFirst(prepared[0].source):
            found = maps_of(subject, stacked(prepared), layers, methods, placed, seed=seed_of(further), options=options)
    if isinstance(layer, FusedLayers):
        count = len(found) // len(layer.layers)
        found = [fused(found[start::count], layer.by) for start in range(count)]
    return [[_attention(item, one, index) for one in found] for index, item in enumerate(prepared)]


def prepared_in(
    state: State, images: Sequence[Any], preprocess: Preprocess | None, frame: Frame
) -> list[PreparedImage]:
    """Return the model's inputs of some images, and put back the random numbers that the preprocess draws."""
    is_run = preprocess is not None and not all(map(is_input, images))
    with state.users_code() if is_run else nullcontext():
        return [prepare(img, preprocess, frame) for img in images]


def placed_on_input(target: Target, item: PreparedImage) -> Target:
    """Return a target with what lies in pixels of the image carried to the model's input."""
    return target.on_input(item.geometry) if callable(target) and isinstance(target, ReadyTarget) else target


def _attention(item: PreparedImage, found: Found, index: int) -> Attention:
    found.maps.flags.writeable = False  # and so each map, which is a view
    return Attention(
        found.maps[index],
        found.layer,
        found.call,
        found.calls,
        found.layout,
        found.method,
        found.explained[index],
        item.source,
        item.geometry,
    )
