from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from pytest_cam.engine.transformers.attention_probabilities import SeenAttention

QUERY, KEY, VALUE = torch.randn(3, 1, 4, 5, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
HIDDEN = torch.ones(5, 5, dtype=torch.bool).tril(1)
ADDED = torch.randn(1, 4, 5, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


class Seen:
    """Keeps the probabilities, and passes them on times a factor."""

    def __init__(self, factor: float = 1.0) -> None:
        self.all: list[torch.Tensor] = []
        self.factor = factor

    def __call__(self, probabilities: torch.Tensor) -> torch.Tensor:
        self.all.append(probabilities)
        return probabilities * self.factor


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"attn_mask": HIDDEN},
        {"attn_mask": ADDED},
        {"is_causal": True},
        {"scale": 0.3},
        {"attn_mask": ADDED, "scale": 2.0},
    ],
    ids=str,
)
def test_attention_in_the_open_is_the_fused_one(options: dict[str, Any]) -> None:
    expected = functional.scaled_dot_product_attention(QUERY, KEY, VALUE, **options)
    seen = Seen()
    with SeenAttention(seen):
        found = functional.scaled_dot_product_attention(QUERY, KEY, VALUE, **options)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    (probabilities,) = seen.all
    assert probabilities.shape == (1, 4, 5, 5)
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(1, 4, 5, dtype=torch.float64))


def test_attention_without_an_axis_of_heads() -> None:
    expected = functional.scaled_dot_product_attention(QUERY[0], KEY[0], VALUE[0])
    with SeenAttention(Seen()):
        found = functional.scaled_dot_product_attention(QUERY[0], KEY[0], VALUE[0])
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_probabilities_are_dropped_as_the_model_asks() -> None:
    with SeenAttention(Seen()):
        assert not functional.scaled_dot_product_attention(QUERY, KEY, VALUE, dropout_p=1.0).any()


@pytest.mark.skipif(torch.__version__ < "2.5", reason="enable_gqa came with torch 2.5")
def test_fewer_heads_of_keys_than_of_queries() -> None:
    expected = functional.scaled_dot_product_attention(QUERY, KEY[:, :2], VALUE[:, :2], enable_gqa=True)
    with SeenAttention(Seen()):
        found = functional.scaled_dot_product_attention(QUERY, KEY[:, :2], VALUE[:, :2], enable_gqa=True)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_probabilities_by_hand() -> None:
    # Scores 0 and log 3 at each of two keys, after the scale of 1 / sqrt(1).
    key = torch.tensor([[0.0], [3.0]]).log1p()[None, None] * torch.tensor(1.0)
    query = torch.tensor([[[[1.0]]]])
    seen = Seen()
    with SeenAttention(seen):
        found = functional.scaled_dot_product_attention(query, key, torch.tensor([[[[10.0], [20.0]]]]))
    torch.testing.assert_close(seen.all[0], torch.tensor([[[[0.2, 0.8]]]]))
    torch.testing.assert_close(found, torch.tensor([[[[18.0]]]]))


@pytest.mark.parametrize("weights", [False, True])
def test_module_of_torch(weights: bool) -> None:
    torch.manual_seed(0)
    module, tokens = nn.MultiheadAttention(8, 2, batch_first=True).eval(), torch.randn(1, 5, 8)
    with torch.no_grad():
        expected, _ = module(tokens, tokens, tokens, need_weights=weights)
        seen = Seen()
        with SeenAttention(seen):
            found, _ = module(tokens, tokens, tokens, need_weights=weights)
        torch.testing.assert_close(found, expected)
        (probabilities,) = seen.all
        assert probabilities.reshape(2, 5, 5).sum(-1).allclose(torch.ones(2, 5))
        with SeenAttention(Seen(0.0)):
            without, _ = module(tokens, tokens, tokens, need_weights=weights)
    torch.testing.assert_close(without, module.out_proj.bias.expand(1, 5, 8))


@pytest.mark.parametrize(
    ("softmax", "count"),
    [
        (lambda scores: scores.softmax(-1), 1),
        (lambda scores: scores.softmax(dim=3), 1),
        (lambda scores: torch.softmax(scores, -1), 1),
        (lambda scores: functional.softmax(scores, dim=-1, dtype=torch.float32), 1),
        (nn.Softmax(dim=-1), 1),
        (lambda scores: scores.softmax(1), 0),
        (lambda scores: scores[0, 0].softmax(-1), 0),
    ],
)
def test_softmax_that_is_written_out(softmax: Any, count: int) -> None:
    seen = Seen(2.0)
    with SeenAttention(seen):
        found = softmax(ADDED)
    assert len(seen.all) == count
    torch.testing.assert_close(found.sum(), softmax(ADDED).sum() * (2.0 if count else 1.0))


def test_nothing_is_seen_after_the_block() -> None:
    seen = Seen()
    with pytest.raises(RuntimeError, match="on purpose"), SeenAttention(seen):
        raise RuntimeError("on purpose")
    own = functional.multi_head_attention_forward
    ADDED.softmax(-1)
    nn.MultiheadAttention(8, 2)(torch.ones(5, 1, 8), torch.ones(5, 1, 8), torch.ones(5, 1, 8))
    assert seen.all == []
    assert functional.multi_head_attention_forward is own
    assert own.__globals__["scaled_dot_product_attention"] is functional.scaled_dot_product_attention
