"""The affine map between image and input."""

import pytest

from pytest_cam.images.geometry import Geometry


def test_way_back_is_the_inverse() -> None:
    geometry = Geometry((100, 50), (40, 40), ((0.5, 0.0, -5.0), (0.0, 1.0, -4.0)))
    assert geometry.to_image(geometry.to_input([(10.0, 20.0)])).tolist() == [[10.0, 20.0]]
    assert geometry.seen == (10.0, 4.0, 90.0, 44.0)
    assert geometry.cell_in_image((4, 8)) == pytest.approx((10.0, 10.0))


def test_quarter_turn_carries_points_and_boxes() -> None:
    turned = Geometry((60, 40), (40, 60), ((0.0, 1.0, 0.0), (-1.0, 0.0, 60.0)))
    assert turned.to_input([(10.0, 5.0)]).tolist() == [[5.0, 50.0]]
    assert turned.to_image([(5.0, 50.0)]).tolist() == [[10.0, 5.0]]
    assert turned.rectangle_to_input((10.0, 5.0, 20.0, 9.0)) == (5.0, 40.0, 9.0, 50.0)
