"""Where the activations lie in what a layer returns, worked out from shapes that real networks have."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

from pytest_cam import attend, attend_batch
from pytest_cam.engine.reading.carriers import with_tensor
from pytest_cam.engine.reading.layouts import Layout
from pytest_cam.engine.reading.reader import Reader
from pytest_cam.errors import LayerError

ONE, TWO, NEW = torch.ones(1, 2, 3, 3), torch.ones(1), torch.zeros(1)


class Output(NamedTuple):
    name: str
    features: torch.Tensor
    more: torch.Tensor


def reader(size: tuple[int, int] = (224, 224), model: nn.Module | None = None, **settings: Any) -> Reader:
    return Reader(model or nn.Conv2d(3, 8, 16, 16), torch.zeros(1, 3, *size), **settings)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (ONE, ONE),
        ((ONE, TWO), ONE),
        ([None, ONE, TWO], ONE),
        # A side output without a grid may come first.
        ((TWO, ONE), ONE),
        (Output("x", ONE, TWO), ONE),
        ({"features": ONE}, ONE),
        (OrderedDict(small=TWO, features=ONE), ONE),
        ((TWO, TWO), TWO),
        ((), None),
        (("a", 1), None),
        (None, None),
    ],
)
def test_tensor_of_an_output(output: Any, expected: torch.Tensor | None) -> None:
    assert reader().find(output) is expected


def test_replaced_tensor_leaves_the_rest_and_the_type() -> None:
    assert with_tensor(ONE, ONE, NEW) is NEW
    assert with_tensor((None, ONE, TWO), ONE, NEW) == (None, NEW, TWO)
    assert with_tensor([ONE, "rest"], ONE, NEW) == [NEW, "rest"]
    replaced = with_tensor(Output("x", ONE, TWO), ONE, NEW)
    assert type(replaced) is Output
    assert replaced == ("x", NEW, TWO)
    given = OrderedDict(a=TWO, b=ONE)
    replaced = with_tensor(given, ONE, NEW)
    assert type(replaced) is OrderedDict
    assert list(replaced.items()) == [("a", TWO), ("b", NEW)]
    assert given["b"] is ONE


def test_a_tensor_that_is_there_twice_is_replaced_twice() -> None:
    assert all(item is NEW for item in with_tensor((ONE, ONE), ONE, NEW))


@pytest.mark.parametrize(
    ("size", "patch", "shape", "expected"),
    [
        pytest.param((224, 224), 16, (2048, 7, 7), ["NCHW, 7 x 7"], id="ResNet"),
        pytest.param((33, 500), 16, (512, 2, 16), ["NCHW, 2 x 16"], id="ResNet, a long strip"),
        pytest.param((12, 12), 16, (4, 10, 10), ["NCHW, 10 x 10"], id="unpadded convolution"),
        pytest.param((64, 400), 16, (32, 4, 100), ["NCHW, 4 x 100"], id="one axis squeezed more"),
        pytest.param((224, 224), 4, (7, 7, 768), ["NHWC, 7 x 7"], id="Swin"),
        pytest.param((224, 224), 4, (56, 56, 96), ["NHWC, 56 x 56"], id="Swin, first stage"),
        pytest.param((224, 224), 4, (56, 56, 56), ["NCHW, 56 x 56", "NHWC, 56 x 56"], id="ambiguous"),
        pytest.param((224, 224), 16, (196, 768), ["tokens, 14 x 14"], id="Mixer"),
        pytest.param((224, 224), 16, (197, 768), ["tokens, 14 x 14, 1 token before them"], id="ViT"),
        pytest.param((224, 224), 16, (198, 192), ["tokens, 14 x 14, 2 tokens before them"], id="DeiT, distilled"),
        pytest.param((224, 224), 14, (261, 384), ["tokens, 16 x 16, 5 tokens before them"], id="DINOv2, registers"),
        pytest.param((224, 336), 14, (389, 384), ["tokens, 16 x 24, 5 tokens before them"], id="not square"),
        pytest.param((230, 224), 16, (197, 384), ["tokens, 14 x 14, 1 token before them"], id="a cut border"),
        pytest.param((224, 224), 4, (49, 768), ["tokens, 7 x 7"], id="Hugging Face Swin"),
        pytest.param((32, 32), 8, (17, 64), ["tokens, 4 x 4, 1 token before them"], id="small ViT"),
        # 3 x 3 would fit as well, were it not for the patches of 16.
        pytest.param((32, 32), 16, (9, 8), ["tokens, 2 x 2, 5 tokens before them"], id="a grid of the model's patches"),
        pytest.param((8, 8), 4, (5, 8), ["tokens, 2 x 2, 1 token before them"], id="smallest ViT"),
        # 11 x 11 and 7 before them would be a grid of squares.
        pytest.param((64, 64), (4, 8), (128, 32), ["tokens, 16 x 8"], id="patches that are not square"),
        pytest.param((224, 224), 16, (77, 512), [], id="text"),
        # 100 would be 10 x 10 cells of 22 pixels, which the model does not cut.
        pytest.param((224, 224), 16, (100, 256), [], id="queries of a detector"),
        pytest.param((224, 224), 16, (1000,), [], id="logits"),
        pytest.param((224, 224), 16, (2048, 1, 1), [], id="pooled"),
        pytest.param((224, 224), 16, (3, 4, 4, 4), [], id="volume"),
    ],
)
def test_readings_of_a_shape(
    size: tuple[int, int], patch: int | tuple[int, int], shape: tuple[int, ...], expected: list[str]
) -> None:
    found = reader(size, nn.Conv2d(3, 8, patch, patch)).readings(torch.zeros(1, *shape))
    assert [str(reading) for reading in found] == expected


@pytest.mark.parametrize("module", [nn.Conv1d(3, 64, 1), nn.BatchNorm1d(64), nn.AdaptiveAvgPool1d(1)])
def test_channels_of_one_axis_are_no_tokens(module: nn.Module) -> None:
    # 64 channels would be 8 x 8 tokens of 28 pixels, in a model that cuts no patches.
    output = torch.zeros(1, 64, 49)
    assert reader(model=module).might_read(output, nn.ReLU()) == Layout("tokens", (8, 8))
    assert reader(model=module).might_read(output, module) is None
    with pytest.raises(LayerError, match="no spatial extent"):
        reader(model=module).read(output, module, "x")


def test_channels_of_a_convolution_are_never_an_axis_of_the_grid() -> None:
    # 16 x 16 would fit one stride on both axes, and 16 x 8 does not: the convolution strides by 4 and 8.
    convolution = nn.Conv2d(3, 16, (4, 8), (4, 8))
    assert str(reader((64, 64), convolution).read(torch.zeros(1, 16, 16, 8), convolution, "x")) == "NCHW, 16 x 8"


STRIPES = nn.Sequential(nn.Conv2d(3, 16, (4, 2), (4, 2), bias=False), nn.ReLU())


@pytest.mark.parametrize(
    ("shape", "permuted", "module", "expected"),
    [
        ((16, 16, 32), False, STRIPES, Layout("NCHW", (16, 32))),
        ((16, 16, 32), False, nn.Sequential(STRIPES, nn.LayerNorm(32)), Layout("NHWC", (16, 16))),
        ((16, 16, 32), True, STRIPES, Layout("NHWC", (16, 16))),  # which ends with a permute of its own
        ((16, 16, 96), False, STRIPES, Layout("NHWC", (16, 16))),
    ],
)
def test_channels_that_fit_by_chance_beside_one_side_are_not_taken_for_a_side(
    shape: tuple[int, int, int], permuted: bool, module: nn.Module, expected: Layout
) -> None:
    output = torch.zeros(1, *shape)
    if permuted:
        output = output.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    assert reader((64, 64)).read(output, module, "layer") == expected
    assert reader((64, 64)).might_read(output, module) == expected


def test_strides_that_differ_leave_the_mark_where_it_is() -> None:
    net = nn.Sequential(STRIPES, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 2, bias=False)).eval()
    for weight, value in ((net[0][0].weight, 0.1), (net[3].weight, 1.0)):
        nn.init.constant_(weight, value)
    image = torch.zeros(1, 3, 64, 64)
    image[:, :, 40:56, 4:20] = 1
    for layer in (None, "0", "0.0"):
        attend(net, image, layer=layer).assert_in_region((4, 40, 20, 56))


def test_whole_numbers_have_no_reading() -> None:
    assert reader().readings(torch.zeros(1, 8, 7, 7, dtype=torch.int64)) == []


def test_number_of_prefix_tokens_that_a_model_tells() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 4, 4))
    tensor = torch.zeros(1, 21, 8)
    # 21 tokens of a 16 x 16 input cut by 4: 4 x 4 and 5 before them.
    assert [str(reading) for reading in reader((16, 16), model).readings(tensor)] == [
        "tokens, 4 x 4, 5 tokens before them"
    ]
    model.num_prefix_tokens = 1  # type: ignore[assignment]
    assert reader((16, 16), model).readings(tensor) == []


def test_each_value_goes_to_its_cell() -> None:
    grid = torch.arange(24.0).reshape(1, 4, 2, 3)
    assert Layout("NCHW", (2, 3)).on_grid(grid) is grid
    assert torch.equal(Layout("NHWC", (2, 3)).on_grid(grid.permute(0, 2, 3, 1)), grid)
    tokens = torch.cat([torch.full((1, 2, 4), 99.0), grid.flatten(2).transpose(1, 2)], dim=1)
    assert torch.equal(Layout("tokens", (2, 3), prefix=2).on_grid(tokens), grid)


def test_each_cell_goes_back_to_where_it_came_from() -> None:
    # Two versions of a grid of 2 x 3 with four channels, for an output of one image.
    cells = torch.arange(48.0).reshape(2, 4, 2, 3)
    assert Layout("NCHW", (2, 3)).off_grid(cells, torch.zeros(1, 4, 2, 3)) is cells
    back = Layout("NHWC", (2, 3)).off_grid(cells, torch.zeros(1, 2, 3, 4))
    assert back.shape == (2, 2, 3, 4)
    # Channel 3 at row 1, column 2 of version 0: 3 * 6 + 1 * 3 + 2.
    assert back[0, 1, 2, 3] == 23
    output = torch.full((1, 9, 4), -1.0)
    output[:, :2] = torch.tensor([[70.0], [80.0]])
    tokens = Layout("tokens", (2, 3), prefix=2, suffix=1).off_grid(cells, output)
    assert tokens.shape == (2, 9, 4)
    # Each version has the tokens of the output around its own patches; patch 5 is that of row 1, column 2.
    assert tokens[:, :, 3].tolist() == [[70, 80, *range(18, 24), -1], [70, 80, *range(42, 48), -1]]


def test_output_that_is_read_by_a_callable_has_no_way_back(picture: torch.Tensor) -> None:
    with pytest.raises(LayerError, match=r"with reshape=<callable> the way back .* to the output is not known"):
        attend(Channels(), picture, layer="layer", method="ablationcam", reshape=lambda out: out.permute(0, 3, 1, 2))


@pytest.mark.parametrize(
    ("module", "model", "expected"),
    [
        (nn.Conv2d(8, 8, 1), nn.LayerNorm(8), "NCHW, 8 x 8"),
        (nn.Sequential(nn.Conv2d(8, 8, 1), nn.Linear(8, 8)), nn.LayerNorm(8), "NCHW, 8 x 8"),
        (nn.LayerNorm(8), nn.Conv2d(3, 8, 1), "NHWC, 8 x 8"),
        (nn.Linear(8, 8), nn.Conv2d(3, 8, 1), "NHWC, 8 x 8"),
        # A layer that tells nothing, in a model that has nothing channels-last.
        (nn.ReLU(), nn.Sequential(nn.Conv2d(3, 8, 1), nn.Linear(8, 2)), "NCHW, 8 x 8"),
    ],
)
def test_ambiguous_shape_is_decided_by_what_the_layer_is_made_of(
    module: nn.Module, model: nn.Module, expected: str
) -> None:
    assert str(reader((64, 64), model).read(torch.zeros(1, 8, 8, 8), module, "x")) == expected


@pytest.mark.parametrize("module", [nn.ReLU(), nn.Sequential(nn.Conv2d(8, 8, 1), nn.LayerNorm(8))])
def test_shape_that_stays_ambiguous_is_an_error_with_its_readings(module: nn.Module) -> None:
    with pytest.raises(LayerError, match=r"reads in 2 ways: NCHW, 8 x 8; or NHWC, 8 x 8\. Say which: reshape="):
        reader((64, 64), nn.LayerNorm(8)).read(torch.zeros(1, 8, 8, 8), module, "x")


class Channels(nn.Module):
    """Activations (B, h, w, C), a class for each channel: the score is the mean of the channel."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layer(images.permute(0, 2, 3, 1)).mean(dim=(1, 2))  # type: ignore[no-any-return]


def test_reshape_overrides_what_would_be_inferred(picture: torch.Tensor) -> None:
    model = Channels()
    inferred = attend(model, picture, layer="layer", target=1, method="hirescam")
    assert inferred.layout.startswith("NHWC")
    given = attend(
        model, picture, layer="layer", target=1, method="hirescam", reshape=lambda out: out.permute(0, 3, 2, 1)
    )
    assert given.layout == f"reshape, {given.map.shape[0]} x {given.map.shape[1]}"
    assert given.map.tolist() == inferred.map.T.tolist()


@pytest.mark.parametrize(
    ("reshape", "words"),
    [
        (
            lambda out: out.flatten(1),
            r"reshape made a tensor \(1, \d+\) of the layer's output .*accepted: a tensor \(B",
        ),
        (lambda out: out[0], r"reshape made a tensor .*accepted: a tensor \(B, C, h, w\), here \(1, C, h, w\)"),
        (lambda out: None, "reshape made None"),
        (lambda out: out.repeat(2, 1, 1, 1), r"reshape made a tensor \(2, .*accepted: .*, here \(1, C, h, w\)"),
        (lambda out: out.permute(0, 3, 1, 2).mean(dim=(2, 3), keepdim=True), "its grid must be larger than 1 x 1"),
    ],
)
def test_reshape_that_returns_something_else(reshape: Any, words: str, picture: torch.Tensor) -> None:
    with pytest.raises(LayerError, match=words):
        attend(Channels(), picture, layer="layer", target=1, reshape=reshape)


@pytest.mark.parametrize("grid", [(2, 1), (1, 2)])
def test_reshape_may_give_a_grid_of_two_cells(picture: torch.Tensor, grid: tuple[int, int]) -> None:
    def halves(out: torch.Tensor) -> torch.Tensor:
        return torch.stack([half.mean(dim=(1, 2)) for half in out.chunk(2, dim=1)], dim=-1).unflatten(-1, grid)

    assert attend(Channels(), picture, layer="layer", target=1, method="layercam", reshape=halves).map.shape == grid


class Sequence(nn.Module):
    """Tokens (B, 16, C) through a linear layer, or the same tokens with the sequence first, (16, B, C)."""

    def __init__(self, *, batch_first: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches, self.mix, self.head = nn.Conv2d(3, 8, 2, 2), nn.Linear(8, 8), nn.Linear(8, 5)
        self.batch_first = batch_first

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens = self.patches(images).flatten(2)
        if self.batch_first:
            return self.head(self.mix(tokens.transpose(1, 2)).tanh().mean(dim=1))
        return self.head(self.mix(tokens.permute(2, 0, 1)).tanh().mean(dim=0))


@pytest.mark.parametrize("method", ["gradcam", "smoothgradcam++"])
def test_reshape_reads_a_layer_whose_first_axis_is_the_sequence(method: str) -> None:
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    expected = attend_batch(Sequence(batch_first=True).eval(), images, layer="mix", target=1, method=method)
    found = attend_batch(
        Sequence(batch_first=False).eval(),
        images,
        layer="mix",
        target=1,
        method=method,
        reshape=lambda out: out.permute(1, 2, 0).reshape(out.shape[1], 8, 4, 4),
    )
    for one, other in zip(found, expected, strict=True):
        assert one.map == pytest.approx(other.map, rel=1e-4, abs=1e-6)
