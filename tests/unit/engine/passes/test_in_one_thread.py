"""Large convolutions of 1 x 1 in a process of one thread, which all tests of the engine have by their conftest.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from torch import fx, nn
from torch.autograd import profiler
from torch.overrides import TorchFunctionMode, _get_current_function_mode, _pop_mode

from pytest_cam import attend
from pytest_cam.engine.model.module_tree import ModuleTree
from pytest_cam.engine.passes.in_one_thread import pointwise_by_onednn

ONEDNN = "aten::mkldnn_convolution"
CHANNELS = 2048


class Pointwise(nn.Module):
    """Cells of 8 x 8 pixels, a convolution of 1 x 1 with 4 million weights, and a head, perhaps with a wide layer."""

    def __init__(self, *, is_wide: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.cells = nn.Conv2d(3, CHANNELS, 8, stride=8)
        self.pointwise = nn.Conv2d(CHANNELS, CHANNELS, 1)
        self.head = nn.Linear(CHANNELS, 5)
        self.between = nn.Sequential(nn.Linear(CHANNELS, CHANNELS), nn.ReLU()) if is_wide else nn.Identity()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.pointwise(self.cells(images).relu()).relu()
        return self.head(self.between(features.mean(dim=(2, 3))))


@pytest.fixture(autouse=True)
def require_onednn() -> None:
    if not torch.backends.mkldnn.is_available():
        pytest.skip("torch was built without oneDNN")


@pytest.fixture(scope="module")
def tree() -> ModuleTree:
    return ModuleTree.of(Pointwise())


def operations(run: Callable[[], object]) -> list[str]:
    with profiler.profile() as profile:
        run()
    return [event.name for event in profile.function_events]


@contextmanager
def two_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def image() -> torch.Tensor:
    return torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(1))


def test_torch_itself_leaves_them_to_its_matrix_product() -> None:
    # Where this fails, torch has come to do better, and there is nothing left to do here.
    convolution, given = nn.Conv2d(CHANNELS, CHANNELS, 1), torch.rand(1, CHANNELS, 4, 4)
    with torch.no_grad():
        assert ONEDNN not in operations(lambda: convolution(given))


def test_they_are_onednns(tree: ModuleTree) -> None:
    convolution, given = nn.Conv2d(CHANNELS, CHANNELS, 1), torch.rand(1, CHANNELS, 4, 4)
    with torch.no_grad(), pointwise_by_onednn(tree):
        assert ONEDNN in operations(lambda: convolution(given))


@pytest.mark.parametrize("padding", [0, 1, "same"])
@pytest.mark.parametrize("bias", [True, False])
def test_values_and_gradients_are_the_same(tree: ModuleTree, padding: int | str, bias: bool) -> None:
    torch.manual_seed(0)
    convolution = nn.Conv2d(128, 256, 1, padding=padding, bias=bias)
    given = torch.randn(1, 128, 17, 19, requires_grad=True)
    weights = torch.randn_like(convolution(given))
    (expected,) = torch.autograd.grad((weights * convolution(given)).sum(), given)
    with pointwise_by_onednn(tree):
        output = convolution(given)
        (found,) = torch.autograd.grad((weights * output).sum(), given)
    torch.testing.assert_close(output, convolution(given), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("convolution", "side"),
    [
        (nn.Conv2d(16, 32, 1), 8),
        (nn.Conv2d(16, 16, 1, dtype=torch.float64), 300),
        (nn.Conv2d(CHANNELS, 4, 1), 1),
    ],
    ids=["small", "float64", "of one cell"],
)
def test_of_others_nothing_changes(tree: ModuleTree, convolution: nn.Conv2d, side: int) -> None:
    given = torch.rand(1, convolution.in_channels, side, side, dtype=convolution.weight.dtype)
    with torch.no_grad():
        expected = operations(lambda: convolution(given))
        with pointwise_by_onednn(tree):
            assert operations(lambda: convolution(given)) == expected


@pytest.mark.parametrize(
    "convolution",
    [nn.Conv2d(64, 64, 3, padding=1), nn.Conv2d(64, 64, 1, groups=2), nn.Conv2d(64, 128, 1, stride=2)],
    ids=["3 x 3", "grouped", "strided"],
)
def test_a_kernel_is_spread_out_only_where_that_changes_nothing(tree: ModuleTree, convolution: nn.Conv2d) -> None:
    given = torch.rand(1, 64, 60, 60)
    with torch.no_grad(), pointwise_by_onednn(tree):
        found = convolution(given)
    torch.testing.assert_close(found, convolution(given), rtol=1e-5, atol=1e-5)


def test_several_threads_need_no_help(tree: ModuleTree) -> None:
    with two_threads(), pointwise_by_onednn(tree):
        assert _get_current_function_mode() is None


def test_without_onednn_there_is_none_to_ask(tree: ModuleTree) -> None:
    torch._C._set_mkldnn_enabled(False)  # `torch.backends.mkldnn.flags` warns of other things
    try:
        with pointwise_by_onednn(tree):
            assert _get_current_function_mode() is None
    finally:
        torch._C._set_mkldnn_enabled(True)


def test_a_network_of_few_such_weights_is_not_held_up() -> None:
    with pointwise_by_onednn(ModuleTree.of(nn.Sequential(nn.Conv2d(512, 512, 1), nn.Conv2d(64, CHANNELS, 3)))):
        assert _get_current_function_mode() is None


@pytest.mark.parametrize("layer", ["cells", "pointwise"])
@pytest.mark.parametrize("is_wide", [False, True])
def test_a_map_has_the_values_of_several_threads(layer: str, is_wide: bool) -> None:
    model = Pointwise(is_wide=is_wide).eval()
    maps, ran = [], []
    for threads in (two_threads(), nullcontext()):
        with threads:
            ran.append(operations(lambda: maps.append(attend(model, image(), layer=layer).map)))
    np.testing.assert_allclose(maps[1], maps[0], rtol=1e-5, atol=1e-7)
    assert [names.count(ONEDNN) for names in ran] == [2, 2], "both convolutions, with any number of threads"
    assert _get_current_function_mode() is None


class Mode(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("is_wide", [False, True])
@pytest.mark.parametrize("layer", ["cells", "pointwise"])
def test_a_mode_that_the_model_leaves_open_is_all_that_is_left(layer: str, is_wide: bool) -> None:
    mode = Mode()

    class LeavesOpen(Pointwise):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            features = self.pointwise(self.cells(images).relu()).relu()
            mode.__enter__()
            return self.head(self.between(features.mean(dim=(2, 3))))

    model = LeavesOpen(is_wide=is_wide).eval()
    try:
        attend(model, image(), layer=layer)
        assert _get_current_function_mode() is mode
        mode.__exit__(None, None, None)
        assert _get_current_function_mode() is None
    finally:
        while _get_current_function_mode() is not None:
            _pop_mode()


def test_a_model_may_trace_what_it_runs() -> None:
    class Traces(Pointwise):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            weight, bias = self.pointwise.weight.detach(), self.pointwise.bias.detach()

            def convolved(features: torch.Tensor) -> torch.Tensor:
                return torch.conv2d(features, weight, bias, (1, 1), (0, 0), (1, 1), 1)

            features = fx.symbolic_trace(convolved)(self.cells(images).relu())
            return self.head(features.relu().mean(dim=(2, 3)))

    traced, plain = (attend(kind().eval(), image(), layer="cells").map for kind in (Traces, Pointwise))
    np.testing.assert_array_equal(traced, plain)
