"""Finding the class scores, and each image's own part, in whatever a model returns."""

from __future__ import annotations

from dataclasses import InitVar, dataclass, field
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from torchvision.models.googlenet import GoogLeNetOutputs

from pytest_cam.engine.reading.outputs import Rows, class_scores, own_part, selected
from pytest_cam.engine.scores.targets import scores_of
from pytest_cam.errors import OutputError

LOGITS = torch.tensor([[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]])
FEATURES = torch.zeros(2, 3)
GRID = torch.zeros(2, 3, 4, 4)


class Pair(NamedTuple):
    first: torch.Tensor
    second: torch.Tensor


@dataclass
class Answer:
    logits: torch.Tensor
    hidden: tuple[torch.Tensor, ...] | None = None


@pytest.mark.parametrize(
    "output",
    [
        LOGITS,
        {"logits": LOGITS, "features": FEATURES},
        {"loss": torch.tensor(0.5), "logits": LOGITS},
        Answer(LOGITS, (FEATURES,)),
        SimpleNamespace(logits=LOGITS, features=FEATURES),
        GoogLeNetOutputs(LOGITS, FEATURES, None),
        {"whatever": LOGITS, "grid": GRID},
        (LOGITS, GRID),
        [GRID, None, LOGITS],
        Pair(LOGITS, GRID),
        (torch.zeros(2), LOGITS),
    ],
    ids=lambda output: type(output).__name__,
)
def test_class_scores_are_found(output: Any) -> None:
    assert class_scores(output, 2, Rows()) is LOGITS


def test_hugging_face_output_is_read_by_its_logits() -> None:
    outputs = pytest.importorskip("transformers.modeling_outputs")
    output = outputs.ImageClassifierOutput(logits=LOGITS, hidden_states=(GRID, GRID))
    assert class_scores(output, 2, Rows()) is LOGITS
    part = own_part(output, 1, 2, Rows())
    assert part.logits.tolist() == [8, 16, 32]
    assert [state.shape for state in part.hidden_states] == [(3, 4, 4)] * 2


@pytest.mark.parametrize(
    ("output", "listed"),
    [
        ({"main": LOGITS, "aux": FEATURES}, r"a dict with 'main' .* scores: 'main' \(2, 3\), 'aux' \(2, 3\)\. Say"),
        ((LOGITS, GRID, FEATURES), r"a tuple of 3 with 0 .* scores: 0 \(2, 3\), 2 \(2, 3\)\. Say which: output=0"),
        ({"one": torch.zeros(2), "two": torch.ones(2)}, r"scores: 'one' \(2, 1\), 'two' \(2, 1\)"),
    ],
)
def test_several_tensors_that_could_be_the_scores_are_listed(output: Any, listed: str) -> None:
    with pytest.raises(OutputError, match=listed):
        scores_of(output, [0, 0], None)


@pytest.mark.parametrize(
    ("output", "selector"),
    [
        ({"main": LOGITS, "aux": FEATURES}, "main"),
        ({7: LOGITS, 8: FEATURES}, 7),
        ((FEATURES, LOGITS), 1),
        ([FEATURES, LOGITS], -1),
        (Pair(FEATURES, LOGITS), "second"),
        (Pair(FEATURES, LOGITS), 1),
        (SimpleNamespace(main=LOGITS, aux=FEATURES), "main"),
        ({"heads": [FEATURES, LOGITS]}, lambda output: output["heads"][1]),
    ],
)
def test_output_selects(output: Any, selector: Any) -> None:
    assert selected(output, selector) is LOGITS
    assert scores_of(output, [2, 0], None, selector=selector).explained[0].score == 4


def test_what_was_selected_is_searched_in_turn() -> None:
    output = {"teacher": {"logits": FEATURES}, "student": {"logits": LOGITS}}
    assert scores_of(output, [2, 0], None, selector="student").explained[0].score == 4


@pytest.mark.parametrize(
    ("output", "selector", "message"),
    [
        ({"main": LOGITS}, "mian", r"output='mian' is not in what the model returned: a dict .*Did you mean 'main'\?"),
        ((LOGITS, FEATURES), 2, r"output=2 is not in .* a tuple of 2 with 0 \(2, 3\), 1 \(2, 3\)"),
        (LOGITS, "T", r"output='T' is not in what the model returned: a tensor \(2, 3\)"),
        ({"main": LOGITS}, "values", "output='values' is not in"),
        (LOGITS, True, "output is a bool; accepted: a key"),
        (LOGITS, 1.5, "output is a float; accepted: a key"),
    ],
)
def test_output_that_does_not_exist_is_an_error(output: Any, selector: Any, message: str) -> None:
    with pytest.raises(OutputError, match=message):
        selected(output, selector)


def test_own_part_of_a_dataclass_is_one_whatever_its_init_takes() -> None:
    @dataclass(frozen=True)
    class Scored:
        logits: torch.Tensor
        scale: InitVar[float]
        best: torch.Tensor = field(init=False)

        def __post_init__(self, scale: float) -> None:
            object.__setattr__(self, "best", self.logits.argmax(dim=1) * scale)

    part = own_part(Scored(LOGITS, 3.0), 1, 2, Rows())
    assert isinstance(part, Scored)
    assert (part.logits.tolist(), part.best.item()) == ([8, 16, 32], 6)


def test_own_part_of_a_dict_has_a_row_of_each_batched_tensor() -> None:
    classes = torch.zeros(5, 3)
    part = own_part({"logits": LOGITS, "deep": [GRID, {"grid": GRID}], "classes": classes, "loss": None}, 1, 2, Rows())
    assert part["logits"].tolist() == [8, 16, 32]
    assert (part["deep"][0].shape, part["deep"][1]["grid"].shape) == ((3, 4, 4), (3, 4, 4))
    assert part["classes"] is classes
    assert part["loss"] is None


@pytest.mark.parametrize(
    "output", [(LOGITS, FEATURES), [LOGITS, FEATURES], (LOGITS, torch.zeros(5, 3)), (LOGITS, None)]
)
def test_own_part_of_a_pair_of_tensors_is_a_pair(output: Any) -> None:
    # The length of the pair is that of the batch, and element 0 is not image 0's part for that.
    part = own_part(output, 1, 2, Rows())
    assert type(part) is type(output)
    assert part[0].tolist() == [8, 16, 32]


@pytest.mark.parametrize("output", [[{"boxes": FEATURES}, {"boxes": GRID}], [torch.zeros(7, 4), torch.zeros(2, 4)]])
def test_list_with_one_item_for_each_image_is_taken_apart(output: Any) -> None:
    assert own_part(output, 1, 2, Rows()) is output[1]


def test_what_has_as_many_rows_as_a_batch_by_chance_stays_whole() -> None:
    rows, prototypes = Rows(), torch.zeros(2, 3)
    rows.see({"deep": [LOGITS[:1]], "prototypes": prototypes}, 1)
    output = {"deep": [LOGITS], "prototypes": prototypes}
    part = own_part(output, 1, 2, rows)
    assert part["deep"][0].tolist() == [8, 16, 32]
    assert part["prototypes"] is prototypes
    assert class_scores({"scores": LOGITS, "prototypes": prototypes}, 2, rows) is LOGITS


def test_output_that_leads_back_to_itself_is_read() -> None:
    output = SimpleNamespace(scores=LOGITS)
    output.itself = output
    Rows().see(output, 2)
    assert own_part(output, 1, 2, Rows()).scores.tolist() == [8, 16, 32]


def test_types_with_names_keep_them() -> None:
    assert own_part(Pair(LOGITS, FEATURES), 1, 2, Rows()).first.tolist() == [8, 16, 32]
    assert own_part(Answer(LOGITS, (FEATURES,)), 1, 2, Rows()).hidden[0].shape == (3,)
    assert own_part(SimpleNamespace(scores=LOGITS), 1, 2, Rows()).scores.tolist() == [8, 16, 32]


@pytest.mark.parametrize(
    ("output", "hint"),
    [({"out": GRID}, "SegmentationMask"), ([{"boxes": FEATURES}, {"boxes": FEATURES}], "DetectionBox")],
)
def test_segmenters_and_detectors_are_pointed_to_their_targets(output: Any, hint: str) -> None:
    with pytest.raises(OutputError, match=hint):
        scores_of(output, [None, None], None)
