"""What people wrap their networks in: the map is that of the network inside, or the error says what does work."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from pytest_cam import attend
from pytest_cam.errors import ModelError


class Checkpointed(nn.Module):
    def __init__(self, network: nn.Sequential, *, reentrant: bool) -> None:
        super().__init__()
        self.network, self.reentrant = network, reentrant

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.network.stem(images)
        features = checkpoint(self.network.layer, features, use_reentrant=self.reentrant)
        return self.network[2:](features)  # type: ignore[no-any-return]


@pytest.fixture
def process_group(tmp_path: Path) -> Iterator[None]:
    store = f"file://{tmp_path / 'store'}"
    torch.distributed.init_process_group("gloo", init_method=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def same(model: nn.Module, layer: str, network: nn.Module, picture: torch.Tensor) -> bool:
    expected = attend(network, picture, layer="layer", method="hirescam")
    assert float(expected.map.max()) > 0
    found = attend(model, picture, layer=layer, method="hirescam")
    return bool(np.allclose(found.map, expected.map, rtol=1e-5, atol=1e-6 * float(expected.map.max())))


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointed(reentrant: bool, classifier: nn.Sequential, picture: torch.Tensor) -> None:
    home: Any = torch.utils.checkpoint
    both = home.CheckpointFunction, home._checkpoint_hook
    assert same(Checkpointed(classifier, reentrant=reentrant), "network.layer", classifier, picture)
    # It is checkpointed again afterwards.
    assert (home.CheckpointFunction, home._checkpoint_hook) == both


def test_data_parallel(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    assert same(nn.DataParallel(classifier), "module.layer", classifier, picture)


@pytest.mark.usefixtures("process_group")
def test_distributed_data_parallel(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    parallel = DistributedDataParallel(copy.deepcopy(classifier))
    assert same(parallel, "module.layer", classifier, picture)


def test_lightning_module(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own imports warn
        import pytorch_lightning

    class Lightning(pytorch_lightning.LightningModule):  # type: ignore[misc,name-defined,unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.network = classifier

        def forward(self, images: torch.Tensor) -> Any:
            return self.network(images)

    assert same(Lightning(), "network.layer", classifier, picture)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_input_takes_the_precision_of_the_weights(
    dtype: torch.dtype, classifier: nn.Sequential, picture: torch.Tensor
) -> None:
    expected = attend(classifier, picture, layer="layer", method="hirescam", target=1)
    found = attend(copy.deepcopy(classifier).to(dtype), picture, layer="layer", method="hirescam", target=1)
    # bfloat16 has 8 bits: 1 / 256 a number, and a few of these in a sum.
    assert abs(found.map - expected.map).max() < 0.03 * expected.map.max()


def test_autocast(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    expected = attend(classifier, picture, layer="layer", method="hirescam", target=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = attend(classifier, picture, layer="layer", method="hirescam", target=1)
    assert abs(found.map - expected.map).max() < 0.03 * expected.map.max()


def exported(network: nn.Module, picture: torch.Tensor) -> Any:
    return torch.export.export(network, (picture,))


def quantised(network: nn.Module, picture: torch.Tensor) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch means to move this elsewhere
        found: nn.Module = torch.ao.quantization.quantize_dynamic(network, {nn.Linear})
    return found


def sharded(network: nn.Module, picture: torch.Tensor) -> nn.Module:
    # What torch makes of a module's class when it shards it; sharding itself needs an accelerator.
    class FSDPModule:
        pass

    network.layer.__class__ = type("FSDPConv2d", (FSDPModule, nn.Conv2d), {})
    return network


@pytest.mark.parametrize(
    ("wrap", "words"),
    [
        (exported, "model is an ExportedProgram; .* pass the module that was exported"),
        (lambda *given: exported(*given).module(), "no modules, as torch.export makes it.*'occlusion' or 'rise'"),
        (
            quantised,
            r"quantised modules \(torch\.ao\.nn\.quantized.*Linear\), .* the float model .*'occlusion' or 'rise'",
        ),
        (sharded, r"sharded by FSDP \(FSDPConv2d\)"),
    ],
    ids=["exported program", "exported module", "quantised", "sharded"],
)
def test_what_cannot_be_explained_says_what_can(
    wrap: Callable[..., Any], words: str, classifier: nn.Sequential, picture: torch.Tensor
) -> None:
    with pytest.raises(ModelError, match=words):
        attend(wrap(classifier.eval(), picture), picture, layer="layer")
