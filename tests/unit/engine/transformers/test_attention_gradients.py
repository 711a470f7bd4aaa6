"""LeGrad's gradients on a transformer small enough to follow, written twice: as modules, and as arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from pytest_cam import attend, attend_batch
from pytest_cam.errors import CamError, IndependentScoreError, MethodError, ModelError

HEADS, WIDTH, SIDE = 2, 6, 3


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        batch, count, _ = tokens.shape
        query, key, value = self.qkv(tokens).view(batch, count, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.attention, self.mlp = nn.LayerNorm(WIDTH), Attention(), nn.Linear(WIDTH, WIDTH)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        tokens = tokens + self.attention(self.norm(tokens))
        return tokens + self.mlp(tokens).tanh()


class Transformer(nn.Module):
    """A class token, 3 x 3 patches of 4 x 4 pixels, and two blocks."""

    def __init__(self, blocks: int = 2) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, 4, stride=4)
        self.token = nn.Parameter(torch.randn(1, 1, WIDTH))
        self.blocks = nn.Sequential(*(Block() for _ in range(blocks)))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 4)

    def embedded(self, inputs: torch.Tensor) -> torch.Tensor:
        patches = self.patches(inputs).flatten(2).transpose(1, 2)
        return torch.cat([self.token.expand(len(inputs), -1, -1), patches], dim=1)

    def scores(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(tokens)[:, 0])  # type: ignore[no-any-return]

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.scores(self.blocks(self.embedded(inputs)))


@pytest.fixture
def model() -> Transformer:
    torch.manual_seed(0)
    return Transformer().double().eval()


@pytest.fixture
def inputs() -> torch.Tensor:
    return torch.randn(2, 3, 12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def expected(model: Transformer, image: torch.Tensor, target: int) -> np.ndarray[Any, Any]:
    """Return the map by arithmetic: each block again, with its attention as a variable."""
    tokens, maps = model.embedded(image[None]).detach(), []
    for block in model.blocks:
        attention = block.attention
        wide = attention.qkv(block.norm(tokens)).detach()[0]
        query, key, value = (part.reshape(-1, HEADS, WIDTH // HEADS).transpose(0, 1) for part in wide.split(WIDTH, -1))
        probabilities = ((query @ key.mT) / (WIDTH // HEADS) ** 0.5).softmax(-1).requires_grad_()
        mixed = (probabilities @ value).transpose(0, 1).reshape(1, -1, WIDTH)
        formed = tokens + attention.out(mixed)
        formed = formed + block.mlp(formed).tanh()
        (gradient,) = torch.autograd.grad(model.scores(formed)[0, target], probabilities)
        maps.append(gradient.clamp(min=0).mean(dim=(0, 1))[1:].reshape(SIDE, SIDE))
        tokens = formed.detach()
    return np.asarray(torch.stack(maps).mean(0).numpy())


@pytest.mark.parametrize("target", [0, 3])
def test_map_is_the_one_by_arithmetic(model: Transformer, inputs: torch.Tensor, target: int) -> None:
    found = attend(model, inputs[:1], method="legrad", target=target)
    np.testing.assert_allclose(found.map, expected(model, inputs[0], target), rtol=1e-6, atol=1e-12)
    assert found.map.min() >= 0
    assert found.map.max() > 0


@pytest.mark.parametrize("count", [1, 3, 5])
def test_any_number_of_blocks(inputs: torch.Tensor, count: int) -> None:
    torch.manual_seed(count)
    model = Transformer(count).double().eval()
    found = attend(model, inputs[:1], method="legrad", target=1)
    np.testing.assert_allclose(found.map, expected(model, inputs[0], 1), rtol=1e-6, atol=1e-12)


def test_a_block_whose_attention_changes_nothing_counts_as_zero(model: Transformer, inputs: torch.Tensor) -> None:
    with torch.no_grad():
        model.blocks[0].attention.out.weight.zero_()
    found = attend(model, inputs[:1], method="legrad", target=1)
    np.testing.assert_allclose(found.map, expected(model, inputs[0], 1), rtol=1e-6, atol=1e-12)
    assert found.map.max() > 0


def test_map_under_no_grad_is_the_same(model: Transformer, inputs: torch.Tensor) -> None:
    with torch.no_grad():
        found = attend(model, inputs[:1], method="legrad", target=1)
    np.testing.assert_allclose(found.map, expected(model, inputs[0], 1), rtol=1e-6, atol=1e-12)


def test_callable_target_and_predicted_class(model: Transformer, inputs: torch.Tensor) -> None:
    found = attend(model, inputs[:1], method="legrad", target=lambda scores: 2 * scores[1])
    np.testing.assert_allclose(found.map, 2 * expected(model, inputs[0], 1), rtol=1e-6, atol=1e-12)
    predicted = int(model(inputs[:1]).argmax())
    found = attend(model, inputs[:1], method="legrad")
    np.testing.assert_allclose(found.map, expected(model, inputs[0], predicted), rtol=1e-6, atol=1e-12)


def test_batch_is_its_images(model: Transformer, inputs: torch.Tensor) -> None:
    both = attend_batch(model, inputs, method="legrad", target=2)
    for image, found in zip(inputs, both, strict=True):
        assert np.array_equal(found.map, attend(model, image[None], method="legrad", target=2).map)


def test_what_is_said_of_the_place(model: Transformer, inputs: torch.Tensor) -> None:
    found = attend(model, inputs[:1], method="legrad")
    assert (found.layer, found.layout) == ("the attention of all blocks", "tokens, 3 x 3")


def test_tokens_first(inputs: torch.Tensor) -> None:
    class Swapped(Transformer):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.scores(self.blocks(self.embedded(inputs).transpose(0, 1)).transpose(0, 1))

    class First(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.attention = nn.LayerNorm(WIDTH), nn.MultiheadAttention(WIDTH, HEADS)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            normal = self.norm(tokens)
            return tokens + self.attention(normal, normal, normal)[0]  # type: ignore[no-any-return]

    torch.manual_seed(0)
    first, last = Swapped().double().eval(), Transformer().double().eval()
    first.blocks = nn.Sequential(First(), First()).double().eval()
    last.load_state_dict(first.state_dict(), strict=False)
    for ours, theirs in zip(last.blocks, first.blocks, strict=True):
        ours.attention.qkv.weight, ours.attention.qkv.bias = (
            theirs.attention.in_proj_weight,
            theirs.attention.in_proj_bias,
        )
        ours.attention.out = theirs.attention.out_proj
        nn.init.zeros_(ours.mlp.weight)
        nn.init.zeros_(ours.mlp.bias)
    found = attend(first, inputs[:1], method="legrad", target=1)
    np.testing.assert_allclose(found.map, expected(last, inputs[0], 1), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("wrap", [torch.no_grad, lambda: torch.set_grad_enabled(False)])
def test_blocks_without_gradients(model: Transformer, inputs: torch.Tensor, wrap: Callable[[], Any]) -> None:
    class Frozen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            with wrap():
                return self.inner(inputs)  # type: ignore[no-any-return]

    found = attend(Frozen(), inputs[:1], method="legrad", target=1)
    np.testing.assert_allclose(found.map, expected(model, inputs[0], 1), rtol=1e-6, atol=1e-12)


def test_blocks_that_write_to_their_input(model: Transformer, inputs: torch.Tensor) -> None:
    truth = expected(model, inputs[0], 1)

    def in_place(block: Any) -> Callable[[torch.Tensor], torch.Tensor]:
        def forward(tokens: torch.Tensor) -> torch.Tensor:
            tokens += block.attention(block.norm(tokens))
            tokens += block.mlp(tokens).tanh()
            return tokens

        return forward

    for block in model.blocks:
        block.forward = in_place(block)
    found = attend(model, inputs[:1], method="legrad", target=1)
    np.testing.assert_allclose(found.map, truth, rtol=1e-6, atol=1e-12)


def state(model: nn.Module) -> list[Any]:
    return [
        [(name, vars(module).get("forward"), len(module._forward_hooks), module.training)
         for name, module in model.named_modules()],
        [(parameter.requires_grad, parameter.grad) for parameter in model.parameters()],
        torch.is_grad_enabled(),
        torch.get_rng_state().tolist(),
    ]  # fmt: skip


def test_model_comes_back_as_it_was(model: Transformer, inputs: torch.Tensor) -> None:
    model.train()
    model.norm.eval()
    model.head.weight.requires_grad_(False)
    before, values = state(model), [parameter.clone() for parameter in model.parameters()]
    attend(model, inputs[:1], method="legrad")
    assert state(model) == before
    assert all(map(torch.equal, model.parameters(), values))


def test_model_comes_back_as_it_was_after_an_error(model: Transformer, inputs: torch.Tensor) -> None:
    before = state(model)
    for fails_at in range(1, 6):
        calls = 0

        def fails(module: nn.Module, args: Any, output: Any, fails_at: int = fails_at) -> None:
            nonlocal calls
            calls += 1
            if calls == fails_at:
                raise RuntimeError("on purpose")

        handle = model.norm.register_forward_hook(fails)
        with pytest.raises(RuntimeError, match="on purpose"):
            attend(model, inputs[:1], method="legrad")
        handle.remove()
        assert state(model) == before
    # Scores; the blocks; their graph; and one for each of them.
    assert calls == fails_at


def refused(kind: type[CamError], model: Any, inputs: torch.Tensor, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        attend(model, inputs[:1], method="legrad", **options)
    return str(caught.value)


def test_network_without_attention_is_an_error(classifier: nn.Module, picture: torch.Tensor) -> None:
    found = refused(MethodError, classifier, picture)
    assert "found no attention over the patches of a 8 x 8 input in this Sequential" in found
    assert "torch.nn.functional.scaled_dot_product_attention" in found


def test_black_box_is_an_error(model: Transformer, inputs: torch.Tensor) -> None:
    found = refused(ModelError, lambda images: model(images), inputs)
    assert "legrad needs the layers of a torch.nn.Module" in found
    assert found.endswith("methods for any callable are 'rise' and 'occlusion'")


def test_layer_is_an_error(model: Transformer, inputs: torch.Tensor) -> None:
    found = refused(MethodError, model, inputs, layer="blocks.1")
    assert found.startswith("legrad explains the model as a whole and takes no layer, and layer is 'blocks.1'")


def test_windows_are_an_error(inputs: torch.Tensor) -> None:
    class Windowed(Transformer):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            tokens = self.embedded(inputs)
            rows = self.blocks[0](tokens[:, 1:].reshape(-1, SIDE, WIDTH)).reshape(len(inputs), -1, WIDTH)
            return self.scores(self.blocks[1](torch.cat([tokens[:, :1], rows], dim=1)))

    found = refused(MethodError, Windowed().double().eval(), inputs)
    assert "found attention over something else than all tokens: there is (3, 2, 3, 3)" in found


def test_blocks_that_do_not_follow_on_one_another_are_an_error(inputs: torch.Tensor) -> None:
    class Parallel(Transformer):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            tokens = self.embedded(inputs)
            return self.scores(self.blocks[0](tokens) + self.blocks[1](tokens))

    found = refused(MethodError, Parallel().double().eval(), inputs)
    assert "found that 'blocks.1' takes something else than what 'blocks.0' returns" in found


def test_block_that_runs_twice_is_an_error(model: Transformer, inputs: torch.Tensor) -> None:
    model.blocks[1] = model.blocks[0]
    found = refused(MethodError, model, inputs)
    assert "found attention in 'blocks.0.attention', and around it no module from 10 tokens to 10 tokens" in found


def test_score_that_reads_an_earlier_block_is_an_error(inputs: torch.Tensor) -> None:
    class Several(Transformer):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            first = self.blocks[0](self.embedded(inputs))
            return self.scores(self.blocks[1](first)) + self.scores(first)

    found = refused(MethodError, Several().double().eval(), inputs)
    assert "needs a score that reads what the last block, 'blocks.1', returns, and nothing of the blocks" in found


def test_score_that_does_not_depend_on_the_attention_is_an_error(model: Transformer, inputs: torch.Tensor) -> None:
    nn.init.zeros_(model.head.weight)
    found = refused(IndependentScoreError, model, inputs)
    assert "its gradient is exactly zero in all 2 blocks" in found
    assert "a head of zeros, as torchvision's transformers have before they are trained" in found


def test_detached_score_is_an_error(model: Transformer, inputs: torch.Tensor) -> None:
    model.head.register_forward_pre_hook(lambda module, args: (args[0].detach(),))
    found = refused(IndependentScoreError, model, inputs)
    assert "no path leads from it to the score" in found


def test_block_in_inference_mode_is_an_error(model: Transformer, inputs: torch.Tensor) -> None:
    model.blocks[0].forward = torch.inference_mode()(model.blocks[0].forward)
    found = refused(ModelError, model, inputs)
    assert "the model runs block 'blocks.0' under torch.inference_mode" in found


@pytest.mark.parametrize("use_reentrant", [True, False])
@pytest.mark.parametrize("given", [{"method": "legrad"}, {"method": "gradcam++", "layer": "blocks.0.norm"}])
@pytest.mark.parametrize("is_trained", [True, False])
def test_checkpointed_blocks_run_as_they_stand(
    model: Transformer, inputs: torch.Tensor, use_reentrant: bool, given: dict[str, Any], is_trained: bool
) -> None:
    class Checkpointed(Transformer):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            tokens = self.embedded(inputs)
            for block in self.blocks:
                tokens = checkpoint(block, tokens, use_reentrant=use_reentrant)
            return self.scores(tokens)

    checkpointed = Checkpointed().double().eval().requires_grad_(is_trained)
    checkpointed.load_state_dict(model.state_dict())
    plain = attend(model, inputs[0], target=2, **given).map
    np.testing.assert_allclose(attend(checkpointed, inputs[0], target=2, **given).map, plain, rtol=1e-6)
    assert plain.max() > 0


class Written(nn.Module):
    """A block of one head with its attention written out, in which each result may be overwritten in place."""

    def __init__(self, in_place: bool) -> None:
        super().__init__()
        self.norm, self.in_place = nn.LayerNorm(WIDTH), in_place

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        normal = self.norm(tokens)[:, None]
        probabilities = (normal @ normal.mT).softmax(dim=-1)
        probabilities = probabilities.mul_(2) if self.in_place else 2 * probabilities
        return (probabilities @ normal)[:, 0].tanh()  # type: ignore[no-any-return]


class Doubled(Transformer):
    """What reads the tokens doubles them first, perhaps in place; tanh needs them for its gradient as they were."""

    def __init__(self, in_place: bool) -> None:
        super().__init__()
        self.blocks, self.in_place = nn.Sequential(Written(in_place), Written(in_place)), in_place

    def scores(self, tokens: torch.Tensor) -> torch.Tensor:
        return super().scores(tokens.mul_(2) if self.in_place else 2 * tokens)


def test_probabilities_and_tokens_may_be_overwritten(inputs: torch.Tensor) -> None:
    model = Doubled(in_place=False).double().eval()
    other = Doubled(in_place=True).double().eval()
    other.load_state_dict(model.state_dict())
    separate = attend(model, inputs[:1], method="legrad", target=1).map
    assert separate.max() > 0
    np.testing.assert_allclose(attend(other, inputs[:1], method="legrad", target=1).map, separate, rtol=1e-6)


def test_each_pass_begins_with_the_models_own_buffers(model: Transformer, inputs: torch.Tensor) -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model
            self.register_buffer("passes", torch.ones(()))

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            scores = self.inner(inputs) * float(self.passes)
            self.passes *= 3
            return scores  # type: ignore[no-any-return]

    found = attend(Counting(), inputs[:1], method="legrad", target=1)
    np.testing.assert_allclose(found.map, expected(model, inputs[0], 1), rtol=1e-6, atol=1e-12)


def test_other_arguments_go_with_their_image(model: Transformer, inputs: torch.Tensor) -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, inputs: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
            return self.inner(inputs) * factors[:, None]  # type: ignore[no-any-return]

    factors = torch.tensor([2.0, 5.0], dtype=torch.float64)
    both = attend_batch(Scaled(), inputs, method="legrad", target=1, model_kwargs={"factors": factors})
    for image, factor, found in zip(inputs, (2, 5), both, strict=True):
        np.testing.assert_allclose(found.map, factor * expected(model, image, 1), rtol=1e-6, atol=1e-12)
