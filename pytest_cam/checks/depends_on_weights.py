"""The map must come from what the model learnt, not from the image alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from pytest_cam.attending import attend
from pytest_cam.attention import Attention
from pytest_cam.checks.how import How, of_one_target, require_how
from pytest_cam.engine.black_box import Model
from pytest_cam.engine.further import seed_of
from pytest_cam.engine.randomising import Twin, stages
from pytest_cam.errors import EmptyMapError, IndependentScoreError, is_ours
from pytest_cam.measures.similarity import PEARSON_RANGE, pearson
from pytest_cam.verdicts.findings import Figure, Findings
from pytest_cam.verdicts.judging import Asked, judge
from pytest_cam.verdicts.limits import fallible_limit, most
from pytest_cam.verdicts.message import explained
from pytest_cam.views import require_pattern, view_of, where

if TYPE_CHECKING:
    from typing_extensions import Unpack

__tracebackhide__ = is_ours

CHECK = "attention depends on weights"

# A ResNet-50 has 107 modules with weights; a forward pass for each would tell nothing more.
_MOST_STAGES = 6
# One draw may happen to look where the model does, as an edge detector does; the mean of several less so.
_DRAWS = 3
_MOST_ALIKE = 0.7


@dataclass(frozen=True, eq=False)
class RandomisedStage:
    """What became of a map when part of the weights were drawn anew.

    Attributes:
        name: Which weights: "head.2", "from features.4.1 to the output", "all".
        pearson: The correlation with the map of the model as it is, in [-1, 1]; 0 where nothing is left of it.
        attention: The attention, or None where the score no longer depends on the layer.
    """

    name: str
    pearson: float
    attention: Attention | None


@dataclass(frozen=True, eq=False)
class WeightDependence:
    """How a map falls apart as weights are drawn anew.

    Attributes:
        attention: That of the model as it is.
        stages: With more and more of the weights drawn anew, from the output on; the last one with all of them.
        pearson: The mean correlation over three draws of all weights, which is judged.
    """

    attention: Attention
    stages: tuple[RandomisedStage, ...]
    pearson: float


def assert_attention_depends_on_weights(
    model: Model, img: Any, *, at_most: float | None = None, **how: Unpack[How]
) -> WeightDependence:
    """Fail unless the map falls apart when the model's weights are drawn anew.

    A map that survives shows edges of the image, not what the model learnt (Adebayo et al., "Sanity Checks for
    Saliency Maps", arXiv 1810.03292: cascading randomisation from the output on). The check is of a method on a model;
    passing it does not say that the model looks at the right place.

    The weights of a deep copy are drawn anew, in up to six steps, and all of them two times more with other numbers.
    The model itself is only read, and the global random generators are left alone.

    Args:
        model: The classifier, an `nn.Module` that can be copied.
        img: As for `attend`.
        at_most: The greatest mean Pearson correlation, in [-1, 1], that the maps with all weights drawn anew may have
            with the model's own; 0.7 by default. An empty map counts as 0. Of a map that owes nothing to the weights
            it is 1.
        **how: `layer`, `method`, `target`, `preprocess` and all else as for `attend`; `seed`, 0 by default, is that of
            the new weights, too.

    Returns:
        What became of the map at each step.

    Raises:
        AttentionError: The map is much the same with random weights.
        ModelError: The model has no weights, or cannot be copied.
        EmptyMapError: The map of the model as it is is zero everywhere.
        FlatMapError: It is the same everywhere, and nothing correlates with it.
        LimitError: The limit is outside of its range, or the end of it that nothing could fail.
        CamError: As for `attend`.
    """
    require_how(how, assert_attention_depends_on_weights)
    given = fallible_limit("at_most", at_most, "Pearson", *PEARSON_RANGE)
    twin = Twin(model)
    attention = attend(model, img, **how)
    result = WeightDependence(attention, (), math.nan)
    with Asked(attention.evidence):
        require_pattern(attention)
        asked = of_one_target({**how, "layer": twin.layer(how.get("layer"))}, attention)
        found, further = _cascade(attention, twin, img, asked), _draws(attention, twin, img, asked)
        last = [found[-1], *further]
        result = WeightDependence(attention, tuple(found), sum(stage.pearson for stage in last) / len(last))
        meaning = f"with all weights drawn anew, the mean of {_DRAWS} draws; 1 for no change"
        figure = Figure("Pearson", result.pearson, most(given, _MOST_ALIKE), meaning, range=PEARSON_RANGE)
        judge(CHECK, (figure,), lambda held: _findings(result, *held))
    return result


def _cascade(attention: Attention, twin: Twin, img: Any, how: How) -> list[RandomisedStage]:
    generator = torch.Generator().manual_seed(seed_of(how))
    found = []
    for names in stages(twin.names, _MOST_STAGES):
        for name in names:
            twin.randomise(name, generator)
        is_last = names[-1] == twin.names[-1]
        found.append(_stage(attention, twin, img, how, "all" if is_last else f"from {names[-1]} on"))
    return found


def _draws(attention: Attention, twin: Twin, img: Any, how: How) -> list[RandomisedStage]:
    """Draw all weights again, with further seeds."""
    found = []
    for draw in range(1, _DRAWS):
        generator = torch.Generator().manual_seed(seed_of(how, draw))
        for name in twin.names:
            twin.randomise(name, generator)
        found.append(_stage(attention, twin, img, how, "all"))
    return found


def _stage(attention: Attention, twin: Twin, img: Any, how: How, name: str) -> RandomisedStage:
    try:
        other = attend(twin.model, img, **how)
    except IndependentScoreError:  # every unit of the layer is dead: nothing is left of the map
        return RandomisedStage(name, 0.0, None)
    try:
        return RandomisedStage(name, pearson(attention.map, other.map), other)
    except EmptyMapError:
        return RandomisedStage(name, 0.0, other)


def _findings(result: WeightDependence, figure: Figure) -> Findings:
    attention = result.attention
    views = [view_of(attention, "model", "the model")]
    shown = [(number, stage) for number, stage in enumerate(result.stages, 1) if stage.attention is not None]
    # The last one first: with all weights drawn anew, which is judged.
    for number, stage in reversed(shown):
        title = f"drawn anew: {stage.name} ({stage.pearson:.2f})"
        views.append(view_of(stage.attention, f"stage-{number}", title))  # type: ignore[arg-type]  # those with one
    return Findings(
        check=CHECK,
        where=where(attention),
        figures=(figure,),
        views=tuple(views),
        image_name=attention.image.name,
        geometry=attention.geometry,
        facts=(
            ("explained", explained(attention.explained)),
            ("anew", "; ".join(f"{stage.name}: Pearson {stage.pearson:.2f}" for stage in result.stages)),
        ),
        hints=(
            "a network that has learnt nothing has nearly this map: it shows the image's own edges or the shape of the "
            f"network. Do not rest a test on {attention.method} at {attention.layer}; another method or a later layer "
            "may say more",
        ),
    )
