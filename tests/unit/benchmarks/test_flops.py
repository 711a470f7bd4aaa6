from __future__ import annotations

import pytest
import torch
from torch import nn

from benchmarks.flops import flop_bound


def tiny() -> nn.Sequential:
    """Two convolutions and a linear layer, with an operator in place right after the first."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 2, 3, bias=False),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(2, 5, bias=False),
    ).eval()


# FLOPs, two for each product that is summed, of an input of 8 x 8: FIRST makes 6 x 6 places of 4 channels from 3 * 9
# numbers each, SECOND 4 x 4 places of 2 from 4 * 9, HEAD 5 scores from 2. A gradient of an input takes as many as the
# output did.
FIRST, SECOND, HEAD = 2 * 36 * 4 * 27, 2 * 16 * 2 * 36, 2 * 2 * 5
FORWARD = FIRST + SECOND + HEAD


@pytest.mark.parametrize(("layer", "tail"), [("0", SECOND + HEAD), ("1", SECOND + HEAD), ("2", HEAD), ("4", HEAD)])
def test_bound_is_forward_and_input_gradient_of_the_tail(layer: str, tail: int) -> None:
    bound = flop_bound(tiny(), torch.rand(1, 3, 8, 8), layer)
    assert bound == pytest.approx((FORWARD + tail) / FORWARD, rel=1e-12)


def test_bound_does_not_depend_on_the_batch_size() -> None:
    one, three = (flop_bound(tiny(), torch.rand(batch, 3, 8, 8), "0") for batch in (1, 3))
    assert one == pytest.approx(three, rel=1e-12)


@pytest.mark.parametrize("frozen", [False, True])
def test_attention_is_counted(frozen: bool) -> None:
    # One block of a transformer in eval mode, which torch would run by one fused operator that is not counted: 4 tokens
    # of 8 numbers, two heads; projections 4 * 2 * 4 * 8 * 8, scores and their sum 2 * 2 * 4 * 4 * 8, two linear layers
    # of 8 to 16.
    block = nn.TransformerEncoderLayer(8, 2, dim_feedforward=16, batch_first=True)

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Conv2d(1, 8, 4, stride=4, bias=False)
            self.block = block
            self.head = nn.Linear(8, 3)

        def forward(self, given: torch.Tensor) -> torch.Tensor:
            tokens = self.tokens(given).flatten(2).mT
            return self.head(self.block(tokens).mean(1))  # type: ignore[no-any-return]

    stem, head = 2 * 4 * 8 * 16, 2 * 8 * 3
    inside = 4 * 2 * 4 * 8 * 8 + 2 * 2 * 4 * 4 * 8 + 2 * 2 * 4 * 8 * 16
    # Of each of the two products of attention, both factors are inputs.
    backward = inside + 2 * 2 * 4 * 4 * 8 + head
    forward = stem + inside + head
    model = Network().eval().requires_grad_(not frozen)
    found = flop_bound(model, torch.rand(1, 1, 8, 8), "tokens")
    assert found == pytest.approx((forward + backward) / forward, rel=1e-12)


def test_model_comes_back_as_it_was() -> None:
    model = tiny()
    model[0].weight.requires_grad_(False)
    flop_bound(model, torch.rand(1, 3, 8, 8), "2")
    assert [parameter.requires_grad for parameter in model.parameters()] == [False, True, True]
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model[2]._forward_hooks
