"""The gradient at the attention of each block, of the score that the model's own head gives on that block's tokens."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from pytest_cam.engine.passes.backward import gradients_at
from pytest_cam.engine.passes.forward import frozen, plainly
from pytest_cam.engine.passes.tap import under_inference_mode
from pytest_cam.engine.reading.answer import exact
from pytest_cam.engine.reading.nested import mapped
from pytest_cam.engine.replaying.recording import Forward, each_forward
from pytest_cam.engine.scores.finite import largest
from pytest_cam.engine.scores.independent import score_of
from pytest_cam.engine.scores.targets import Scores, Target
from pytest_cam.engine.subject import Subject
from pytest_cam.engine.transformers.attention_blocks import Blocks, blocks_of
from pytest_cam.engine.transformers.attention_probabilities import SeenAttention
from pytest_cam.errors import IndependentScoreError, MethodError, is_ours

__tracebackhide__ = is_ours


def attention_gradients(subject: Subject, inputs: torch.Tensor, target: Target, method: str) -> list[torch.Tensor]:
    """Return d s_l / d A_l for each attention block l of a vision transformer.

    A_l are the block's attention probabilities, (heads, n, n), and s_l is the score of the target where the model's
    head reads the tokens z_l that the block returns, in place of the last block's: what comes after the last block, as
    normalisation, pooling and classifier, runs once for each block.

    One pass finds the blocks; a second one keeps A_l, z_l and the graph from one to the other, but none across blocks;
    then the model runs once for each block with no block in it. No gradient of a parameter is computed.

    Args:
        subject: The model, for one image.
        inputs: The image, (1, C, H, W).
        target: What is explained.
        method: The name of what asks, for the messages.

    Returns:
        For each block (heads, n, h, w), float32 or float64: a gradient for each query, and for those keys that are
        patches, on their grid.

    Raises:
        MethodError: As for `blocks_of`; or the score reads something else than what the last block returns.
        ModelError: The model runs a block under `inference_mode`.
        IndependentScoreError: The score does not depend on the attention.
        NonFiniteError: A gradient is NaN or infinite.
    """
    blocks = blocks_of(subject, inputs, method)
    formation = _Formation(blocks)

    def scores(forward: Forward) -> Scores:
        # Before the pass, not after it: its graph may need a buffer as the pass has left it.
        subject.state.rewind()
        with each_forward(blocks.modules, forward):
            output = subject.call(inputs)
        # The model may have left gradients switched off, although its output has one.
        with torch.enable_grad():
            return subject.scores(output, [target])

    # What pools the tokens may do so by attention, which is computed in one way in all passes.
    with plainly(subject.state), torch.enable_grad(), frozen(subject.module), SeenAttention(formation.see):
        whole = scores(formation.run)
        found = [formation.gradient(number, scores) for number in range(len(blocks.modules))]
    # The same operations on the same numbers; only kernels that sum in no fixed order may differ in the last digits.
    if not math.isclose(formation.last_score, whole.explained[0].score, rel_tol=1e-3):
        raise MethodError(
            f"{method} needs a score that reads what the last block, {blocks.names[-1]!r}, returns, and nothing of the "
            f"blocks before it; without these it is {formation.last_score:.6g} here in place of "
            f"{whole.explained[0].score:.6g}. For this model, take another method, as 'gradcam++'"
        )
    if not any(bool(each.any()) for each in found):
        raise IndependentScoreError(
            f"{score_of(whole.explained[0].name)} does not depend on the attention: its gradient is exactly zero in "
            f"all {len(found)} blocks. Explain a logit, not a probability; or the model has a head of zeros, as "
            "torchvision's transformers have before they are trained"
        )
    return found


class _Formation:
    """How the blocks form their tokens from their attention, from one forward pass.

    Args:
        blocks: The blocks.

    Attributes:
        last_score: The score that was differentiated last.
    """

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._last = blocks.modules[-1]
        self._running: nn.Module | None = None
        self._attention: dict[nn.Module, torch.Tensor] = {}
        self._tokens: dict[nn.Module, torch.Tensor] = {}
        self._outputs: dict[nn.Module, Any] = {}
        self.last_score = float("nan")

    def see(self, probabilities: torch.Tensor) -> torch.Tensor:
        """Make a block's attention probabilities the place where its graph begins."""
        if self._running is None or not self._blocks.has_whole(probabilities):
            return probabilities
        if torch.is_inference_mode_enabled():
            block = self._blocks.names[self._blocks.modules.index(self._running)]
            raise under_inference_mode(f"block {block!r}")
        torch.set_grad_enabled(True)
        leaf = self._attention[self._running] = probabilities.detach().requires_grad_()
        return leaf.clone()

    def run(self, block: nn.Module, own: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a block and keep its tokens, which go on to the next block without their graph."""
        self._running = block
        output = own(*args, **kwargs)
        self._running = None
        tokens = self._tokens[block] = self._blocks.tokens_in(output)
        self._outputs[block] = output
        # A copy, since what follows may write to it.
        return _with(output, tokens, (tokens if block is self._last else tokens.detach()).clone())

    def gradient(self, number: int, scores: Callable[[Forward], Scores]) -> torch.Tensor:
        """Return d s_l / d A_l, (heads, n, h, w), for block l.

        Args:
            number: Which block, from 0.
            scores: From what stands for the blocks' forward to the score.
        """
        name, formed = self._blocks.names[number], self._tokens[self._blocks.modules[number]]

        def skip(block: nn.Module, own: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if block is self._last:
                torch.set_grad_enabled(True)
                tokens = formed.clone()
            else:
                tokens = self._blocks.tokens_in((args, kwargs))
            return _with(self._outputs[block], self._tokens[block], tokens)

        found = scores(skip)
        self.last_score = found.explained[0].score
        (gradient,) = gradients_at([self._attention[self._blocks.modules[number]]], found)
        if gradient is None:
            raise IndependentScoreError(
                f"{score_of(found.explained[0].name)} does not depend on the attention in block {name}: no path "
                "leads from it to the score (a detach() or a no_grad block on the way)"
            )
        largest("gradients", gradient[None], [f"of {found.explained[0].name} at the attention in block {name}"])
        by_key = exact(gradient).reshape(-1, *gradient.shape[-2:]).transpose(1, 2)
        heads, keys, queries = by_key.shape
        cells = self._blocks.layout.on_grid(by_key.transpose(0, 1).reshape(1, keys, heads * queries))
        return cells.reshape(heads, queries, *cells.shape[2:])


def _with(output: Any, old: torch.Tensor, new: torch.Tensor) -> Any:
    return mapped(output, lambda tensor: new if tensor is old else tensor)
