"""Other models than classifiers of one photo, from beginning to end. Their weights are random: only that differs.

Each map is held against one made by plain autograd, without this package.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.models import resnet18
from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn, retinanet_resnet50_fpn
from torchvision.models.segmentation import lraspp_mobilenet_v3_large
from torchvision.transforms import v2

from pytest_cam import (
    AttentionError,
    Box,
    DetectionBox,
    SegmentationMask,
    Similarity,
    assert_attention_in_region,
    attend,
    attend_batch,
)

SIZE = 96
to_input = v2.Compose([v2.Resize(SIZE), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])


@pytest.fixture(autouse=True)
def _same_weights_in_every_run() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    """Noise, 192 x 192: half as large as that, it is the model's input."""
    pixels = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), np.uint8)
    return Image.fromarray(pixels).resize((2 * SIZE, 2 * SIZE), Image.Resampling.NEAREST)


def grad_cam(model: nn.Module, layer: nn.Module, inputs: torch.Tensor, score: Callable[[Any], torch.Tensor]) -> Any:
    kept = []
    handle = layer.register_forward_hook(lambda module, args, output: kept.append(output))
    with torch.enable_grad():
        (gradients,) = torch.autograd.grad(score(model(inputs)), kept)
    handle.remove()
    return (gradients.mean(dim=(2, 3), keepdim=True) * kept[0]).sum(dim=1)[0].relu().detach().numpy()


def assert_alike(found: Any, expected: Any) -> None:
    assert expected.max() > 0
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * expected.max())


@pytest.mark.parametrize(
    ("build", "threshold", "layer"),
    [
        (fasterrcnn_mobilenet_v3_large_320_fpn, "box_score_thresh", "backbone.body.16"),
        (retinanet_resnet50_fpn, "score_thresh", "backbone.body.layer4"),
    ],
)
def test_detector(build: Callable[..., nn.Module], threshold: str, layer: str, photo: Image.Image) -> None:
    detector = build(
        weights=None, weights_backbone=None, num_classes=3, min_size=SIZE, max_size=SIZE, **{threshold: 0.0}
    ).eval()
    inputs = to_input(photo)[None]
    with torch.no_grad():
        (found,) = detector(inputs)
    # The photo is twice as large as the input, in which the model finds its boxes.
    box, label = Box(*(2 * found["boxes"][0]).tolist()), int(found["labels"][0])

    attention = attend(
        detector, photo, layer=layer, method="gradcam", target=DetectionBox(box, label), preprocess=to_input
    )

    assert attention.score == pytest.approx(float(found["scores"][0]), rel=1e-5)
    expected = grad_cam(detector, detector.get_submodule(layer), inputs, lambda output: output[0]["scores"][0])
    assert_alike(attention.map, expected)
    assert 0 <= attention.energy_in((0, 0, 96, 192)) <= 1


def test_segmenter(photo: Image.Image) -> None:
    segmenter = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=3).eval()
    mask = np.zeros((192, 192), bool)
    mask[:96, :48] = True

    attention = attend(
        segmenter,
        photo,
        layer="backbone.16",
        method="gradcam",
        target=SegmentationMask("dog", mask),
        preprocess=to_input,
        class_names=["background", "cat", "dog"],
    )

    assert attention.explained.name == "mean logit of dog in the mask"
    expected = grad_cam(
        segmenter, segmenter.backbone["16"], to_input(photo)[None], lambda output: output["out"][0, 2, :48, :24].mean()
    )
    assert_alike(attention.map, expected)


def test_embedding_model(photo: Image.Image) -> None:
    embedder = resnet18(weights=None).eval()
    embedder.fc = nn.Identity()
    inputs = to_input(photo)[None]
    reference = embedder(inputs.flip(3)).detach()

    attention = attend(
        embedder, photo, layer="layer3", method="gradcam", target=Similarity(reference), preprocess=to_input
    )

    expected = grad_cam(
        embedder,
        embedder.layer3,
        inputs,
        lambda output: torch.cosine_similarity(output, reference).sum(),
    )
    assert_alike(attention.map, expected)
    with pytest.raises(AttentionError, match="explained  similarity to the reference = 0"):
        assert_attention_in_region(
            embedder, photo, (0, 0, 60, 60), "layer3", target=Similarity(reference), preprocess=to_input, at_least=0.9
        )


def test_hugging_face_classifier(photo: Image.Image) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what its imports have to say
        transformers = pytest.importorskip("transformers")
        config = transformers.ResNetConfig(
            embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], id2label={0: "cat", 1: "dog", 2: "cow"}
        )
        model = transformers.ResNetForImageClassification(config).eval()
    inputs = torch.stack([to_input(photo), to_input(photo).flip(2)])

    dog, cow = attend_batch(model, inputs, target=["dog", lambda output: output.logits[2]], method="gradcam")

    logits = model(inputs).logits.detach()
    assert (dog.score, cow.score) == pytest.approx((float(logits[0, 1]), float(logits[1, 2])), rel=1e-4)
    assert dog.explained.name == "dog"
