"""The model comes back as it was: bit for bit, after any call, raised or not."""

from __future__ import annotations

import gc
import os
import random
import signal
import threading
import warnings
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.models.resnet import ResNet, resnet18

import pytest_cam.engine.methods as registry
from pytest_cam import attend, attend_batch, register_method
from pytest_cam.engine.cache import pass_cache
from pytest_cam.engine.model import state
from pytest_cam.engine.model.state import ModelState
from pytest_cam.errors import LayerError, ModelError, TargetError
from pytest_cam.running import SHARING


class Restless(nn.Module):
    """A network whose forward pass writes to everything that it can reach."""

    def __init__(self, *, frozen_backbone: bool = False, fails: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.layer = nn.Conv2d(4, 4, 3, padding=1)
        self.tied = nn.Conv2d(4, 4, 3, padding=1)
        self.tied.weight = self.layer.weight
        self.unused = nn.Conv2d(4, 4, 1)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(4, 5)
        self.frozen_backbone, self.fails = frozen_backbone, fails
        self.register_buffer("added_to", torch.arange(3))
        self.register_buffer("written_through_data", torch.ones(2, 2))
        self.register_buffer("replaced", torch.ones(1), persistent=False)
        self.register_buffer("grown", torch.ones(2))
        self.register_buffer("absent", None)
        self.register_buffer("deleted", torch.ones(2))
        self.register_buffer("zero", torch.zeros(2))
        self.register_buffer("undefined", torch.tensor([float("nan"), 1.0]))
        self.register_buffer("narrow", torch.ones(2, dtype=torch.float16))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.norm.train()
        with torch.no_grad() if self.frozen_backbone else nullcontext():
            features = self.tied(self.layer(self.norm(self.stem(images))))
        noise = random.random() + float(np.random.rand()) + torch.rand(1)
        scores = self.head(self.drop(features).mean(dim=(2, 3))) + noise
        self._write()
        if self.fails:
            raise KeyError("broken")
        return scores

    def _write(self) -> None:
        self.added_to += 1
        self.written_through_data.data.mul_(2)
        # A module of torch itself, written to by another one, behind the back of the version counter.
        self.norm.running_var.data.mul_(2)
        self.replaced = self.replaced + 1
        self.grown.data = torch.cat([self.grown, self.grown])
        self.absent = torch.ones(3)
        del self.deleted
        self.register_buffer("new", torch.zeros(1))
        self.head.register_buffer("first", torch.zeros(1))
        self.zero.neg_()
        self.undefined[1] = 2
        self.narrow.zero_()
        torch.set_grad_enabled(not torch.is_grad_enabled())


def restless(**settings: bool) -> Restless:
    """Return one with some modules in training and some not, some parameters frozen, and some gradients there."""
    torch.manual_seed(7)
    model = Restless(**settings).train()
    model.norm.eval()
    model.head.eval()
    model.stem.requires_grad_(False)
    model.stem.weight.grad = torch.randn(4, 3, 3, 3)
    model.layer.weight.grad = torch.randn(4, 4, 3, 3)
    model.head.register_forward_hook(lambda *_: None)
    return model


def bits(tensor: torch.Tensor | None) -> tuple[Any, ...] | None:
    return None if tensor is None else (id(tensor), tensor.shape, tensor.dtype, tensor.detach().numpy().tobytes())


def state_of(model: nn.Module) -> dict[str, Any]:
    modules, parameters = dict(model.named_modules()), dict(model.named_parameters(remove_duplicate=False))
    return {
        "hooks": {
            (name, table): list(hooks)
            for name, module in modules.items()
            for table, hooks in vars(module).items()
            if "_hooks" in table
        },
        "training": {name: module.training for name, module in modules.items()},
        "requires_grad": {name: parameter.requires_grad for name, parameter in parameters.items()},
        "parameters": {name: bits(parameter) for name, parameter in parameters.items()},
        "gradients": {name: bits(parameter.grad) for name, parameter in parameters.items()},
        "buffers": {
            (name, key): bits(buffer) for name, module in modules.items() for key, buffer in module._buffers.items()
        },
        "grad mode": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "fast path": torch.backends.mha.get_fastpath_enabled(),
        "random": (torch.get_rng_state().tolist(), random.getstate(), repr(np.random.get_state())),
    }


MODES = {"enable_grad": torch.enable_grad, "no_grad": torch.no_grad, "inference_mode": torch.inference_mode}


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> AbstractContextManager[Any]:
    """What the test that calls runs under."""
    return MODES[request.param]()


@pytest.mark.parametrize("frozen_backbone", [False, True])
@pytest.mark.parametrize("layer", ["layer", None])
def test_after_a_map(layer: str | None, frozen_backbone: bool, mode: Any, picture: torch.Tensor) -> None:
    model = restless(frozen_backbone=frozen_backbone)
    with mode:
        before = state_of(model)
        attend(model, picture, layer=layer, method="gradcam")
        assert state_of(model) == before


@pytest.mark.parametrize("frozen_backbone", [False, True])
@pytest.mark.parametrize(
    ("error", "settings", "request_"),
    [
        (TargetError, {}, {"layer": "layer", "target": 99}),
        (TargetError, {}, {"layer": None, "target": 99}),
        (KeyError, {"fails": True}, {"layer": "layer"}),
        (KeyError, {"fails": True}, {"layer": None}),
        (LayerError, {}, {"layer": "unused"}),
        (LayerError, {}, {"layer": "head"}),
        (ZeroDivisionError, {}, {"layer": "layer", "target": lambda row: 1 / 0}),
    ],
    ids=["target", "target-auto", "forward", "forward-auto", "never-ran", "no-grid", "callable"],
)
def test_after_an_error(
    error: type[Exception],
    settings: dict[str, bool],
    request_: dict[str, Any],
    frozen_backbone: bool,
    mode: Any,
    picture: torch.Tensor,
) -> None:
    model = restless(frozen_backbone=frozen_backbone, **settings)
    with mode:
        before = state_of(model)
        with pytest.raises(error):
            attend(model, picture, **request_)
        assert state_of(model) == before


def test_after_a_batch(picture: torch.Tensor) -> None:
    model = restless()
    before = state_of(model)
    attend_batch(model, torch.cat([picture, -picture]), layer="layer", method="gradcam", target=[0, 1])
    assert state_of(model) == before


def test_the_forward_pass_did_write() -> None:
    # Or the tests above would hold for a network that writes nothing.
    model = restless()
    before = state_of(model)
    model(torch.zeros(2, 3, 8, 8))
    after = state_of(model)
    torch.set_grad_enabled(True)
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {"training", "buffers", "grad mode", "random"}
    assert sum(value != after["buffers"].get(key) for key, value in before["buffers"].items()) == 12
    assert after["buffers"].keys() - before["buffers"].keys() == {("", "new"), ("head", "first")}


def test_fast_path_that_skips_hooks_is_off_during_the_pass(
    classifier: nn.Sequential, picture: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "_FAST_PATH_SKIPS_HOOKS", True)  # as with torch 2.4
    found = []
    classifier.stem.register_forward_hook(lambda *_: found.append(torch.backends.mha.get_fastpath_enabled()))
    attend(classifier, picture, layer="layer")
    assert set(found) == {False}
    assert torch.backends.mha.get_fastpath_enabled()


def test_every_module_is_in_eval_mode_during_the_pass(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    seen = []
    classifier.train()
    classifier.head.register_forward_pre_hook(
        lambda *_: seen.append([module.training for module in classifier.modules()])
    )
    attend(classifier, picture, layer="layer")
    assert seen == [[False] * 6]


def test_methods_of_the_model_that_switch_modes_are_not_called(picture: torch.Tensor) -> None:
    called: list[bool] = []

    class Noting(nn.Sequential):
        def train(self, mode: bool = True) -> nn.Module:
            called.append(mode)
            return super().train(mode)

    model = Noting(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    attend(model, picture, layer="0", target=lambda row: row.sum())
    assert called == []


class Counting(nn.Sequential):
    """A user's own module, though made of torch's."""

    counter: torch.Tensor

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode(self.counter.is_inference()):
            self.counter.add_(1)
        return super().forward(images)  # type: ignore[no-any-return]


@pytest.mark.parametrize("inference", [True, False])
def test_buffer_comes_back_whatever_mode_it_was_made_in(
    inference: bool, classifier: nn.Sequential, picture: torch.Tensor
) -> None:
    model = Counting(classifier)
    with torch.inference_mode(inference):
        model.register_buffer("counter", torch.zeros(2))
    attend(model, picture, layer="0.layer")
    assert model.counter.tolist() == [0, 0]


def test_sparse_buffer_is_no_obstacle(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    sparse = torch.eye(3).to_sparse()
    classifier.register_buffer("sparse", sparse)
    attend(classifier, picture, layer="layer")
    assert classifier.sparse is sparse


def test_untouched_buffers_keep_their_version(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    # A graph of the user's own that was built before, through a buffer, can still be differentiated after.
    classifier.append(nn.BatchNorm1d(5).eval())
    scores = classifier(picture)
    attend(classifier, picture, layer="layer")
    scores.sum().backward()
    assert classifier.stem.weight.grad is not None


def test_numpys_generator_may_be_of_any_kind(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    usual = np.random.get_bit_generator()
    try:
        np.random.set_bit_generator(np.random.PCG64(1))
        expected = np.random.RandomState(np.random.PCG64(1)).rand()
        attend(classifier, picture, layer="layer")
        assert np.random.rand() == expected
    finally:
        np.random.set_bit_generator(usual)


def test_modules_that_refer_to_each_other_are_no_obstacle(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    classifier.layer.parent = classifier
    assert attend(classifier, picture, layer="layer").layer == "layer"


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (nn.Linear, "the class Linear"),
        ({"weight": 1}, "a dict"),
        (None, "None"),
    ],
)
def test_what_is_no_module_is_named(model: Any, named: str, picture: torch.Tensor) -> None:
    with pytest.raises(ModelError, match=rf"model is {named}; accepted: a torch\.nn\.Module \(an instance"):
        attend(model, picture)


def test_scripted_model_is_refused(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript announces its end
        scripted = torch.jit.trace(classifier, picture)
    with pytest.raises(ModelError, match="TorchScript"):
        attend(scripted, picture, layer="layer")


def test_lazy_modules_are_refused_until_they_have_run(picture: torch.Tensor) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lazy modules announce that they may change
        model = nn.Sequential(nn.LazyConv2d(4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(5))
    with pytest.raises(ModelError, match="run it once before"):
        attend(model, picture)
    assert type(model[0]) is nn.LazyConv2d
    model(picture)
    assert attend(model, picture).layer == "0"


def test_parameters_made_under_inference_mode_are_refused(picture: torch.Tensor) -> None:
    with torch.inference_mode():
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(ModelError, match=r"parameters were made under torch\.inference_mode"):
        attend(model, picture)


@pytest.mark.parametrize("method", ["gradcam++", "occlusion"])
def test_parameters_that_hold_no_values_are_refused(picture: torch.Tensor, method: str) -> None:
    with torch.device("meta"):
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(ModelError, match=r"^'0.weight' and 3 more of .* are on the meta device, .* no values.*load"):
        attend(model, picture, method=method)


@pytest.mark.parametrize("method", ["gradcam++", "occlusion"])
@pytest.mark.parametrize("name", ["2.bias", "1.running_mean", "5.weight"])
def test_what_holds_no_values_is_named(picture: torch.Tensor, name: str, method: str) -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.Conv2d(4, 4, 3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 2),
    )
    module, kind = model[int(name[0])], name[2:]
    setattr(module, kind, type(getattr(module, kind))(torch.empty_like(getattr(module, kind), device="meta")))
    with pytest.raises(ModelError, match=rf"^'{name}' of the model's parameters and buffers is on the meta device"):
        attend(model, picture, method=method)


def test_what_no_pass_reads_may_hold_no_values(picture: torch.Tensor) -> None:
    model = normalized()
    model[1].num_batches_tracked = torch.zeros((), device="meta")
    assert attend(model, picture, layer="0", target=1).map.shape == (6, 6)


class Loading(nn.Linear):
    """Has its weight only while it runs."""

    def __init__(self) -> None:
        super().__init__(4, 2)
        self.kept = self.weight.detach()
        self.weight = nn.Parameter(torch.empty(2, 4, device="meta"))
        self.register_forward_pre_hook(lambda module, args: setattr(self, "weight", nn.Parameter(self.kept)))


def test_weights_that_are_loaded_for_a_pass_are_no_error(picture: torch.Tensor) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), Loading())
    assert attend(model, picture, layer="0", target=1).map.shape == (6, 6)


def test_device_is_that_of_the_first_parameter(classifier: nn.Sequential) -> None:
    assert ModelState(nn.Sequential(nn.ReLU(), nn.Linear(1, 1, device="meta"), classifier)).device.type == "meta"
    assert ModelState(nn.ReLU()).device.type == "cpu"


def test_device_is_that_of_the_parameters_where_buffers_lie_elsewhere(classifier: nn.Sequential) -> None:
    classifier.register_buffer("elsewhere", torch.zeros(1, device="meta"))
    assert ModelState(classifier).device.type == "cpu"


def normalized() -> nn.Sequential:
    """A network of torch's own modules, in training mode, whose statistics a pass in that mode would change."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)
    ).train()


def test_model_of_torchs_own_modules_comes_back(picture: torch.Tensor) -> None:
    model = normalized()
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    drawn = torch.get_rng_state()
    attend(model, picture, layer="0")
    assert [module.training for module in model] == [True, False, True, True, True, True]
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), drawn)


def test_module_of_torch_that_draws_in_eval_mode_leaves_the_generator(picture: torch.Tensor) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.FractionalMaxPool2d(2, output_size=4), nn.Flatten(), nn.Linear(64, 5))
    drawn = torch.get_rng_state()
    model(picture)
    assert not torch.equal(torch.get_rng_state(), drawn)
    drawn = torch.get_rng_state()
    attend(model, picture, layer="0")
    assert torch.equal(torch.get_rng_state(), drawn)


def test_another_forward_method_makes_a_known_module_unknown(picture: torch.Tensor) -> None:
    model = normalized()
    norm = model[1]

    def forward(features: torch.Tensor) -> torch.Tensor:
        norm.running_mean += random.random() + float(np.random.rand())
        return nn.BatchNorm2d.forward(norm, features)

    norm.forward = forward
    python, numpy = random.getstate(), np.random.get_state(legacy=True)[1].tolist()
    attend(model, picture, layer="0")
    assert norm.running_mean.tolist() == [0, 0, 0, 0]
    assert random.getstate() == python
    assert np.random.get_state(legacy=True)[1].tolist() == numpy


def test_a_module_that_is_placed_in_a_leaf_after_the_first_call_is_in_eval_mode(picture: torch.Tensor) -> None:
    model = normalized().eval()
    expected = attend(model, picture, layer="0", target=1).score
    model[5].drop = nn.Dropout(0.9)
    model[5].register_forward_pre_hook(lambda head, args: (head.drop(args[0]),))
    model.train()
    assert attend(model, picture, layer="0", target=1).score == pytest.approx(expected, abs=1e-6)
    assert model[5].drop.training


def test_another_method_of_an_instance_makes_a_known_model_unknown() -> None:
    model = resnet18(num_classes=3)
    for _ in range(2):
        assert ModelState(model).is_known
    model._forward_impl = lambda images: ResNet._forward_impl(model, images) + torch.rand(1)
    assert not ModelState(model).is_known
    drawn = torch.get_rng_state()
    attend(model, torch.ones(1, 3, 32, 32), layer="layer1")
    assert torch.equal(torch.get_rng_state(), drawn)


def test_preprocess_may_draw_and_leaves_the_generators() -> None:
    def preprocess(image: Any) -> torch.Tensor:
        random.random(), np.random.rand(), torch.rand(1)
        return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float() / 255

    model = normalized()
    python, torchs = random.getstate(), torch.get_rng_state()
    attend(model, np.zeros((12, 12, 3), np.uint8), layer="0", preprocess=preprocess, target=1)
    assert random.getstate() == python
    assert torch.equal(torch.get_rng_state(), torchs)


def test_a_known_model_may_overwrite_its_input(picture: torch.Tensor) -> None:
    model = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    before = picture.clone()
    maps = [attend(model, picture, layer="1", target=0).map for _ in range(3)]
    assert torch.equal(picture, before)
    assert np.array_equal(maps[0], maps[2])


def test_a_known_model_that_begins_to_overwrite_its_input_is_named(picture: torch.Tensor) -> None:
    model = nn.Sequential(nn.ReLU(), nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    expected = attend(model, picture, layer="1", target=0).map
    model[0].inplace = True
    with pytest.raises(ModelError, match="has written to its input, which it left alone before"):
        attend(model, picture, layer="1", target=0)
    again = picture.clone()
    assert np.array_equal(attend(model, picture, layer="1", target=0).map, expected)
    assert torch.equal(picture, again)


def test_hooks_of_the_user_are_noticed_whenever_they_come(picture: torch.Tensor) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    expected = attend(model, picture, layer="1", target=0).map
    for _ in range(2):
        seen: list[bool] = []
        with model[0].register_forward_hook(lambda module, args, output, seen=seen: seen.append(output.is_inference())):
            attend(model, picture, layer="1", target=0)
        assert seen == [False]  # what is of inference mode could not be used for gradients by the user's hook
        assert not ModelState(model).runs_users_code()
        assert np.array_equal(attend(model, picture, layer="1", target=0).map, expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows forks nothing")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_while_another_thread_explains_explains_too() -> None:
    began, forked = threading.Event(), threading.Event()

    def explain() -> None:
        with ModelState(Restless()):
            began.set()
            forked.wait()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(explain)
        began.wait()
        child = os.fork()
        if child == 0:
            signal.alarm(10)  # which ends a child that waits for a thread that it has not
            try:
                with ModelState(Restless()):
                    os._exit(0)
            finally:
                os._exit(1)
        forked.set()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_threads_that_explain_one_model_take_turns() -> None:
    torch.manual_seed(0)
    model = normalized().eval()
    pictures = torch.randn(4, 1, 3, 8, 8)
    expected = [attend(model, picture, layer="0", target=1).score for picture in pictures]
    model.train()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda index: attend(model, pictures[index % 4], layer="0", target=1).score, range(60)))
    assert found == expected * 15
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize("method", ["gradcam", "occlusion"])
@pytest.mark.parametrize("is_global", [True, False])
def test_hooks_of_the_user_see_tensors_that_autograd_can_use(method: str, is_global: bool) -> None:
    model, seen = normalized().eval(), []
    place = nn.modules.module.register_module_forward_hook if is_global else model[0].register_forward_hook
    handle = place(lambda module, args, output: seen.append(output.is_inference()))
    try:
        attend(model, torch.ones(1, 3, 8, 8), method=method, target=1, layer="1" if method == "gradcam" else None)
    finally:
        handle.remove()
    assert seen
    assert not any(seen)


class Seen(nn.Module):
    """Counts in a buffer what it is shown before the pass, or in small."""

    def __init__(self) -> None:
        super().__init__()
        self.look, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)
        self.register_buffer("seen", torch.zeros(1))

    def prepare(self, image: Image.Image) -> torch.Tensor:
        self.seen += 1
        return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if images.shape[-1] < 16:
            self.seen += 1
        return self.head(self.look(images).relu().mean(dim=(2, 3)))


def test_buffers_that_a_preprocess_of_the_model_writes_come_back() -> None:
    model = Seen().eval()
    attend(model, Image.new("RGB", (16, 16), "red"), layer="look", target=1, preprocess=model.prepare)
    assert model.seen.item() == 0


@pytest.mark.parametrize("shared", [False, True])
def test_buffers_of_a_model_that_a_registered_method_runs_come_back(
    shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Seen().eval()
    monkeypatch.setattr(SHARING, "is_on", shared)
    monkeypatch.setattr(registry, "_registered", {})

    @register_method("two-scales")
    def two_scales(activations: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        model(nn.functional.interpolate(inputs, size=12))
        return activations.abs().mean(dim=1)

    for _ in range(2):
        attend(
            model, torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0)), layer="look", method="two-scales"
        )
        assert model.seen.item() == 0
    pass_cache.forget()


@pytest.mark.parametrize("given", ["target", "output"])
def test_random_numbers_that_a_function_of_the_user_draws_come_back(given: str) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)).eval()
    how: dict[str, Any] = {
        given: lambda scores: (scores * torch.rand(5)).sum() if given == "target" else scores + torch.rand(5)
    }
    before = torch.get_rng_state()
    for method in ("gradcam", "occlusion"):
        layer = {"layer": "0"} if method == "gradcam" else {}
        attend(model, torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0)), method=method, **layer, **how)
        assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.filterwarnings("ignore:.*(nested tensors|quantized tensor)")
@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.quantize_per_tensor(torch.rand(3), 0.1, 0, torch.quint8),
        lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        lambda: torch.eye(3).to_sparse(),
    ],
    ids=["quantised", "nested", "sparse"],
)
@pytest.mark.parametrize("method", ["gradcam++", "ablationcam"])
def test_buffers_of_any_kind_are_no_error(method: str, make: Any) -> None:
    model = Seen().eval()
    model.register_buffer("peculiar", make())
    kept = model.peculiar
    attend(model, torch.rand(3, 16, 16), layer="look", method=method, target=1)
    assert model.peculiar is kept


def _with_another_forward() -> nn.Module:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    first = model.forward
    model.forward = lambda images: first(images)
    return model


def _with_itself_as_an_attribute() -> nn.Module:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    vars(model[0])["parent"] = model
    return model


@pytest.mark.parametrize("make", [_with_another_forward, _with_itself_as_an_attribute])
def test_models_of_torchs_own_modules_that_refer_to_themselves_are_let_go(
    make: Callable[[], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SHARING, "is_on", False)
    model = make()
    attend(model, torch.rand(3, 8, 8), layer="0", target=0)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
