"""A baseline of a trained network holds for the same weights in any form, and for no others."""

from __future__ import annotations

import copy
import importlib.util
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from pytest_cam import Attention, CamError, assert_attention_matches_baseline, attend_batch
from pytest_cam.baselines.claiming import BaselineSettings, Claims, RunningTest
from pytest_cam.baselines.holding import hold_to_baseline
from pytest_cam.baselines.model_identity import identity_of
from pytest_cam.images.loading import load
from pytest_cam.running import CLAIMING

EXAMPLE = Path(__file__).parents[2] / "example_project"
PHOTOS = sorted((EXAMPLE / "photos").glob("*.png"))[:16]
Matches = Callable[..., Attention]
Claim = Callable[..., tuple[RunningTest, Path]]


@pytest.fixture(scope="module")
def network() -> ModuleType:
    spec = importlib.util.spec_from_file_location("example_network", EXAMPLE / "network.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def honest(network: ModuleType) -> nn.Module:
    model: nn.Module = network.load("honest")
    return model


@pytest.fixture
def claim(tmp_path: Path) -> Iterator[Claim]:
    """Begin a test in a project of its own: claim(name, update=...)."""
    outer = CLAIMING.claimant

    def begin(name: str, update=None) -> tuple[RunningTest, Path]:
        settings = BaselineSettings("attention_baselines", tmp_path, tmp_path, update)
        test = RunningTest("test_a.py::test_a", tmp_path / "test_a.py", "test_a", settings, lambda: None, Claims())
        CLAIMING.claimant = lambda: test
        return test, Path(name)

    yield begin
    CLAIMING.claimant = outer


@pytest.fixture
def matches(claim: Claim, network: ModuleType) -> Matches:
    """Hold a model's map of a photo to the baseline: matches(model, photo, update=...).

    It raises where the map does not match, and where there is no baseline and none may be written: tests that expect a
    match have nothing else to assert.
    """

    def match(model: nn.Module, photo: Path, update=None, **how) -> Attention:
        claim(photo.stem, update)
        how = {"layer": "features", "preprocess": network.preprocess, "name": photo.stem} | how
        return assert_attention_matches_baseline(model, photo, **how)

    return match


def bfloat16(model: nn.Module) -> nn.Module:
    return copy.deepcopy(model).bfloat16()


def compiled(model: nn.Module) -> nn.Module:
    return torch.compile(model, backend="eager")  # type: ignore[return-value]  # a module of a module


def int8(model: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch means to move this elsewhere
        found: nn.Module = torch.ao.quantization.quantize_dynamic(copy.deepcopy(model), {nn.Linear}, dtype=torch.qint8)
    return found


@pytest.mark.parametrize("method", ["gradcam++", "gradcam", "layercam"])
@pytest.mark.parametrize(("form", "mode"), [(bfloat16, "same-weights"), (compiled, None), (copy.deepcopy, None)])
def test_same_weights_pass_in_another_form(form, mode, method: str, honest: nn.Module, matches: Matches) -> None:
    model = form(honest)
    for photo in PHOTOS[:4]:
        seen = matches(honest, photo, update="missing", method=method)
        matches(model, photo, mode=mode, method=method, target=seen.target)


@pytest.mark.sweep
def test_same_weights_pass_compiled_by_the_default_compiler(honest: nn.Module, matches: Matches) -> None:
    model = torch.compile(honest)
    for photo in PHOTOS[:4]:
        matches(honest, photo, update="missing")
        matches(model, photo)


def test_same_weights_pass_quantised_to_8_bits(honest: nn.Module, matches: Matches) -> None:
    model = int8(honest)
    how = {"method": "occlusion", "layer": None}  # no gradient flows through quantised layers
    for photo in PHOTOS[:2]:
        seen = matches(honest, photo, update="missing", **how)
        matches(model, photo, mode="same-weights", target=seen.target, **how)


def test_same_weights_pass_in_a_batch_of_16(
    honest: nn.Module, matches: Matches, claim: Claim, network: ModuleType
) -> None:
    for photo in PHOTOS:
        matches(honest, photo, update="missing")
    together = attend_batch(honest, PHOTOS, layer="features", preprocess=network.preprocess)
    for photo, attention in zip(PHOTOS, together, strict=True):
        test, _ = claim(photo.stem)
        hold_to_baseline(attention, identity_of(honest), test, test.claim(photo.stem), None)


def test_same_weights_pass_on_another_number_of_threads(honest: nn.Module, matches: Matches) -> None:
    threads = torch.get_num_threads()
    try:
        for photo in PHOTOS[:4]:
            torch.set_num_threads(1)
            matches(honest, photo, update="missing")
            torch.set_num_threads(2)
            matches(honest, photo)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_same_weights_pass_on_a_gpu(honest: nn.Module, matches: Matches) -> None:
    on_gpu = copy.deepcopy(honest).to("cuda")
    for photo in PHOTOS[:4]:
        matches(honest, photo, update="missing")
        matches(on_gpu, photo)  # by its fingerprint, and with the products of 10 bits that are torch's default there


def perturbed(model: nn.Module, seed: int, image: torch.Tensor, only_weights: bool) -> nn.Module | None:
    """Return the model with noise on one tensor, as much as changes its prediction; None where none does."""
    generator = torch.Generator().manual_seed(seed)
    names = [name for name, _ in model.named_parameters() if name.endswith(".weight") or not only_weights]
    name = names[int(torch.randint(len(names), (), generator=generator))]
    tensor = model.get_parameter(name)
    with torch.no_grad():
        predicted = model(image).argmax()
    noise = torch.randn(tensor.shape, generator=generator) * tensor.std()
    for scale in (0.25 * 1.5**step for step in range(20)):
        other = copy.deepcopy(model)
        with torch.no_grad():
            other.get_parameter(name).add_(noise * scale)
            if other(image).argmax() != predicted:
                return other
    return None


@pytest.mark.parametrize(
    ("only_weights", "fixed_class"),
    [
        # As a test is written by default: another prediction is another map to begin with.
        pytest.param(False, False, id="predicted class"),
        # A bias of the last layer moves scores, and no map of a class that is named: those of weights all do.
        pytest.param(True, True, id="one class"),
    ],
)
def test_weights_that_predict_otherwise_fail(
    only_weights: bool, fixed_class: bool, honest: nn.Module, matches: Matches, network: ModuleType
) -> None:
    photo = PHOTOS[0]
    image = network.preprocess(load(photo).pixels)[None]
    target = matches(honest, photo, update="missing").target

    failures, tried, seed = 0, 0, 0
    while tried < 20:
        other = perturbed(honest, seed, image, only_weights)
        seed += 1
        if other is None:
            continue
        tried += 1
        try:
            matches(other, photo, mode="same-weights", target=target if fixed_class else None)
        except CamError:
            failures += 1

    assert failures >= 19
