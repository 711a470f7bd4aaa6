"""The attention blocks of a vision transformer, found by what runs in a forward pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from pytest_cam.engine.passes.forward import plainly
from pytest_cam.engine.reading.layouts import Layout
from pytest_cam.engine.reading.nested import tensors_in
from pytest_cam.engine.reading.reader import Reader
from pytest_cam.engine.replaying.recording import each_forward
from pytest_cam.engine.subject import Subject
from pytest_cam.engine.transformers.attention_probabilities import SeenAttention
from pytest_cam.errors import MethodError, is_ours

__tracebackhide__ = is_ours

_ACCEPTED = (
    "accepted: a vision transformer whose blocks run one after another, each with one attention of all tokens to all "
    "tokens, by torch.nn.functional.scaled_dot_product_attention, nn.MultiheadAttention or a softmax that is written "
    "out; for other models, 'gradcam++'"
)


@dataclass(frozen=True, eq=False)
class Blocks:
    """The attention blocks of a model, in the order in which they run.

    Attributes:
        modules: The blocks.
        names: Their dotted names.
        tokens: How many tokens n each takes and returns, for one image as (1, n, C) or (n, 1, C).
        layout: How the tokens lie on the grid.
    """

    modules: list[nn.Module]
    names: list[str]
    tokens: int
    layout: Layout

    def has_whole(self, probabilities: torch.Tensor) -> bool:
        """Return whether attention probabilities are those of all tokens to all tokens."""
        return _is_whole(probabilities.shape, self.tokens)

    def tokens_in(self, value: Any) -> torch.Tensor:
        """Return the tokens in what a block is given or returns, (1, n, C) or (n, 1, C)."""
        return next(_sequences(value, self.tokens))


def blocks_of(subject: Subject, inputs: torch.Tensor, method: str) -> Blocks:
    """Run the model once, without gradients, and return its attention blocks.

    A block is the outermost module with one attention in it, from tokens to as many tokens. Attention that pools all
    tokens by one query is no block's.

    Args:
        subject: The model.
        inputs: One image, (1, C, H, W).
        method: The name of what asks, for the messages.

    Raises:
        MethodError: There is no attention over the patches, or some of it is over other things, as over windows; or the
            blocks do not follow on one another.
        LayerError: The tokens read as a grid in several ways.
    """
    watch = _Watch()
    watched = each_forward(subject.module_state.modules, watch.run)
    with plainly(subject.state), torch.no_grad(), SeenAttention(watch.see), watched:
        subject.call(inputs)
    return _Search(subject.module, subject.reader(inputs), tuple(inputs.shape[2:]), method, watch).blocks()


@dataclass(frozen=True, eq=False)
class _Attention:
    """One attention: the shape of its probabilities, and the modules that were running, the outermost first."""

    shape: torch.Size
    path: tuple[nn.Module, ...]


class _Watch:
    """Sees a forward pass.

    Attributes:
        attentions: What looks like attention, in the order in which it ran.
        executions: What modules with attention in them were given and returned, when they last ran.
    """

    def __init__(self) -> None:
        self._running: list[nn.Module] = []
        self.attentions: list[_Attention] = []
        self.executions: dict[nn.Module, tuple[Any, Any]] = {}

    def see(self, probabilities: torch.Tensor) -> torch.Tensor:
        """Note attention probabilities and the modules that run."""
        self.attentions.append(_Attention(probabilities.shape, tuple(self._running)))
        return probabilities

    def run(self, module: nn.Module, own: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a module as it is, and note what it is given and returns."""
        before = len(self.attentions)
        self._running.append(module)
        try:
            output = own(*args, **kwargs)
        finally:
            self._running.pop()
        if len(self.attentions) > before:
            self.executions[module] = (args, kwargs), output
        return output


@dataclass(frozen=True, eq=False)
class _Search:
    """Looks for the blocks in what was seen."""

    model: nn.Module
    reader: Reader
    size: tuple[int, ...]
    method: str
    watch: _Watch

    def blocks(self) -> Blocks:
        whole = [each for each in self.watch.attentions if self._is_of_patches(each.shape)]
        if not whole:
            raise self._error(
                f"found no attention over the patches of a {self.size[0]} x {self.size[1]} input in this "
                f"{type(self.model).__name__}{self._of_others(self.watch.attentions)}. Kernels of other packages, as "
                "xFormers and flash-attn, are not seen: switch them off"
            )
        tokens = whole[0].shape[-1]
        others = [each for each in self.watch.attentions if _is_other(each.shape, tokens)]
        if others:
            raise self._error(f"found attention over something else than all tokens{self._of_others(others)}")
        modules = self._outermost(whole, tokens)
        self._require_chain(modules, tokens)
        names = self._names(modules)
        formed = next(_sequences(self.watch.executions[modules[-1]][1], tokens))
        layout = self.reader.read(
            formed if formed.shape[1] == tokens else formed.transpose(0, 1), modules[-1], names[-1]
        )
        return Blocks(modules, names, tokens, layout)

    def _is_of_patches(self, shape: torch.Size) -> bool:
        tokens = shape[-1]
        return _is_whole(shape, tokens) and (
            self.reader.is_told or bool(self.reader.readings(torch.empty(1, tokens, 1)))
        )

    def _outermost(self, attentions: list[_Attention], tokens: int) -> list[nn.Module]:
        """Return for each attention the outermost module with no other one in it, from tokens to tokens."""
        within = Counter(module for each in attentions for module in each.path)
        found = []
        for each in attentions:
            alone = (module for module in each.path if within[module] == 1 and self._is_from_tokens(module, tokens))
            block = next(alone, None)
            if block is None:
                raise self._error(
                    f"found attention in {self._names(list(each.path[-1:]))[0]!r}, and around it no module from "
                    f"{tokens} tokens to {tokens} tokens that holds and runs this attention only"
                )
            found.append(block)
        return found

    def _is_from_tokens(self, module: nn.Module, tokens: int) -> bool:
        return all(next(_sequences(value, tokens), None) is not None for value in self.watch.executions[module])

    def _require_chain(self, modules: list[nn.Module], tokens: int) -> None:
        names = self._names(modules)
        for number in range(1, len(modules)):
            returned = next(_sequences(self.watch.executions[modules[number - 1]][1], tokens))
            given = next(_sequences(self.watch.executions[modules[number]][0], tokens))
            if given is not returned:
                raise self._error(
                    f"found that {names[number]!r} takes something else than what {names[number - 1]!r} returns"
                )

    def _names(self, modules: list[nn.Module]) -> list[str]:
        known = {module: name for name, module in self.model.named_modules()}
        return [known.get(module) or type(module).__name__ for module in modules]

    def _of_others(self, attentions: list[_Attention]) -> str:
        shapes = list(dict.fromkeys(tuple(each.shape) for each in attentions))
        if not shapes:
            return ""
        more = f" and {len(shapes) - 3} others" if len(shapes) > 3 else ""
        return f": there is {', '.join(map(str, shapes[:3]))}{more}, each (windows, heads, queries, keys) or the like"

    def _error(self, what: str) -> MethodError:
        return MethodError(f"{self.method} needs the attention blocks of a vision transformer, and {what}; {_ACCEPTED}")


def _is_whole(shape: torch.Size, tokens: int) -> bool:
    # Of one image: (1, heads, n, n) or (heads, n, n).
    return shape[-2:] == (tokens, tokens) and tokens > 1 and (len(shape) == 3 or (len(shape) == 4 and shape[0] == 1))


def _is_other(shape: torch.Size, tokens: int) -> bool:
    is_pooling = shape[-2] == 1
    is_gate = len(shape) == 3 and shape[-1] != shape[-2]
    return not (is_pooling or is_gate or _is_whole(shape, tokens))


def _sequences(value: Any, tokens: int) -> Iterator[torch.Tensor]:
    return (each for each in tensors_in(value) if each.ndim == 3 and each.shape[:2] in ((1, tokens), (tokens, 1)))
