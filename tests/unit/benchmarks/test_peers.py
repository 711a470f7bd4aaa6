"""What is timed against pytest-cam computes the same thing."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch

from benchmarks.figures import UnavailableError
from benchmarks.networks import Network, networks_named
from benchmarks.ours import mapped
from benchmarks.peers import PEERS


def stretched(cams: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    low, high = (bound(axis=(1, 2), keepdims=True) for bound in (cams.min, cams.max))
    return (cams - low) / (high - low)


@pytest.mark.parametrize("name", PEERS)
def test_peer_maps_the_predicted_class_of_each_image(name: str) -> None:
    (network,) = networks_named(["resnet18"])
    model, given = network.model(), torch.randn(2, 3, 96, 128, generator=torch.Generator().manual_seed(0))
    expected = np.stack([attention.map for attention in mapped(model, network.last, "gradcam")(given)])
    assert (expected.max(axis=(1, 2)) > 0).all()
    try:
        found = PEERS[name](network, model, network.last)(given)
    except UnavailableError as missing:
        pytest.skip(str(missing))
    if name == "captum":
        np.testing.assert_allclose(found.detach()[:, 0], expected, rtol=1e-4, atol=1e-7)
    elif name == "torchcam":
        np.testing.assert_allclose(found[0], stretched(expected), rtol=1e-4, atol=1e-5)
    else:
        enlarged = np.stack([cv2.resize(cam, (128, 96)) for cam in stretched(expected)])
        np.testing.assert_allclose(found, stretched(enlarged), rtol=1e-3, atol=1e-4)


def test_captum_is_not_asked_to_read_tokens() -> None:
    network = Network("vit_b_16", "", "", "", reshape=lambda tokens: tokens)
    with pytest.raises(UnavailableError, match=r"reshape|not installed"):
        PEERS["captum"](network, torch.nn.Identity(), "")
