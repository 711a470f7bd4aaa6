"""The part after a layer, run alone: it gives what the whole model gives, or the whole model runs."""

from __future__ import annotations

import copy
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from pytest_cam.engine.replaying.replay import Replay
from pytest_cam.errors import LayerError

Pair = namedtuple("Pair", ["features", "side"])


class Residual(nn.Module):
    """A stem, a body that may write to what it is given, and a head; the stem's output skips the body."""

    def __init__(self, joined: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.stem, self.early = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU()
        self.layer, self.head = nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, 5)
        self.joined = joined

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.early(self.stem(images))
        return self.head(self.joined(features, self.layer(features)).mean(dim=(2, 3)))


def whole(model: nn.Module, layer: nn.Module, inputs: torch.Tensor, changed: torch.Tensor, at: int = 1) -> Any:
    """Return the model's output with the layer's `at`-th output replaced, by a plain hook."""
    calls = 0

    def replace(module: nn.Module, args: Any, output: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls != at:
            return None
        if isinstance(output, torch.Tensor):
            return changed.clone()
        if isinstance(output, dict):
            return {**output, "features": changed.clone()}
        items = [changed.clone(), *output[1:]]
        return type(output)(*items) if hasattr(output, "_make") else type(output)(items)

    handle = layer.register_forward_hook(replace)
    torch.backends.mha.set_fastpath_enabled(False)  # with torch 2.4 it skips hooks
    try:
        with torch.no_grad():
            return model(inputs.expand(len(changed), -1, -1, -1).clone())
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
        handle.remove()


def versions(replay: Replay, number: int) -> torch.Tensor:
    own = replay._own
    return own * torch.rand(number, *own.shape[1:], generator=torch.Generator().manual_seed(number))


def forwards(model: nn.Module) -> list[Any]:
    return [vars(module).get("forward", "none of its own") for module in model.modules()]


def replays(model: nn.Module, layer: nn.Module, inputs: torch.Tensor, at: int = 1) -> Replay:
    """Make a replay and require that it gives, several times over, what the whole model gives.

    All that there is to assert of most models is asserted here.
    """
    replay = Replay(model, layer, model, inputs)
    assert (replay.is_sound, replay.why) == (True, "")
    before, kept = forwards(model), inputs.clone()
    for number in (3, 1, 4):
        changed = versions(replay, number)
        given = changed.clone()
        found, expected = replay(changed), whole(model, layer, inputs, changed, at)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
        assert torch.equal(changed, given)
    assert replay.is_sound
    assert forwards(model) == before
    assert torch.equal(inputs, kept)
    return replay


@pytest.fixture
def picture() -> torch.Tensor:
    return torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(1))


JOINS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "sum": lambda skip, features: skip + features,
    "skip is added to": lambda skip, features: skip.add_(features),
    "features are added to": lambda skip, features: features.add_(skip),
    "skip is rectified": lambda skip, features: functional.relu(skip, inplace=True) * features,
    "layer's output is rectified": lambda skip, features: functional.relu(features, inplace=True) + skip,
    "skip is masked": lambda skip, features: skip.masked_fill_(features > 0, 0.5) + features,
    "written behind the version": lambda skip, features: skip.data.mul_(2) + features,
    "skip is seen as one batch": lambda skip, features: skip.view(-1, 8, 8).reshape(features.shape) + features,
    "half of the skip is written to": lambda skip, features: torch.cat([skip[:, :2].neg_(), skip[:, 2:]], 1) + features,
}


@pytest.mark.parametrize("join", JOINS)
@pytest.mark.filterwarnings("default:Use of masked_fill_ on expanded tensors")
def test_what_is_kept_survives_what_is_done_to_it(join: str, picture: torch.Tensor) -> None:
    model = Residual(JOINS[join]).eval()
    replays(model, model.layer, picture)


def test_input_that_the_model_writes_to_survives(picture: torch.Tensor) -> None:
    class Centred(Residual):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            images -= 0.5
            return super().forward(images) + images.mean(dim=(1, 2, 3))[:, None]

    model = Centred(JOINS["sum"]).eval()
    replays(model, model.layer, picture)


def test_nothing_before_the_layer_runs_nor_the_layer_nor_what_is_in_it(picture: torch.Tensor) -> None:
    model = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()),
        nn.Sequential(nn.BatchNorm2d(4), nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU())),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    ).eval()
    replay = Replay(model, model[1][1], model, picture)
    ran: list[str] = []
    for name, module in model.named_modules():
        module.register_forward_hook(lambda *_, name=name: ran.append(name))
    changed = versions(replay, 2)
    replay(changed)
    # The hooks of modules that are not run see their kept outputs go by; those within them see nothing.
    assert ran == ["0", "1.0", "1.1", "1", "2", "3", ""]


def test_kept_modules_compute_nothing(picture: torch.Tensor) -> None:
    model = Residual(JOINS["sum"]).eval()
    replay = Replay(model, model.layer, model, picture)
    changed = versions(replay, 2)
    expected = replay(changed)
    with torch.no_grad():
        model.stem.weight.fill_(float("nan"))
        model.layer.weight.fill_(float("nan"))
    assert torch.equal(replay(changed), expected)
    assert replay.is_sound
    with torch.no_grad():
        model.head.weight.zero_()
    assert torch.equal(replay(changed), model.head.bias.expand(2, -1))


class Repeated(nn.Module):
    """A block that runs three times, with one ReLU for all."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.block, self.relu, self.head = nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(inplace=True), nn.Linear(3, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        for number in range(3):
            images = self.relu(self.block(images) + number)
        return self.head(images.mean(dim=(2, 3)))


@pytest.mark.parametrize("layer", ["block", "relu"])
def test_last_of_several_executions_is_replaced(layer: str, picture: torch.Tensor) -> None:
    model = Repeated().eval()
    replay = replays(model, model.get_submodule(layer), picture, at=3)
    assert sum(step.is_kept for step in replay._steps) == {"block": 4, "relu": 5}[layer]


@pytest.mark.parametrize(("layer", "executions"), [("block", 3), ("relu", 3)])
def test_last_of_several_executions_is_replaced_in_the_whole_model(
    layer: str, executions: int, picture: torch.Tensor
) -> None:
    model = Repeated().eval()
    module = model.get_submodule(layer)
    model.head.register_forward_hook(lambda *_: None)  # for which the whole model runs
    replay = Replay(model, module, model, picture)
    assert not replay.is_sound
    changed = versions(replay, 2)
    assert torch.equal(replay(changed), whole(model, module, picture, changed, at=executions))


class Twice(nn.Module):
    """Runs one layer two times, and reads both outputs; it draws a number, so it is run whole."""

    def __init__(self, most: int = 99) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.layer, self.most = nn.Conv2d(3, 3, 3, padding=1), most

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        torch.rand(1)
        first = self.layer(images)
        return (first + self.layer(first).mul_(2) if len(images) <= self.most else first).mean(dim=(2, 3))


def test_only_the_last_of_several_executions_is_replaced_in_the_whole_model(picture: torch.Tensor) -> None:
    model = Twice().eval()
    replay = Replay(model, model.layer, model, picture)
    assert replay.why == "the model draws random numbers"
    changed = torch.rand(2, 3, 8, 8)
    given = changed.clone()
    with torch.no_grad():
        expected = (model.layer(picture) + 2 * given).mean(dim=(2, 3))
    torch.testing.assert_close(replay(changed), expected)
    assert torch.equal(changed, given)


def test_layer_that_runs_less_often_in_a_batch_is_an_error(picture: torch.Tensor) -> None:
    model = Twice(most=1).eval()
    replay = Replay(model, model.layer, model, picture)
    with pytest.raises(LayerError, match="'layer' ran 1 times in a batch of 3, and 2 times in a batch of one"):
        replay(torch.rand(3, 3, 8, 8))


class InPlace(nn.Module):
    """The layer writes to its input, which is read once more."""

    def __init__(self, *, draws: bool) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.stem, self.layer, self.draws = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True), draws

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.draws:
            torch.rand(1)
        features = self.stem(images)
        return (features + 2 * self.layer(features)).mul_(3).mean(dim=(2, 3))


@pytest.mark.parametrize("draws", [False, True])
def test_what_a_layer_writes_to_in_place_is_replaced_with_its_output(draws: bool, picture: torch.Tensor) -> None:
    model = InPlace(draws=draws).eval()
    replay = Replay(model, model.layer, model, picture)
    changed = torch.rand(2, 4, 8, 8)
    given = changed.clone()
    # The input of the layer is its output: both are what it is changed to.
    torch.testing.assert_close(replay(changed), 9 * given.mean(dim=(2, 3)))
    assert torch.equal(changed, given)


class Several(nn.Module):
    """A layer that returns more than one thing, of which the model reads two."""

    def __init__(self, kind: Callable[[torch.Tensor, torch.Tensor], Any]) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, images: torch.Tensor) -> Any:
        return self.kind(images * 2, images.mean(dim=(2, 3)))


class Reads(nn.Module):
    def __init__(self, kind: Callable[[torch.Tensor, torch.Tensor], Any]) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.first, self.layer, self.head = Several(kind), Several(kind), nn.Linear(3, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        (features, side), (_, before) = _parts(self.layer(images)), _parts(self.first(images))
        return self.head(features.amax(dim=(2, 3)) + side + before)


def _parts(output: Any) -> tuple[torch.Tensor, torch.Tensor]:
    values = output.values() if isinstance(output, dict) else output
    first, second = values
    return first, second[0] if isinstance(second, list) else second


@pytest.mark.parametrize(
    "kind",
    [
        lambda features, side: (features, side),
        lambda features, side: [features, [side, None, "name"]],
        lambda features, side: {"features": features, "side": side},
        lambda features, side: Pair(features, side),
    ],
    ids=["tuple", "lists", "dict", "named tuple"],
)
def test_outputs_of_several_parts_keep_their_other_parts(kind: Any, picture: torch.Tensor) -> None:
    model = Reads(kind).eval()
    replays(model, model.layer, picture)


def test_pick_says_which_part_is_replaced(picture: torch.Tensor) -> None:
    model = Reads(lambda features, side: (features, side)).eval()
    replay = Replay(model, model.layer, model, picture, pick=lambda output: output[1])
    assert replay.is_sound
    zero = replay(torch.zeros(2, 3))
    one = replay(torch.ones(2, 3))
    torch.testing.assert_close(one - zero, model.head.weight.sum(dim=1).expand(2, -1))


class Dropping(Residual):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return functional.dropout(super().forward(images), 0.5, training=True)


class Counting(Residual):
    def __init__(self) -> None:
        super().__init__(JOINS["sum"])
        self.register_buffer("passes", torch.zeros(()))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.passes += 1
        return super().forward(images)


class Opaque:
    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor


class Wrapping(Residual):
    """Its stem returns an object that nobody can look into."""

    def __init__(self) -> None:
        super().__init__(JOINS["sum"])
        self.stem = nn.Sequential(self.stem, _Wrap())
        self.early = _Unwrap()


class _Wrap(nn.Module):
    def forward(self, images: torch.Tensor) -> Opaque:
        return Opaque(images)


class _Unwrap(nn.Module):
    def forward(self, opaque: Opaque) -> torch.Tensor:
        return opaque.tensor


class Overwriting(Residual):
    """Rectifies its features in place, in a module, after it took note of them under another name."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.stem(images)
        self.early(features)
        return self.head((features + self.layer(features)).mean(dim=(2, 3)))


def _overwriting() -> nn.Module:
    model = Overwriting(JOINS["sum"])
    model.early = nn.ReLU(inplace=True)
    return model


def _hooked() -> nn.Module:
    model = Residual(JOINS["sum"])
    model.stem.register_forward_hook(lambda module, args, output: output * 2)
    return model


def _noisy() -> nn.Module:
    return Dropping(JOINS["sum"])


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (_noisy, "draws random numbers"),
        (Counting, "changes its buffers"),
        (_hooked, "forward hooks on 'stem'"),
        (Wrapping, "'stem' returns a Opaque"),
    ],
)
def test_model_that_cannot_be_replayed_runs_whole(
    make: Callable[[], nn.Module], why: str, picture: torch.Tensor
) -> None:
    model = make().eval()
    replay = Replay(model, model.layer, model, picture)
    assert not replay.is_sound
    assert why in replay.why
    changed = versions(replay, 3)
    torch.manual_seed(6)
    found = replay(changed)
    torch.manual_seed(6)
    assert torch.equal(found, whole(model, model.layer, picture, changed))
    ran: list[Any] = []
    model.stem.register_forward_hook(lambda *_: ran.append(1))
    replay(changed)
    assert ran == [1]


class Branching(Residual):
    """Takes another way where the layer's output is large."""

    def __init__(self, again: str) -> None:
        super().__init__(JOINS["sum"])
        self.large, self.again = nn.Linear(4, 5), again

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.early(self.stem(images))
        changed = self.layer(features)
        is_large = bool(changed.amax() > 50)
        if is_large and self.again == "kept":
            changed = self.early(changed)
        if is_large and self.again == "ends":
            return changed.mean(dim=(2, 3))
        head = self.large if is_large and self.again == "other" else self.head
        return head(changed.mean(dim=(2, 3)))


@pytest.mark.parametrize(
    ("again", "why"),
    [("kept", "'early' instead of 'head'"), ("other", "'large' instead of 'head'"), ("ends", "the end instead of")],
)
def test_model_that_goes_another_way_runs_whole_from_then_on(again: str, why: str, picture: torch.Tensor) -> None:
    model = Branching(again).eval()
    replay = Replay(model, model.layer, model, picture)
    assert replay.is_sound
    small = versions(replay, 2)
    large = small + 100
    before = replay(small)
    torch.testing.assert_close(before, whole(model, model.layer, picture, small))
    assert replay.is_sound
    assert torch.equal(replay(large), whole(model, model.layer, picture, large))
    assert not replay.is_sound
    assert why in replay.why
    torch.testing.assert_close(replay(small), before)


def test_model_that_swallows_errors_is_seen_through(picture: torch.Tensor) -> None:
    class Swallowing(Branching):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            try:
                return super().forward(images)
            except Exception:
                return torch.zeros(len(images), 5)

    model = Swallowing("kept").eval()
    replay = Replay(model, model.layer, model, picture)
    large = versions(replay, 2) + 100
    assert torch.equal(replay(large), whole(model, model.layer, picture, large))
    assert not replay.is_sound


def test_model_that_is_replaced_in_place_before_the_layer_is_right_either_way(picture: torch.Tensor) -> None:
    # The ReLU runs as a module and writes to what the skip reads; a replay leaves that out, and must notice.
    model = _overwriting().eval()
    replay = Replay(model, model.layer, model, picture)
    changed = versions(replay, 3)
    expected = whole(model, model.layer, picture, changed)
    torch.testing.assert_close(replay(changed), expected)


class Checked(Residual):
    """Rectifies in place, in a module, what is read once more: replayed, what is read has not been rectified.

    Args:
        scores: From what is read and the layer's output to what the model returns.
    """

    def __init__(self, scores: Callable[[torch.Tensor, torch.Tensor], Any]) -> None:
        super().__init__(JOINS["sum"])
        self.early, self.layer, self.scores = nn.ReLU(inplace=True), nn.AvgPool2d(3, 1, 1), scores

    def forward(self, images: torch.Tensor) -> Any:
        features = self.stem(images)
        self.early(features)
        return self.scores(features, self.layer(features))


@pytest.mark.parametrize(
    ("scores", "sign", "why"),
    [
        # The layer's own output is positive: its negative shows nothing of what is read, or only that does.
        (
            lambda read, averaged: averaged.relu() * read,
            1,
            "replaying the layer's own output does not give the model's",
        ),
        (lambda read, averaged: averaged.neg().relu() * read.abs(), -1, "replaying another output does not give"),
        # Where nothing can be compared, nothing shows that a replay is right.
        (lambda read, averaged: Opaque(averaged * read), 1, "the model returns no tensors to compare"),
    ],
)
def test_model_that_a_replay_would_get_wrong_runs_whole(
    scores: Any, sign: int, why: str, picture: torch.Tensor
) -> None:
    model = Checked(scores).eval()
    replay = Replay(model, model.layer, model, picture)
    changed = sign * versions(replay, 3)
    found, expected = replay(changed), whole(model, model.layer, picture, changed)
    if isinstance(found, Opaque):
        found, expected = found.tensor, expected.tensor
    assert expected.any()
    torch.testing.assert_close(found, expected)
    assert replay.why.startswith(why)


class _Weights(nn.Module):
    """Returns a weight for each channel, (1, C), which is that of no image."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.rand(1, 4))

    def forward(self) -> torch.Tensor:
        return self.weights.softmax(dim=1)


class Weighted(Residual):
    """Weighs its channels by what a module returns that begins with 1, as if it were a batch of one image."""

    def __init__(self, weigh: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__(JOINS["sum"])
        self.weights, self.weigh = _Weights(), weigh

    def forward(self, images: torch.Tensor) -> Any:
        weights = self.weights()
        features = self.layer(self.stem(images)) * self.weigh(weights)[:, None, None]
        return self.head(features.mean(dim=(2, 3))), torch.tensor(len(weights))


@pytest.mark.parametrize(
    ("weigh", "why"),
    [
        # For a batch of three the weights would be repeated, and their sum three times what it is; or fit nothing; or
        # their number, which is returned, too, would be another.
        (lambda weights: weights.sum(dim=0), "replaying the layer's own output twice in a batch does not give"),
        (lambda weights: weights.squeeze(0), "a replay raised RuntimeError"),
        (lambda weights: weights.mean(dim=0), "replaying the layer's own output twice in a batch does not give"),
    ],
)
def test_what_is_kept_of_no_image_is_not_replayed_for_several(weigh: Any, why: str, picture: torch.Tensor) -> None:
    model = Weighted(weigh).eval()
    replay = Replay(model, model.layer, model, picture)
    assert replay.why.startswith(why)
    changed = versions(replay, 3)
    torch.testing.assert_close(replay(changed), whole(model, model.layer, picture, changed))


def test_scores_that_are_not_finite_are_no_reason_to_run_whole(picture: torch.Tensor) -> None:
    class Masked(Residual):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            masked = torch.tensor([0.0, 1.0, float("-inf"), float("inf"), float("nan")])
            return super().forward(images) + masked

    model = Masked(JOINS["sum"]).eval()
    replay = Replay(model, model.layer, model, picture)
    assert (replay.is_sound, replay.why) == (True, "")


@pytest.mark.parametrize(
    ("place", "why"),
    [
        (lambda model, hook: model.stem.register_forward_pre_hook(hook), "there are forward hooks on 'stem'"),
        (lambda model, hook: register_module_forward_pre_hook(hook), "there are forward hooks on all modules"),
        (lambda model, hook: register_module_forward_hook(hook), "there are forward hooks on all modules"),
    ],
)
def test_hooks_of_the_user_see_what_a_replay_would_leave_out(place: Any, why: str, picture: torch.Tensor) -> None:
    model = Residual(JOINS["sum"]).eval()
    model.stem = nn.Sequential(model.stem)
    seen: list[nn.Module] = []
    handle = place(model, lambda module, *_: seen.append(module))
    try:
        replay = Replay(model, model.layer, model, picture)
        seen.clear()
        replay(versions(replay, 2))
    finally:
        handle.remove()
    assert replay.why == why
    assert model.stem in seen
    assert why.endswith("'stem'") or model.stem[0] in seen


def test_error_of_the_model_leaves_it_as_it_was(picture: torch.Tensor) -> None:
    class Failing(Residual):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            scores = super().forward(images)
            if not bool(scores.isfinite().all()):
                raise KeyError("not finite")
            return scores

    model = Failing(JOINS["skip is added to"]).eval()
    own = model.early.forward
    model.early.forward = own  # an attribute of the instance, which must be there afterwards
    before, is_fast = forwards(model), torch.backends.mha.get_fastpath_enabled()
    replay = Replay(model, model.layer, model, picture)
    changed = versions(replay, 2)
    with pytest.raises(KeyError, match="not finite"):
        replay(changed * float("nan"))
    assert forwards(model) == before
    assert not model.layer._forward_hooks
    assert torch.is_grad_enabled()
    assert torch.backends.mha.get_fastpath_enabled() == is_fast
    torch.testing.assert_close(replay(changed), whole(model, model.layer, picture, changed))
    with pytest.raises(KeyError, match="not finite"):
        Replay(model, model.layer, model, picture * float("nan"))
    assert forwards(model) == before


def test_shortage_of_memory_reaches_the_caller_and_changes_nothing(picture: torch.Tensor) -> None:
    class Greedy(Residual):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            torch.empty(2**50 if len(images) > 2 else 1)
            return super().forward(images)

    model = Greedy(JOINS["sum"]).eval()
    replay = Replay(model, model.layer, model, picture)
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        replay(versions(replay, 3))
    assert replay.is_sound
    assert not replay._lender.copies_all
    changed = versions(replay, 2)
    torch.testing.assert_close(replay(changed), whole(model, model.layer, picture, changed))


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_mode_of_the_caller_does_not_matter(mode: Any, picture: torch.Tensor) -> None:
    model = Residual(JOINS["skip is added to"]).eval()
    with mode():
        replay = Replay(model, model.layer, model, picture.clone())
        changed = versions(replay, 2)
        found = replay(changed)
    assert replay.is_sound
    assert not found.requires_grad
    torch.testing.assert_close(found, whole(model, model.layer, picture, changed.clone()))


def test_layer_that_the_fast_path_of_transformers_would_not_call_is_replaced() -> None:
    torch.manual_seed(8)
    encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.Flatten(2), _Turned(), encoder).eval()
    replays(model, encoder.linear1, torch.randn(1, 3, 16, 16))


class _Turned(nn.Module):
    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens.transpose(1, 2)


def test_output_of_another_shape_is_an_error(picture: torch.Tensor) -> None:
    model = Residual(JOINS["sum"]).eval()
    replay = Replay(model, model.layer, model, picture)
    with pytest.raises(LayerError, match=r"changed outputs \(2, 4, 8, 7\) for the layer 'layer'; .* \(n, 4, 8, 8\)"):
        replay(torch.zeros(2, 4, 8, 7))
    with pytest.raises(LayerError, match=r"changed outputs \(0, 4, 8, 8\) for the layer 'layer'; .* n at least 1"):
        replay(torch.zeros(0, 4, 8, 8))


@pytest.mark.parametrize(
    ("join", "layer", "text"),
    [
        (lambda skip, features: features, "unused", "'unused' never ran"),
        (lambda skip, features: features, "text", "'text' returns a str in which no tensor"),
        (lambda skip, features: features, "turned", r"'turned' has an output \(4, 1, 8, 8\) for one image"),
    ],
)
def test_layer_without_an_output_to_replace_is_an_error(
    join: Any, layer: str, text: str, picture: torch.Tensor
) -> None:
    class Odd(Residual):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            self.text(images)
            self.turned(self.stem(images))
            return super().forward(images)

    model = Odd(join).eval()
    model.unused, model.text, model.turned = nn.ReLU(), _Text(), _Turn()
    with pytest.raises(LayerError, match=text):
        Replay(model, model.get_submodule(layer), model, picture)


class _Text(nn.Module):
    def forward(self, images: torch.Tensor) -> str:
        return "text"


class _Turn(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.transpose(0, 1)


def test_copy_of_a_replayed_model_has_nothing_of_the_replay(picture: torch.Tensor) -> None:
    model = Residual(JOINS["sum"]).eval()
    replay = Replay(model, model.layer, model, picture)
    replay(versions(replay, 2))
    assert torch.equal(copy.deepcopy(model)(picture), model(picture))
