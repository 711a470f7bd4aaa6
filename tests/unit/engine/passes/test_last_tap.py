"""layer=None: the last output that shows the image on a grid, and that the score depends on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from pytest_cam import attend
from pytest_cam.engine.reading.layouts import Layout
from pytest_cam.engine.reading.reader import Reader
from pytest_cam.errors import IndependentScoreError

pytestmark = pytest.mark.usefixtures("seeded")

PICTURE = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
METHODS = ("gradcam++", "scorecam")  # with gradients, and without


class WithRows(nn.Module):
    """An image of 8 x 8 patches, and beside it rows of a table, or words of a text."""

    def __init__(self, *, rows_first: bool = False) -> None:
        super().__init__()
        self.rows_first = rows_first
        self.patches = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.ReLU())
        self.rows = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
        self.head = nn.Linear(12, 3)

    def forward(self, images: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        parts = {}
        for name in ("rows", "patches") if self.rows_first else ("patches", "rows"):
            parts[name] = self.rows(rows).mean(1) if name == "rows" else self.patches(images).mean((2, 3))
        return self.head(torch.cat([parts["patches"], parts["rows"]], dim=1))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rows_first", [False, True])
@pytest.mark.parametrize("count", [4, 5, 9, 16, 64])  # of which each makes a grid, and the last one that of the image
def test_rows_beside_the_image_are_no_patches(count: int, method: str, *, rows_first: bool) -> None:
    model = WithRows(rows_first=rows_first).eval()
    found = attend(model, PICTURE, model_args=(torch.rand(1, count, 4),), target=1, method=method)
    assert (found.layer, found.layout) == ("patches", "NCHW, 8 x 8")


class WithBranch(nn.Module):
    """A classifier with a second head, which runs last and has a grid, at one size or at several."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.sizes = sizes
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU())
        self.head = nn.Linear(8, 3)
        self.branch = nn.Sequential(nn.Conv2d(8, 8, 1), nn.ReLU(), nn.Conv2d(8, 1, 1))

    def forward(self, images: torch.Tensor) -> dict[str, Any]:
        features = self.features(images)
        logits = self.head(features.mean((2, 3)))
        masks = [self.branch(nn.functional.adaptive_avg_pool2d(features, size)) for size in self.sizes]
        return {"logits": logits, "masks": masks}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sizes", [(8,), (8, 4, 1)], ids=["one size", "several, the last without a grid"])
def test_a_branch_that_the_score_does_not_read_is_passed_over(sizes: tuple[int, ...], method: str) -> None:
    model = WithBranch(sizes).eval()
    found = attend(model, PICTURE, target=1, method=method)
    expected = attend(model, PICTURE, layer="features", target=1, method=method)
    assert found.layer == "features"
    assert found.map.tolist() == expected.map.tolist()


class Decoder(nn.Module):
    """Class scores and, run before them, a decoder of many layers, each with a grid."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU())
        self.decoder = nn.ModuleList(nn.Conv2d(8, 8, 3, 1, 1) for _ in range(layers))
        for layer in self.decoder:  # after some tens of random ones nothing of an image is left but rounding
            nn.init.dirac_(layer.weight)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = maps = self.encoder(images)
        for layer in self.decoder:
            maps = layer(maps)
        return maps, self.head(features)


@pytest.mark.parametrize("method", METHODS)
def test_a_branch_of_any_length_is_passed_over(method: str) -> None:
    model = Decoder(40).eval()
    assert attend(model, PICTURE, target=2, method=method).layer == "encoder"
    # Each target has a layer of its own.
    both = attend(model, PICTURE, target=[2, lambda part: part[0][1].mean()], method=method)
    assert [found.layer for found in both] == ["encoder", "decoder.38"]


@pytest.mark.parametrize("method", ["gradcam++", "ablationcam", "smoothgradcam++"])
@pytest.mark.parametrize(("layer", "given"), [(-1, "-1"), ("-1", "'-1'"), ([0, -1], "0 and -1")])
def test_an_index_that_falls_on_that_branch_is_answered_with_the_last_layer_that_counts(
    layer: Any, given: str, method: str
) -> None:
    said = (
        rf"layer branch.*\. An index, here {given}, counts all layers .* the last one that this score depends on is "
        "'features', which layer=None finds"
    )
    with pytest.raises(IndependentScoreError, match=said):
        attend(WithBranch((8,)).eval(), PICTURE, layer=layer, target=1, method=method)


def test_an_index_where_no_layer_counts_says_no_more() -> None:
    model = WithBranch((8,)).eval()
    nn.init.zeros_(model.head.weight)
    with pytest.raises(IndependentScoreError, match=r"layer branch: no path leads .* on the way\)$"):
        attend(model, PICTURE, layer=-1, target=1)


class Detached(WithBranch):
    """A classifier whose scores have no graph, and which counts its passes."""

    passes = 0

    def forward(self, images: torch.Tensor) -> Any:
        self.passes += 1
        return self.head(self.features(images).mean((2, 3))).detach()


def test_scores_without_a_graph_are_not_asked_for_it_again() -> None:
    model = Detached(()).eval()
    assert attend(model, PICTURE, method="eigencam").layer == "features"
    assert model.passes == 1


class Queries(nn.Module):
    """Patches of 8 x 8, and 16 queries of them, as a detector has: 4 x 4 by accident."""

    def __init__(self, told: int | None) -> None:
        super().__init__()
        self.config = SimpleNamespace(num_queries=told)
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 8, batch_first=True)
        self.queries = nn.Parameter(torch.rand(16, 8))
        self.decoder = nn.TransformerDecoderLayer(8, 2, 8, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens = self.encoder(self.patches(images).flatten(2).transpose(1, 2))
        return self.head(self.decoder(self.queries.expand(len(images), -1, -1), tokens)[:, 3])


def test_queries_that_the_config_tells_of_are_no_patches() -> None:
    found = attend(Queries(16).eval(), PICTURE, target=1)
    assert (found.layer, found.layout) == ("encoder", "tokens, 8 x 8")


class Prompted(nn.Module):
    """Patches of 8 x 8, of which the head takes the mean after a language model that gets them with a prompt."""

    def __init__(self, order: str) -> None:
        super().__init__()
        self.order = order
        self.patches = nn.Conv2d(3, 16, 8, 8, bias=False)
        self.prompt = nn.Parameter(torch.zeros(1, 4, 16))
        self.lm = nn.Sequential(nn.Linear(16, 16, bias=False), nn.GELU())
        self.head = nn.Linear(16, 2, bias=False)
        nn.init.constant_(self.patches.weight, 0.05)
        nn.init.eye_(self.lm[0].weight)
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor([[0.0], [1.0]]).expand(2, 16))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        patches, prompt = self.patches(images).flatten(2).transpose(1, 2), self.prompt.expand(len(images), -1, -1)
        if self.order == "replaced":
            is_image = torch.arange(68).lt(64)[None, :, None]
            tokens = torch.cat([prompt] * 17, dim=1).masked_scatter(is_image, patches)
        else:
            tokens = torch.cat([prompt, patches] if self.order == "prompt first" else [patches, prompt], dim=1)
        return self.head(self.lm(tokens).mean(1))


@pytest.mark.parametrize(
    ("order", "layer"), [("prompt first", "lm"), ("prompt last", "patches"), ("replaced", "patches")]
)
def test_tokens_that_joined_the_patches_shift_no_grid(order: str, layer: str) -> None:
    picture = torch.zeros(3, 64, 64)
    picture[:, 40:56, 40:56] = 1
    found = attend(Prompted(order).eval(), picture)
    assert found.layer == layer
    found.assert_in_region((40, 40, 56, 56))


class Pooled(nn.Module):
    """Attention pooling whose keys, (B, heads, tokens, channels of a head), are normalised by a module of their own."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 8, 8)
        self.norm, self.k_norm, self.head = nn.LayerNorm(16), norm, nn.Linear(16, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens = self.norm(self.patches(images).flatten(2).transpose(1, 2))
        keys = self.k_norm(tokens.unflatten(2, (1, 16)).transpose(1, 2))
        weights = keys.mean(dim=(1, 3)).softmax(dim=1)
        return self.head((weights[..., None] * tokens).sum(1))


@pytest.mark.parametrize("norm", [nn.LayerNorm(16), nn.Identity()], ids=["norm", "identity"])
def test_keys_of_attention_are_no_image(norm: nn.Module) -> None:
    found = attend(Pooled(norm).eval(), PICTURE, target=1)
    assert (found.layer, found.layout) == ("norm", "tokens, 4 x 4")


class Positions(nn.Module):
    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.linspace(0, 1, features[0].numel()).reshape(features.shape)


class Placed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches, self.positions, self.head = nn.Conv2d(3, 8, 4, 4), Positions(), nn.Linear(8, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.patches(images)
        return self.head((features + self.positions(features)).mean((2, 3)))


def test_positions_are_no_image() -> None:
    assert attend(Placed().eval(), PICTURE, target=1).layer == "patches"


def test_a_score_of_no_layer_says_what_was_tried() -> None:
    model = WithBranch((8,)).eval()
    nn.init.zeros_(model.head.weight)
    with pytest.raises(IndependentScoreError, match=r"on layer branch nor on the \d before it.*a head of zeros"):
        attend(model, PICTURE, target=1)


def test_tokens_after_the_patches_are_told_by_the_config() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 8, 8))
    model.config = SimpleNamespace(num_detection_tokens=5)
    tokens = torch.arange(22.0).reshape(1, 22, 1)  # one of the class, 16 patches, five of detections
    (layout,) = Reader(model, PICTURE[None]).readings(tokens)
    assert layout == Layout("tokens", (4, 4), prefix=1, suffix=5)
    assert str(layout) == "tokens, 4 x 4, 1 token before them, 5 after"
    assert layout.on_grid(tokens).flatten().tolist() == list(range(1, 17))
    assert torch.equal(layout.off_grid(layout.on_grid(tokens), tokens), tokens)
    # The patches before the others are put to them.
    assert Reader(model, PICTURE[None]).readings(tokens[:, 1:17]) == [Layout("tokens", (4, 4))]
