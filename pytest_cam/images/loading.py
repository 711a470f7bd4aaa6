"""What `img` may be, and the one form that the rest of the package sees."""

from __future__ import annotations

import hashlib
import io
import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt
import torch
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from pytest_cam.errors import CamError, ImageError, is_ours, kind_of, with_article

__tracebackhide__ = is_ours

RGB: TypeAlias = npt.NDArray[np.uint8]
ACCEPTED = (
    "a path, a PIL image, a uint8 array (H, W, 3) or (H, W), a uint8 tv_tensors.Image, or a float tensor (C, H, W) or "
    "(1, C, H, W) that is model input already"
)
# What Pillow raises on images that it cannot read; AVIF's decoder raises RuntimeError.
DAMAGED = (OSError, SyntaxError, ValueError, RuntimeError)
# Modes whose values PIL would clip, not scale, on the way to 8 bits.
_DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
# What was decoded, by a digest of the file, for as long as an attention holds it: decoding a photo takes longer than a
# small model, and a test that asks ten things of one would hold ten of them.
_decoded: WeakValueDictionary[bytes, Image.Image] = WeakValueDictionary()


@dataclass(frozen=True, eq=False)
class SourceImage:
    """The image as the user gave it: regions are in its pixels, and pictures are drawn on it.

    Attributes:
        name: The path, or what kind of object was passed.
        size: (width, height) in pixels.
        pixels: The decoded RGB image, or, for a model input, the tensor (C, H, W) itself.
        unmapped: Where the input stands for an image whose pixels cannot be followed: why they cannot.
    """

    name: str
    size: tuple[int, int]
    pixels: Image.Image | torch.Tensor
    unmapped: str = ""

    @property
    def is_input(self) -> bool:
        """Whether the user passed the tensor that the model sees."""
        return isinstance(self.pixels, torch.Tensor)

    def rgb(self, like: SourceImage | None = None) -> RGB:
        """Return the image for drawing, (H, W, 3) uint8; a tensor is stretched to its own range.

        Args:
            like: A tensor's other version, to whose range it is stretched instead, so that the two can be compared.
        """
        if isinstance(self.pixels, Image.Image):
            return np.array(self.pixels, dtype=np.uint8)
        values = _drawable(self.pixels)
        scale = _drawable(like.pixels) if like is not None and isinstance(like.pixels, torch.Tensor) else values
        low, high = float(scale.min()), float(scale.max())
        stretched = ((values - low) / (high - low)).clip(0, 1) if high > low else np.zeros_like(values)
        return np.ascontiguousarray((stretched * 255).round().astype(np.uint8).transpose(1, 2, 0))


def _drawable(tensor: torch.Tensor) -> npt.NDArray[np.float32]:
    """Return a tensor's three channels, or their mean three times where there are others, (3, H, W)."""
    values: npt.NDArray[np.float32] = tensor.detach().to("cpu", torch.float32).numpy()
    return values if values.shape[0] == 3 else np.repeat(values.mean(axis=0, keepdims=True), 3, axis=0)


def is_input(img: Any) -> bool:
    """Return whether an image is taken as model input, which no preprocess is applied to."""
    return isinstance(img, torch.Tensor) and not (_is_tv_image(img) and img.dtype == torch.uint8)


def load(img: Any) -> SourceImage:
    """Read an image in any of the accepted forms.

    Paths and PIL images are turned upright by their EXIF orientation and converted to RGB as torchvision's
    default loader does (`convert("RGB")`: grayscale is repeated, alpha is dropped).

    Args:
        img: A path, a PIL image, a uint8 array (H, W, 3), (H, W, 4), (H, W, 1) or (H, W), a uint8
            `torchvision.tv_tensors.Image` (C, H, W) or (1, C, H, W), or a floating point tensor of such a shape that
            is model input already.

    Returns:
        The image with its size in pixels.

    Raises:
        ImageError: The file is missing, unreadable, truncated or a decompression bomb, or the object is of
            a type, shape or value type that is not accepted.
    """
    if is_input(img):
        return _from_tensor(img)
    if isinstance(img, torch.Tensor):
        return _from_pil(_array_to_pil(_tv_image_to_array(img)), "tv_tensors.Image")
    if isinstance(img, np.ndarray):
        return _from_pil(_array_to_pil(img), "array")
    if isinstance(img, Image.Image):
        return _from_pil(img, getattr(img, "filename", "") or "PIL image")
    if isinstance(img, (str, os.PathLike)):
        return _from_path(os.fspath(img))
    hint = ". Several images are for attend_batch(model, images)" if isinstance(img, (list, tuple)) else ""
    raise ImageError(f"img is {kind_of(img)}; accepted: {ACCEPTED}{hint}")


def _from_path(path: str) -> SourceImage:
    if not path:
        raise ImageError("img is an empty path; accepted: the path of an image file")
    try:
        stored = Path(os.fsdecode(path)).read_bytes()
        digest = hashlib.sha256(stored).digest()
        pixels = _decoded.get(digest)
        if pixels is not None and pixels.readonly:  # it no longer is where someone has drawn on it
            return SourceImage(str(path), pixels.size, pixels)
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(stored))
    except FileNotFoundError as error:
        raise ImageError(f"image file not found: {path}{_looked_for(path)}") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"image file is unreadable: {path} is in no format that Pillow knows") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(
            f"image file looks like a decompression bomb: {path}: {error} If it is trusted, raise "
            "PIL.Image.MAX_IMAGE_PIXELS"
        ) from error
    except DAMAGED as error:
        raise ImageError(f"image file is unreadable: {path} ({error})") from error
    with image:
        source = _from_pil(image, path)
    if isinstance(source.pixels, Image.Image):
        source.pixels.readonly = 1
        _decoded[digest] = source.pixels
    return source


def _looked_for(path: str) -> str:
    if os.path.isabs(path):
        return ""
    try:
        return f", looked for in {os.getcwd()}"
    except FileNotFoundError:
        return ", looked for in the working directory, which is gone"


def _from_pil(image: Image.Image, name: str) -> SourceImage:
    if 0 in image.size:
        raise ImageError(f"image {name} has no pixels: it is {image.size[0]} x {image.size[1]}")
    if image.mode in _DEEP_MODES:
        raise ImageError(
            f"image {name} has more than 8 bits a channel (mode {image.mode!r}), and how to scale it is "
            "yours to say: pass a uint8 array, or a tensor that is model input already"
        )
    try:
        image.load()  # a PNG may have its orientation after its pixels
        upright = _upright(image, name)
        if "transparency" in upright.info:
            upright = upright.convert("RGBA")
        rgb = upright.convert("RGB")
    except DAMAGED as error:
        raise ImageError(f"image {name} is truncated or damaged: {error}") from error
    return SourceImage(str(name), rgb.size, rgb)


def _upright(image: Image.Image, name: str) -> Image.Image:
    try:
        is_turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
        return ImageOps.exif_transpose(image) if is_turned else image  # which would copy it
    except Exception as error:  # Pillow writes all of the EXIF data anew, and fails in many ways where some are damaged
        raise ImageError(
            f"image {name} cannot be turned upright: its EXIF data are damaged ({error}). Save it upright without them"
        ) from error


def _array_to_pil(array: npt.NDArray[Any]) -> Image.Image:
    if array.dtype != np.uint8:
        # Converted without a look at its range, 16-bit data would wrap around.
        raise ImageError(
            f"img is {with_article(str(array.dtype))} array {array.shape}, whose value range is a guess; accepted: "
            "uint8. If it is an image, scale it to 0..255 and convert with .astype('uint8'); if it is model input "
            "already, pass a torch tensor"
        )
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.size == 0 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        channels_first = array.ndim == 3 and array.shape[0] in (1, 3, 4)
        hint = "; channels come last: array.transpose(1, 2, 0)" if channels_first else ""
        raise ImageError(f"img is an array of shape {array.shape}; accepted: (H, W, 3) or (H, W){hint}")
    return Image.fromarray(np.ascontiguousarray(array))


def _is_tv_image(img: Any) -> bool:
    # Who has such an image has imported its module; it takes a second.
    tv_tensors = sys.modules.get("torchvision.tv_tensors")
    return tv_tensors is not None and isinstance(img, tv_tensors.Image)


def _tv_image_to_array(img: torch.Tensor) -> RGB:
    one = img[0] if img.ndim == 4 and img.shape[0] == 1 else img
    if one.ndim != 3 or one.shape[0] not in (1, 3, 4) or 0 in one.shape:
        raise ImageError(
            f"img is a uint8 tv_tensors.Image of shape {tuple(img.shape)}; accepted: (C, H, W) or (1, C, H, W) with "
            "1, 3 or 4 channels"
        )
    array: RGB = one.as_subclass(torch.Tensor).detach().cpu().permute(1, 2, 0).numpy()
    return array


def _from_tensor(tensor: torch.Tensor) -> SourceImage:
    if tensor.is_nested or tensor.is_meta or tensor.layout is not torch.strided:
        kind = "nested" if tensor.is_nested else "meta" if tensor.is_meta else str(tensor.layout)
        dense = "" if tensor.is_nested or tensor.is_meta else ": img.to_dense()"
        raise ImageError(f"img is a {kind} tensor; accepted: a dense one that holds values{dense}")
    shape = tuple(tensor.shape)
    if not tensor.is_floating_point():
        raise ImageError(
            f"img is a {tensor.dtype} tensor {shape}; a model input is floating point. If it is an image "
            "(C, H, W), pass tv_tensors.Image(img) or img.permute(1, 2, 0).numpy(), so that the preprocess is applied"
        )
    if tensor.ndim == 4 and shape[0] > 1:
        is_like_a_clip = shape[0] == 3 and shape[1] not in (1, 3, 4)
        raise ImageError(
            f"img is a batch of {shape[0]} inputs {shape}; use attend_batch(model, img), which gives one "
            f"attention each, or pass one of them{'; a clip (C, T, H, W) is no image' if is_like_a_clip else ''}"
        )
    if tensor.ndim == 4:
        tensor = tensor.squeeze(0)
    if tensor.ndim != 3 or 0 in tensor.shape:
        raise ImageError(f"img is a tensor of shape {shape}; accepted: (C, H, W) or (1, C, H, W)")
    return SourceImage("input tensor", (tensor.shape[2], tensor.shape[1]), tensor)


class ExpectingChannelsFirst:
    """Says of an input that a model fails on in a `with` block that its channels come last, where they look like it.

    Args:
        source: The input's.

    Raises:
        ImageError: They do.
    """

    def __init__(self, source: SourceImage) -> None:
        self._source = source

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, CamError) or not isinstance(error, Exception):
            return
        pixels = self._source.pixels
        shape = tuple(pixels.shape) if isinstance(pixels, torch.Tensor) else ()
        if len(shape) == 3 and shape[2] in (1, 3, 4) and shape[0] not in (1, 3, 4):
            raise ImageError(
                f"img is a tensor of shape {shape}, and the model fails on it: {type(error).__name__}. Accepted: "
                "(C, H, W), channels first: img.permute(2, 0, 1). If it is an image and no model input yet, pass a "
                "uint8 array (H, W, 3), so that the preprocess is applied"
            ) from error
