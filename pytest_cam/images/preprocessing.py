"""From the user's image to the model's input, with the geometry between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from pytest_cam.errors import NotAffineError, PreprocessError, is_ours
from pytest_cam.images.applying import apply, name_of
from pytest_cam.images.found_geometry import geometry_of
from pytest_cam.images.frames import Frame, require_frame
from pytest_cam.images.geometry import Geometry, Preprocess
from pytest_cam.images.loading import SourceImage, load
from pytest_cam.images.stating import stated_geometry

__tracebackhide__ = is_ours

_HOW = """\
the model needs a tensor, and img ({name}) is none: say how to make one. Either of
    assert_attention_in_region(model, img, box, layer, preprocess=weights.transforms())
    @pytest.fixture
    def cam_preprocess(): return weights.transforms()      # in conftest.py, for the `cam` fixture
where `weights` is, for example, torchvision.models.ResNet50_Weights.DEFAULT; any callable from an RGB PIL
image to a float tensor (C, H, W) will do, and so will Hugging Face's processors and albumentations."""


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


def prepare(img: Any, preprocess: Preprocess | None, frame: Frame = "image") -> PreparedImage:
    """Load an image and make the model's input of it.

    Args:
        img: What `pytest_cam.images.loading.load` accepts. A tensor is its own image and is not preprocessed.
        preprocess: What `pytest_cam.images.applying.apply` can call; deterministic.
        frame: "input" takes a preprocess whose geometry cannot be found too: its input then stands for the image.

    Returns:
        The image, the input and the geometry.

    Raises:
        ImageError: The image cannot be read or is of a kind that is not accepted.
        PreprocessError: There is no preprocess, it fails, or it returns something else than one input.
        GeometryError: The preprocess is random or not affine, so regions cannot be carried through it.
        RegionError: There is no such frame.
    """
    require_frame(frame)
    source = load(img)
    if isinstance(source.pixels, torch.Tensor):
        return PreparedImage(source, source.pixels, Geometry.identity(source.size))
    if preprocess is None:
        raise PreprocessError(_HOW.format(name=source.name))
    tensor = apply(preprocess, source.pixels)
    input_size = tensor.shape[2], tensor.shape[1]
    try:
        return PreparedImage(source, tensor, _geometry(preprocess, source, input_size))
    except NotAffineError as error:
        if frame == "image":
            raise
        return PreparedImage(
            SourceImage(source.name, input_size, tensor, str(error)), tensor, Geometry.identity(input_size)
        )


def _geometry(preprocess: Preprocess, source: SourceImage, input_size: tuple[int, int]) -> Geometry:
    stated = getattr(preprocess, "cam_geometry", None)
    if stated is not None:
        return stated_geometry(stated, name_of(preprocess), source.size, input_size)
    geometry = geometry_of(preprocess, source.size)
    if geometry.input_size != input_size:
        raise NotAffineError(
            f"the preprocess made an input of {input_size[0]} x {input_size[1]} from {source.name}, but "
            f"{geometry.input_size[0]} x {geometry.input_size[1]} from a plain image of the same size: it "
            "depends on the content, and regions cannot be carried through it. Pass the region in input pixels, with "
            "frame='input'"
        )
    return geometry
