from __future__ import annotations

from typing import Any

import pytest
import torch

from pytest_cam.engine.methods.finercam import finercam
from pytest_cam.errors import MethodError

ACTIVATIONS = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [0.0, 0.0]], [[0.0, 0.0], [1.0, 0.0]]]])
# d logit_c / dA_k, the same at every place.
HEAD = torch.tensor([[1.0, 0.0, 1.0], [2.0, 8.0, 0.0], [4.0, 4.0, 4.0], [0.0, -2.0, 0.0]])
LOGITS = torch.tensor([[5.0, 5.5, 9.0, 4.0]])


def class_gradients(weights: torch.Tensor) -> torch.Tensor:
    return (weights @ HEAD).view(1, 3, 1, 1).expand(1, 3, 2, 2)


def test_map_by_hand() -> None:
    # The classes next to class 0 are 1 and 3, at 0.5 and 1: (1, 0, 1) - 0.5 * ((2, 8, 0) + (0, -2, 0)) / 2.
    found = finercam(ACTIVATIONS, LOGITS, 0, class_gradients, alpha=0.5, classes=2)
    assert found.tolist() == [[[0.5, 0.0], [1.0, 0.0]]]


def test_alpha_of_zero_is_gradcam() -> None:
    found = finercam(ACTIVATIONS, LOGITS, 2, class_gradients, alpha=0)
    assert found.tolist() == [[[4.0, 4.0], [4.0, 0.0]]]


def test_all_other_classes_where_fewer_are_left() -> None:
    three = finercam(ACTIVATIONS, LOGITS, 0, class_gradients, alpha=1, classes=3)
    # (1, 0, 1) - ((2, 8, 0) + (4, 4, 4) + (0, -2, 0)) / 3
    assert three.tolist() == [[[0.0, 0.0], [0.0, 0.0]]]
    assert torch.equal(finercam(ACTIVATIONS, LOGITS, 0, class_gradients, alpha=0.1, classes=9),
                       finercam(ACTIVATIONS, LOGITS, 0, class_gradients, alpha=0.1, classes=3))  # fmt: skip


def test_of_equally_near_classes_the_first() -> None:
    # All are at 1 from class 1; class 0 is taken: (2, 8, 0) - (1, 0, 1).
    logits = torch.tensor([[1.0, 2.0, 3.0, 1.0]])
    found = finercam(ACTIVATIONS, logits, 1, class_gradients, alpha=1, classes=1)
    assert found.tolist() == [[[1.0, 8.0], [0.0, 0.0]]]


def test_a_class_that_is_ruled_out_is_none_of_them() -> None:
    logits = torch.tensor([[5.0, 5.5, -torch.inf, 4.0]])
    found = finercam(ACTIVATIONS, logits, 0, class_gradients, alpha=0.5, classes=3)
    # As by hand above, where two classes are asked for.
    assert found.tolist() == [[[0.5, 0.0], [1.0, 0.0]]]


def test_where_all_others_are_ruled_out_it_is_gradcam() -> None:
    logits = torch.tensor([[5.0, -torch.inf, -torch.inf, -torch.inf]])
    assert finercam(ACTIVATIONS, logits, 0, class_gradients).tolist() == [[[1.0, 0.0], [1.0, 0.0]]]


def test_one_logit_is_an_error() -> None:
    with pytest.raises(MethodError) as caught:
        finercam(ACTIVATIONS, LOGITS[:, :1], 0, class_gradients)
    found = str(caught.value)
    assert found.endswith("this model has 1 logit. A model of at least 2 classes is accepted; did you mean 'gradcam'?")


def test_a_callable_is_no_class_to_compare() -> None:
    with pytest.raises(MethodError, match=r"target is a callable; accepted: a class index, .* Did you mean 'gradcam'"):
        finercam(ACTIVATIONS, LOGITS, None, class_gradients)


@pytest.mark.parametrize("classes", [0, -1, 1.5, "3", True, None])
def test_a_number_of_classes_that_is_none_is_an_error(classes: Any) -> None:
    with pytest.raises(MethodError) as caught:
        finercam(ACTIVATIONS, LOGITS, 0, class_gradients, classes=classes)
    assert str(caught.value) == f"finercam: classes={classes!r}, where a whole number at least 1 is accepted"


def test_a_negative_alpha_is_an_error() -> None:
    with pytest.raises(MethodError, match=r"finercam: alpha=-0.6, where 0 or a finite number above it is accepted"):
        finercam(ACTIVATIONS, LOGITS, 0, class_gradients, alpha=-0.6)


def test_an_alpha_beyond_the_type_of_the_logits_is_an_error() -> None:
    with pytest.raises(MethodError, match=r"finercam: alpha=1e\+40, .* is accepted, the range of torch.float32"):
        finercam(ACTIVATIONS, LOGITS, 0, class_gradients, alpha=1e40)
