"""The ten networks: where in them a map is taken, and how their tokens become a grid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torchvision
from torch import nn

SIDE = 224


@dataclass(frozen=True)
class Network:
    """A classifier of torchvision and three of its layers.

    Attributes:
        name: As in `torchvision.models`.
        early: A layer after about an eighth of the pass.
        middle: A layer after about half of it.
        last: The last layer with a grid whose places have a gradient.
        reshape: From what the layers return to (B, C, h, w), for libraries that cannot see it; None where it is that.
    """

    name: str
    early: str
    middle: str
    last: str
    reshape: Callable[[torch.Tensor], torch.Tensor] | None = None

    def model(self) -> nn.Module:
        """Return the network with random weights, the same ones each time, in eval mode.

        A head that starts with zeros, as vit_b_16's does, gets random weights, too: its score depends on nothing.
        """
        torch.manual_seed(0)
        model: nn.Module = getattr(torchvision.models, self.name)(weights=None)
        head = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
        if not bool(head.weight.any()):
            nn.init.normal_(head.weight, std=0.02)
        return model.eval()

    def layer(self, place: str) -> str:
        """Return the name of the layer at a place: "early", "middle" or "last"."""
        return {"early": self.early, "middle": self.middle, "last": self.last}[place]


def tokens_as_grid(tokens: torch.Tensor) -> torch.Tensor:
    """Return the patches (B, 1 + h * w, C) of a square image, after a class token, as (B, C, h, w)."""
    side = int((tokens.shape[1] - 1) ** 0.5)
    return tokens[:, 1:].reshape(tokens.shape[0], side, side, -1).permute(0, 3, 1, 2)


# After swin_t's last normalisation a module of its own brings the channels to the front, so that every library can read
# it there. In vit_b_16 the last attention's own normalisation is the last place where the patches have a gradient.
NETWORKS = (
    Network("resnet18", "layer1", "layer2", "layer4"),
    Network("resnet50", "layer1", "layer2", "layer4"),
    Network("mobilenet_v3_small", "features.3", "features.6", "features"),
    Network("mobilenet_v2", "features.3", "features.10", "features"),
    Network("efficientnet_b0", "features.2", "features.4", "features"),
    Network("densenet121", "features.denseblock1", "features.denseblock2", "features"),
    Network("vgg16", "features.9", "features.16", "features"),
    Network("convnext_tiny", "features.1", "features.5.4", "features"),
    Network(
        "vit_b_16",
        "encoder.layers.encoder_layer_1",
        "encoder.layers.encoder_layer_5",
        "encoder.layers.encoder_layer_11.ln_1",
        tokens_as_grid,
    ),
    Network("swin_t", "features.1", "features.5.2", "permute"),
)


def networks_named(names: list[str] | None) -> list[Network]:
    """Return the networks of those names, or all.

    Raises:
        ValueError: There is no such network here.
    """
    known = {network.name: network for network in NETWORKS}
    unknown = [name for name in names or [] if name not in known]
    if unknown:
        raise ValueError(f"there are no networks {', '.join(unknown)} here; accepted: {', '.join(known)}")
    return [known[name] for name in names or known]


def draw(batch: int, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Callable[[], torch.Tensor]:
    """Return what draws a new batch of model inputs (B, 3, 224, 224), the same sequence in each run."""
    generator = torch.Generator().manual_seed(batch)
    return lambda: torch.randn(batch, 3, SIDE, SIDE, generator=generator).to(device, dtype)
