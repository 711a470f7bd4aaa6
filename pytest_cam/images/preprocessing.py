"""From the user's image to the model's input, with the geometry between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from pytest_cam.errors import GeometryError, PreprocessError, is_ours
from pytest_cam.images.geometry import Geometry, Preprocess, as_input, geometry_of
from pytest_cam.images.loading import SourceImage, load

__tracebackhide__ = is_ours

_HOW = """\
img is {name}, and the model needs a tensor: say how to make one. Either of
    assert_attention_in_region(model, img, box, layer, preprocess=weights.transforms())
    @pytest.fixture
    def cam_preprocess(): return weights.transforms()      # in conftest.py, for the `cam` fixture
where `weights` is, for example, torchvision.models.ResNet50_Weights.DEFAULT; any callable from an RGB PIL
image to a float tensor (C, H, W) will do."""


@dataclass(frozen=True, eq=False)
class PreparedImage:
    """One image, ready for the model.

    Attributes:
        source: The image as the user gave it.
        tensor: The model input (C, H, W).
        geometry: The map between the pixels of the two.
    """

    source: SourceImage
    tensor: torch.Tensor
    geometry: Geometry


def prepare(img: Any, preprocess: Preprocess | None) -> PreparedImage:
    """Load an image and make the model's input of it.

    Args:
        img: What `pytest_cam.images.loading.load` accepts. A tensor is its own image and is not preprocessed.
        preprocess: From an RGB PIL image to a floating point tensor (C, H, W) or (1, C, H, W); deterministic.

    Returns:
        The image, the input and the geometry.

    Raises:
        ImageError: The image cannot be read or is of a kind that is not accepted.
        PreprocessError: There is no preprocess, it fails, or it returns something else than one input.
        GeometryError: The preprocess is random or not affine, so regions cannot be carried through it.
    """
    source = load(img)
    if isinstance(source.pixels, torch.Tensor):
        return PreparedImage(source, source.pixels, Geometry.identity(source.size))
    if preprocess is None:
        raise PreprocessError(_HOW.format(name=source.name))
    if not callable(preprocess):
        raise PreprocessError(
            f"preprocess is a {type(preprocess).__name__}; accepted: a callable from an RGB PIL image to a "
            "float tensor (C, H, W)"
        )
    geometry = geometry_of(preprocess, source.size)
    tensor = as_input(_applied(preprocess, source.pixels), preprocess)
    if (tensor.shape[2], tensor.shape[1]) != geometry.input_size:
        raise GeometryError(
            f"the preprocess made an input of {tensor.shape[2]} x {tensor.shape[1]} from {source.name}, but "
            f"{geometry.input_size[0]} x {geometry.input_size[1]} from a plain image of the same size: it "
            "depends on the content, and regions cannot be carried through it"
        )
    return PreparedImage(source, tensor, geometry)


def _applied(preprocess: Preprocess, image: Image.Image) -> Any:
    # A copy, since a preprocess may draw on the image that pictures are made from later.
    return preprocess(image.copy())
