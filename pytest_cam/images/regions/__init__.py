"""Regions of the image, one file a kind."""

from pytest_cam.images.regions.accepting import as_region, require_visible
from pytest_cam.images.regions.base import Region
from pytest_cam.images.regions.box import Box
from pytest_cam.images.regions.mask import Mask
from pytest_cam.images.regions.polygon import Polygon

__all__ = ["Box", "Mask", "Polygon", "Region", "as_region", "require_visible"]
