"""Which axis modules take for the channels, as far as their kinds tell."""

from __future__ import annotations

from torch import nn

CHANNELS_FIRST = (
    nn.modules.conv._ConvNd,
    nn.modules.batchnorm._NormBase,
    nn.GroupNorm,
    nn.modules.pooling._MaxPoolNd,
    nn.modules.pooling._AvgPoolNd,
    nn.modules.pooling._AdaptiveMaxPoolNd,
    nn.modules.pooling._AdaptiveAvgPoolNd,
)


def convolves(module: nn.Module) -> bool:
    """Return whether there is anything in a module that has its channels first by definition."""
    return any(isinstance(inner, CHANNELS_FIRST) for inner in module.modules())


def normalises_last_axis(kind: type[nn.Module]) -> bool:
    """Return whether a module's kind is a layer norm over the last axis, or an RMS norm."""
    # Of the libraries' own norms, those of (B, C, h, w) say so in their names.
    return ("LayerNorm" in kind.__name__ or "RMSNorm" in kind.__name__) and "2d" not in kind.__name__
