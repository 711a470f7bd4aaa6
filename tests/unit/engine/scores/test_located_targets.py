"""Targets that lie somewhere in the image: masks of a segmenter and boxes of a detector."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from pytest_cam import Box, DetectionBox, SegmentationMask, assert_prediction_needs_region, attend
from pytest_cam.engine.scores.explained import Explained
from pytest_cam.engine.scores.targets import scores_of
from pytest_cam.errors import IndependentScoreError, OutputError, RegionError, TargetError
from pytest_cam.images.geometry import Geometry

# Two classes on a grid of 2 x 2; class 1 is the arg-max in the left column.
MAPS = torch.tensor([[[0.0, 5.0], [0.0, 5.0]], [[1.0, 2.0], [3.0, 4.0]]])
LEFT = np.array([[1, 1, 0, 0]] * 4)
# An image of 8 x 4 pixels whose right half the model sees, each pixel as two by two.
HALF = Geometry((8, 4), (8, 8), ((2.0, 0.0, -8.0), (0.0, 2.0, 0.0)))


def explain(target: Any, output: Any, names: list[str] | None = None) -> Explained:
    return scores_of(output, [target], names).explained[0]


@pytest.mark.parametrize(
    "output",
    [
        MAPS[None],
        {"out": MAPS[None], "aux": MAPS[None] + 7},
        SimpleNamespace(logits=MAPS[None], hidden_states=None),
        {"masks": MAPS[None], "loss": None},
    ],
)
def test_mean_is_taken_where_the_class_is_predicted(output: Any) -> None:
    explained = explain(SegmentationMask(1), output)
    assert (explained.score, explained.name) == (2.0, "mean logit of class 1 where it is predicted")


@pytest.mark.parametrize(("mask", "mean"), [(LEFT, 2.0), (torch.tensor(LEFT) == 0, 3.0), (np.ones((3, 5)), 2.5)])
def test_mean_is_taken_over_what_the_mask_covers_of_each_cell(mask: Any, mean: float) -> None:
    explained = explain(SegmentationMask("dog", mask), MAPS[None], ["cat", "dog"])
    assert (explained.score, explained.name) == (pytest.approx(mean), "mean logit of dog in the mask")


def test_cell_that_is_half_covered_counts_half() -> None:
    mask = np.zeros((4, 4))
    mask[:2, :2] = 1  # all of the cell with 1
    mask[2:, 2] = 1  # half of the cell with 4
    assert explain(SegmentationMask(1, mask), MAPS[None]).score == pytest.approx((1 + 4 / 2) / 1.5)


@pytest.mark.parametrize(
    "mask",
    [
        np.pad(np.ones((2, 4)), ((0, 2), (4, 0))),
        torch.tensor(np.pad(np.ones((2, 4)), ((0, 2), (4, 0))), requires_grad=True),  # as one that a model has made
        Box(4, 0, 8, 2),
        (4, 0, 8, 2),
        np.array([4, 0, 8, 2]),
    ],
)
def test_mask_is_in_pixels_of_the_image(mask: Any) -> None:
    carried = SegmentationMask(1, mask).on_input(HALF)
    assert np.asarray(carried.mask).tolist() == [[1] * 8] * 4 + [[0] * 8] * 4
    assert explain(carried, MAPS[None]).score == pytest.approx(1.5)


def test_pixel_of_the_input_has_the_mask_of_the_pixel_that_its_middle_lies_in() -> None:
    # Three pixels of 2 / 3: the middles of 0 and 1 lie at 0.75 and 2.25, in the first and the last one.
    squeezed = Geometry((3, 1), (2, 1), ((2 / 3, 0.0, 0.0), (0.0, 1.0, 0.0)))
    carried = [SegmentationMask(1, [row]).on_input(squeezed).mask.tolist() for row in np.eye(3)]
    assert carried == [[[True, False]], [[False, False]], [[False, True]]]


def test_mask_ends_with_the_image_where_the_input_is_padded() -> None:
    # An image of 2 x 1 pixels in an input of 4 x 3: one more pixel on each side.
    padded = Geometry((2, 1), (4, 3), ((1.0, 0.0, 1.0), (0.0, 1.0, 1.0)))
    carried = SegmentationMask(1, np.ones((1, 2))).on_input(padded).mask
    assert carried.tolist() == [[False] * 4, [False, True, True, False], [False] * 4]


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (
            np.ones((8, 4)),
            TargetError,
            r"the mask is \(8, 4\), and the image is \(4, 8\); accepted: a mask of its size",
        ),
        (np.ones((1, 4, 8)), TargetError, r"the mask is \(1, 4, 8\); accepted: \(H, W\)"),
        (np.zeros((4, 8)), TargetError, "the mask is empty; it must hold at least one pixel"),
        (np.pad(np.ones((4, 4)), ((0, 0), (0, 4))), TargetError, "the mask is empty in what the model sees"),
        (Box(0, 0, 4, 4), TargetError, "the mask is empty in what the model sees"),
        ((0, 0, 40, 4), RegionError, "outside the image"),
    ],
)
def test_mask_that_does_not_fit_is_an_error(mask: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        explain(SegmentationMask(1, mask).on_input(HALF), MAPS[None])


def test_class_that_is_predicted_nowhere_is_an_error() -> None:
    with pytest.raises(
        TargetError, match=r"no pixel is predicted as class 0; the classes that are: 1\. Say with mask="
    ):
        explain(SegmentationMask(0), MAPS[None, :, :, :1])
    with pytest.raises(TargetError, match="target 2 is out of range: the model has 2 classes"):
        explain(SegmentationMask(2), MAPS[None])


def test_image_of_a_batch_that_shows_no_such_thing_is_named() -> None:
    said = r"^image 1 of the batch: no pixel is predicted as class 0; the classes that are: 1\."
    second = torch.tensor([-1.0, 1.0])[:, None, None] * MAPS
    with pytest.raises(TargetError, match=said):
        scores_of(torch.stack([MAPS, second]), [SegmentationMask(0)] * 2, None)
    with pytest.raises(TargetError, match=r"^image 1 of the batch: the model detects nothing in this image"):
        scores_of([*CAT_AND_DOGS, *detections()], [DetectionBox((0, 0, 4, 4))] * 2, None)


@pytest.mark.parametrize(
    ("output", "found"),
    [({"a": MAPS[None], "b": MAPS[None]}, r"'a' \(2, 2, 2\), 'b' \(2, 2, 2\)"), (torch.zeros(1, 5), "found none")],
)
def test_output_without_one_map_of_classes_is_an_error(output: Any, found: str) -> None:
    with pytest.raises(OutputError, match=rf"one tensor \(B, K, h, w\).*{found}; say which with output="):
        explain(SegmentationMask(1), output)


def detections(*found: tuple[list[float], float, int]) -> list[dict[str, torch.Tensor]]:
    boxes, scores, labels = zip(*found, strict=True) if found else ((), (), ())
    return [
        {
            "boxes": torch.tensor(boxes).reshape(-1, 4),
            "scores": torch.tensor(scores),
            "labels": torch.tensor(labels, dtype=torch.int64),
        }
    ]


CAT_AND_DOGS = detections(([0, 0, 4, 4], 0.5, 1), ([10, 10, 20, 20], 0.25, 2), ([10, 10, 20, 18], 0.125, 1))


@pytest.mark.parametrize(
    ("target", "score", "name"),
    [
        (DetectionBox((0, 0, 4, 4)), 0.5, r"score of the detection at (0, 0, 4, 4)"),
        # An overlap of just half counts.
        (DetectionBox((0, 0, 4, 2)), 0.5, r"score of the detection at (0, 0, 4, 2)"),
        (DetectionBox(Box(10, 10, 20, 19.5)), 0.25, r"score of the detection at (10, 10, 20, 19.5)"),
        (DetectionBox((10, 10, 20, 20), label=1), 0.125, "score of the detection of cat at (10, 10, 20, 20)"),
        (DetectionBox((10, 10, 20, 20), label="dog"), 0.25, "score of the detection of dog at (10, 10, 20, 20)"),
    ],
)
def test_detection_that_overlaps_most_is_explained(target: DetectionBox, score: float, name: str) -> None:
    explained = explain(target, CAT_AND_DOGS, ["background", "cat", "dog"])
    assert (explained.score, explained.name, explained.predicted) == (score, name, None)


def test_box_is_in_pixels_of_the_image() -> None:
    assert explain(DetectionBox((4, 0, 6, 2)).on_input(HALF), CAT_AND_DOGS).score == 0.5
    with pytest.raises(TargetError, match=r"overlaps \(0, 0, 2, 2\).*nearest is \(4, 0, 6, 2\), label 1, score 0.50"):
        explain(DetectionBox((0, 0, 2, 2)).on_input(HALF), CAT_AND_DOGS)


@pytest.mark.parametrize(
    ("target", "output", "message"),
    [
        (DetectionBox((0, 0, 4, 4)), detections(), "the model detects nothing in this image"),
        (DetectionBox((0, 0, 4, 4), label=1), detections(), "the model detects nothing in this image"),
        (DetectionBox((0, 0, 4, 4), label=3), CAT_AND_DOGS, "nothing of label 3 .* its 3 detections: 1, 2"),
        (
            DetectionBox((2, 0, 6, 4)),
            CAT_AND_DOGS,
            r"with an IoU of 0.5 or more; the nearest is \(0, 0, 4, 4\), label 1, score 0.50, IoU 0.33",
        ),
        (DetectionBox((30, 30, 40, 40), label=2), CAT_AND_DOGS, r"nearest is \(10, 10, 20, 20\), .* IoU 0.00"),
        (DetectionBox((0, 0, 4, 4), label="dog"), CAT_AND_DOGS, "'dog' is a class name, and no class names are known"),
    ],
)
def test_detection_that_is_not_there_is_an_error(target: DetectionBox, output: Any, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        explain(target, output)


def test_box_is_mirrored_with_the_input() -> None:
    # Columns 1 to 4 of 10 are columns 6 to 9 from the other side.
    found = detections(([6.0, 0, 9, 4], 0.25, 1), ([6.0, 0, 10, 4], 0.5, 1), ([5.0, 0, 9, 4], 0.125, 1))
    assert explain(DetectionBox((1, 0, 4, 4)).mirrored(10), found).score == 0.25


@pytest.mark.parametrize(
    ("box", "nearest", "other"),
    [
        # By the distance of the middles, in x and y: 17 each from (22, 22), and 20.
        ((20, 20, 24, 24), (0, 0, 10, 10), (24, 24, 60, 60)),
        # 13 each from (62, 62), and 32.5.
        ((60, 60, 64, 64), (70, 70, 80, 80), (0, 0, 59, 59)),
        # 14 each from (22, 22), and 40, although that one is as large as the box.
        ((20, 20, 24, 24), (26, 26, 46, 46), (60, 60, 64, 64)),
        # 10 each from (2, 2), and 40 in only one of them.
        ((0, 0, 4, 4), (10, 10, 14, 14), (0, 40, 4, 44)),
        ((0, 0, 4, 4), (10, 10, 14, 14), (40, 0, 44, 4)),
        # What overlaps is nearer than what does not: middles 14 each from (5, 5), and 7 and 4.
        ((0, 0, 10, 10), (8, 8, 30, 30), (11, 0, 13, 2)),
    ],
)
def test_detection_that_is_nearest_is_named(box: Any, nearest: Any, other: Any) -> None:
    for found in ([nearest, other], [other, nearest]):
        with pytest.raises(TargetError, match=rf"the nearest is \({', '.join(map(str, nearest))}\), label 1"):
            explain(DetectionBox(box), detections(*((list(map(float, each)), 0.5, 1) for each in found)))


def test_what_is_no_detection_or_box_is_an_error() -> None:
    with pytest.raises(OutputError, match=r"'boxes', 'scores' and 'labels' .* the model gives a Tensor"):
        explain(DetectionBox((0, 0, 4, 4)), torch.zeros(1, 5))
    with pytest.raises(OutputError, match="the model gives keys 'boxes'"):
        explain(DetectionBox((0, 0, 4, 4)), [{"boxes": torch.zeros(1, 4)}])
    with pytest.raises(RegionError, match="is empty: x2 must exceed x1"):
        DetectionBox((4, 0, 0, 4))


def test_mask_that_was_predicted_stays_for_other_versions() -> None:
    explained = explain(SegmentationMask(1), MAPS[None])
    # Class 1 is the arg-max nowhere any more: in the left column its mean is -2.
    assert explain(explained.for_versions(None), MAPS[None] * torch.tensor([1.0, -1.0])[:, None, None]).score == -2
    given = SegmentationMask(1, LEFT)
    assert explain(given, MAPS[None]).for_versions(given).mask is LEFT


def test_detection_that_is_lost_in_another_version_has_no_score() -> None:
    boxes, labels = torch.tensor([[0.0, 0.0, 4.0, 4.0]]), torch.tensor([3])
    found = [{"boxes": boxes, "scores": torch.tensor([0.75]), "labels": labels}]
    fixed = explain(DetectionBox((0, 0, 4, 4), 3), found).for_versions(None)
    nothing = {"boxes": boxes[:0], "scores": torch.zeros(0), "labels": labels[:0]}
    for other in (nothing, found[0] | {"labels": labels + 1}, found[0] | {"boxes": boxes + 8}):
        assert explain(fixed, [other]).score == 0
        with pytest.raises(TargetError):
            explain(DetectionBox((0, 0, 4, 4), 3), [other])
    assert explain(fixed, found).score == 0.75


class Spotter(torch.nn.Module):
    """Detects a bright square, unless too little of it is there."""

    def forward(self, images: torch.Tensor) -> list[dict[str, torch.Tensor]]:
        found = []
        for image in images:
            score = image[:, 8:16, 8:16].mean()[None]
            kept = score > 0.5
            box = torch.tensor([[8.0, 8.0, 16.0, 16.0]])
            found.append({"boxes": box[kept], "scores": score[kept], "labels": torch.ones(1, dtype=torch.int64)[kept]})
        return found


def test_what_hides_an_object_of_a_detector_is_a_finding() -> None:
    image, box = torch.zeros(3, 32, 32), (8, 8, 16, 16)
    image[:, 8:16, 8:16] = 1
    target = DetectionBox(box)
    drops = attend(Spotter(), image, method="occlusion", target=target, method_options={"window": 8, "stride": 8})
    assert drops.energy_in(box) == 1
    needed = assert_prediction_needs_region(Spotter(), image, box, target=target, fill="mean", drop_at_least=0.9)
    assert (needed.value_before, needed.value_after) == (1, 0)


class Aside(Spotter):
    """Has layers that its scores are not read from."""

    def __init__(self) -> None:
        super().__init__()
        self.aside = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1), torch.nn.Conv2d(2, 2, 1))

    def forward(self, images: torch.Tensor) -> list[dict[str, torch.Tensor]]:
        features = self.aside(images)
        found = super().forward(images)
        return [{**one, "scores": one["scores"] + 0 * features[0, 0, 0, 0]} for one in found]


@pytest.mark.parametrize(("layer", "words"), [("aside", "does not depend on"), (None, "depends neither on")])
def test_a_score_of_no_layer_is_called_so_once(layer: str | None, words: str) -> None:
    said = rf"^the score of the detection at \(8, 8, 16, 16\) {words} layer aside"
    with pytest.raises(IndependentScoreError, match=said):
        attend(Aside(), torch.ones(3, 32, 32), layer=layer, target=DetectionBox((8, 8, 16, 16)))
