"""Which model it is: by what it is made of and by what it has learnt, in every process."""

from __future__ import annotations

import copy
import subprocess
import warnings

import pytest
import torch
from torch import nn

from pytest_cam.baselines import model_identity
from pytest_cam.baselines.model_identity import identity_of

MAKE = """
import torch
from torch import nn
torch.manual_seed(3)
model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 2))
"""


def made() -> nn.Module:
    names: dict[str, nn.Module] = {}
    with torch.random.fork_rng():
        exec(MAKE, names)
    return names["model"]


def test_another_process_finds_the_same(python: list[str]) -> None:
    code = MAKE + "from pytest_cam.baselines.model_identity import identity_of\nprint(identity_of(model))"
    out = subprocess.run([*python, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == repr(identity_of(made()))


@pytest.mark.parametrize(
    ("change", "architecture", "weights"),
    [
        pytest.param(lambda model: model, True, True, id="nothing"),
        pytest.param(lambda model: model.train(), True, True, id="training flag"),
        pytest.param(lambda model: model.requires_grad_(False), True, True, id="requires_grad"),
        pytest.param(lambda model: torch.compile(model, backend="eager"), True, True, id="compiled"),
        pytest.param(lambda model: nn.DataParallel(model), True, True, id="data parallel"),
        pytest.param(lambda model: model.to(memory_format=torch.channels_last), True, True, id="channels last"),
        pytest.param(lambda model: model.double(), True, False, id="precision"),
        pytest.param(lambda model: model[0].weight.data.view(-1)[5].add_(1e-6) is None or model, True, False, id="one"),
        pytest.param(lambda model: model[1].running_mean.add_(1) is None or model, True, False, id="buffer"),
        pytest.param(lambda model: model.append(nn.ReLU()), False, True, id="one module more"),
        pytest.param(lambda model: model.append(nn.Linear(2, 2)), False, False, id="one layer more"),
    ],
)
def test_what_changes_it(change, architecture: bool, weights: bool) -> None:
    first = identity_of(made())
    changed = change(copy.deepcopy(made()))
    second = identity_of(changed if isinstance(changed, nn.Module) else made())
    assert (first.architecture == second.architecture, first.weights == second.weights) == (architecture, weights)


def test_compiled_part_is_the_same() -> None:
    model = made()
    model[0] = torch.compile(model[0], backend="eager")
    assert identity_of(model) == identity_of(made())


def quantised(model: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch means to move this elsewhere
        found: nn.Module = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
    return found


def test_quantised_weights_are_seen() -> None:
    ours, other = made(), made()
    with torch.no_grad():
        other[3].weight.neg_()
    found = [identity_of(quantised(model)) for model in (ours, made(), other)]
    assert found[0] == found[1]
    assert found[0].weights != found[2].weights


def test_sparse_weights_are_seen() -> None:
    def holding(value: float) -> nn.Module:
        model = made()
        model.register_buffer("graph", torch.tensor([[0.0, value], [0.0, 0.0]]).to_sparse())
        return model

    found = [identity_of(holding(value)) for value in (1.0, 1.0, 2.0)]
    assert found[0] == found[1]
    assert found[0].weights != found[2].weights


@pytest.mark.parametrize("model", [lambda batch: batch, object(), nn.ReLU()])
def test_of_what_has_no_weights_none_are_known(model: object) -> None:
    assert identity_of(model).weights is None


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model[0].weight.data.view(-1)[5].add_(1e-6),
        lambda model: model[0].weight.detach().numpy().fill(3),
        lambda model: setattr(model[0], "weight", nn.Parameter(model[0].weight.detach() * 2)),
        lambda model: model[1].running_mean.add_(1),
        lambda model: model.load_state_dict({name: value * 2 for name, value in model.state_dict().items()}),
    ],
    ids=["data of one", "numpy", "another", "buffer", "state"],
)
def test_weights_are_read_again_when_they_have_changed(change, monkeypatch: pytest.MonkeyPatch) -> None:
    model = made()
    before = identity_of(model)
    with monkeypatch.context() as patch:
        patch.setattr(model_identity, "_digest", lambda _: pytest.fail("read all weights"))
        assert identity_of(model) == before
    change(model)
    after = identity_of(model)
    assert after.weights != before.weights
    assert after == identity_of(copy.deepcopy(model))
