"""How maps are drawn: colours, blend and stretch.

This imports the standard library only, so that settings are checked without torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from pytest_cam.errors import SettingError, is_ours, nearest

__tracebackhide__ = is_ours

Normalization: TypeAlias = Literal["max", "min-max"]

# OpenCV's colour maps, by the names of its constants.
COLORMAPS = (
    *("autumn", "bone", "cividis", "cool", "deepgreen", "hot", "hsv", "inferno", "jet", "magma", "ocean", "parula"),
    *("pink", "plasma", "rainbow", "spring", "summer", "turbo", "twilight", "twilight_shifted", "viridis", "winter"),
)
NORMALIZATIONS: tuple[str, ...] = get_args(Normalization)


@dataclass(frozen=True)
class Style:
    """How maps are drawn. Nothing is measured on what is drawn.

    Attributes:
        colormap: One of OpenCV's colour maps, in lower case.
        alpha: The heat map's part of an overlay, in [0, 1].
        normalization: "max" divides a map by its maximum; "min-max" stretches it from its minimum to its maximum.

    Raises:
        SettingError: There is no such colour map or normalization, or alpha is no number in [0, 1].
    """

    colormap: str = "jet"
    alpha: float = 0.5
    normalization: Normalization = "max"

    def __post_init__(self) -> None:
        if self.colormap not in COLORMAPS:
            raise SettingError(f"there is no colour map {self.colormap!r}. {nearest(str(self.colormap), COLORMAPS)}")
        if self.normalization not in NORMALIZATIONS:
            raise SettingError(
                f"there is no normalization {self.normalization!r}. {nearest(str(self.normalization), NORMALIZATIONS)}"
            )
        try:
            alpha = float(self.alpha)
        except (TypeError, ValueError):
            alpha = math.nan
        if not 0 <= alpha <= 1:
            raise SettingError(f"alpha is {self.alpha!r}; accepted: the heat map's part of an overlay, from 0 to 1")
        object.__setattr__(self, "alpha", alpha)
