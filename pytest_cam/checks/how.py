"""What the verbs take beside their own arguments: how the model is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from pytest_cam.attending import require_one
from pytest_cam.attention import Attention
from pytest_cam.engine.further import Further, require_known
from pytest_cam.engine.layers import LayerLike
from pytest_cam.engine.methods import method_named
from pytest_cam.engine.scores.targets import Target
from pytest_cam.errors import is_ours
from pytest_cam.images.geometry import Preprocess

__tracebackhide__ = is_ours


class Request(Further, total=False):
    """What a model is asked for beside a layer and a method; every key as for `pytest_cam.attend`, one target."""

    target: Target
    preprocess: Preprocess | None
    class_names: Any
    device: str | torch.device | None


class How(Request, total=False):
    """How a model is asked for an attention; every key as for `pytest_cam.attend`, one layer, method and target."""

    layer: LayerLike
    method: str


def require_how(how: Mapping[str, Any], verb: Callable[..., Any]) -> None:
    """Check what a verb was given beside its own arguments.

    Raises:
        KeywordError: A keyword is none, with the nearest ones that the verb has.
        LayerError, MethodError, TargetError: A list is given where one is wanted.
    """
    own = How.__annotations__.keys() - Further.__annotations__.keys()
    require_known({name: value for name, value in how.items() if name not in own}, verb)
    require_one(verb.__name__, *(how.get(name) for name in ("layer", "method", "target")))


def of_one_target(how: How, attention: Attention) -> How:
    """Return how a further attention is asked for the target of the first one, also where none is given."""
    # Of a map that is the same for every target, `attend` would warn of a target that the user never gave.
    if how.get("target") is not None or not method_named(attention.method).takes_a_target:
        return {**how}
    return {**how, "target": attention.target}
