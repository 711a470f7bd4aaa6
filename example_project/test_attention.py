"""What accuracy cannot see: only the candidate that looks at the digit passes."""

from __future__ import annotations

from annotations import AnnotatedPhoto
from network import DigitNet

from pytest_cam import Cam


def test_model_looks_at_the_digit(cam: Cam, model: DigitNet, photo: AnnotatedPhoto) -> None:
    cam.assert_attention_in_region(model, photo.path, photo.digit, target=photo.label)


def test_model_does_not_look_at_the_tag(cam: Cam, model: DigitNet, photo: AnnotatedPhoto) -> None:
    cam.assert_attention_not_in_region(model, photo.path, photo.tag, target=photo.label)


def test_attention_peaks_on_the_digit(cam: Cam, model: DigitNet, photo: AnnotatedPhoto) -> None:
    cam.assert_attention_in_region(model, photo.path, photo.digit, target=photo.label, metric="pointing")
