"""A map's ranking of pixels must beat random ones: a check of the method, not of the model."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_cam.attending import attend
from pytest_cam.checks.how import How, require_how
from pytest_cam.checks.intervening import checked_limit
from pytest_cam.checks.ranking_curves import By, Faithfulness, curves, unasked
from pytest_cam.engine.black_box import Model
from pytest_cam.errors import KeywordError, is_ours, nearest
from pytest_cam.images import drawing
from pytest_cam.images.frames import Frame
from pytest_cam.verdicts.findings import Figure, Findings, View
from pytest_cam.verdicts.judging import Asked, judge
from pytest_cam.verdicts.limits import least
from pytest_cam.verdicts.message import explained
from pytest_cam.views import require_pattern, view_of, where

if TYPE_CHECKING:
    from typing_extensions import Unpack

__tracebackhide__ = is_ours

CHECK = "attention faithful"

_BY = {"deletion": "pixels deleted", "insertion": "pixels put in", "road": "pixels imputed"}


def assert_attention_faithful(
    model: Model,
    img: Any,
    *,
    by: By = "insertion",
    at_least: float | None = None,
    steps: int = 10,
    rankings: int = 19,
    frame: Frame = "image",
    **how: Unpack[How],
) -> Faithfulness:
    """Fail unless the score depends on pixels in the order of the map more than in random orders.

    This is a check of the method on this model, for choosing a method or a layer. Never let it decide about a model:
    networks with random weights have reached better areas than trained ones, and the map of a model that reads a
    watermark is as faithful as any.

    Pixels of the model's input are replaced step by step, the highest of the map first, and the area under the curve of
    the explained class's probability is compared with that of random maps on the same grid, upsampled in the same way.
    (Pixels drawn one by one would be another thing: such noise ruins a picture for any network.) By chance alone a map
    beats all of 19 random ones in one case of 20.

    Args:
        model: As for `attend`.
        img: As for `attend`.
        by: "insertion" (default): put into the blurred input (RISE, arXiv 1806.07421, section 4.2); "deletion":
            replaced by the input's mean colour (the same), which is the noisiest, since holes with hard edges are
            something to see, too; "road": replaced by noisy linear imputation, which hides the shape of what was taken
            out (ROAD, arXiv 2202.00449), and takes longest.
        at_least: The share of the random rankings that must do worse, above 0 and at most 1; 1 by default.
        steps: In how many equal shares the pixels are replaced, 2 or more.
        rankings: How many random rankings there are, 1 or more. There are about steps * (rankings + 1) forward passes,
            in batches.
        frame: As for `attend`.
        **how: As for `attend`; `seed` is that of the random rankings, too.

    Returns:
        The curves, their areas and the attention.

    Raises:
        AttentionError: The map's order is no better than random ones.
        EmptyMapError: The map is zero everywhere, so it has no order.
        FlatMapError: It is the same everywhere, and has none either.
        LimitError, KeywordError: A limit, a number or a way of replacing makes no sense.
        NonFiniteError: A score is not finite.
        CamError: As for `attend`.

    Example:
        >>> import torch
        >>> from pytest_cam import assert_attention_faithful
        >>> model = torch.nn.Sequential(
        ...     torch.nn.Conv2d(1, 1, 1, bias=False), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
        ...     torch.nn.Linear(1, 2, bias=False))
        >>> for parameter, value in zip(model.parameters(), (1.0, torch.tensor([[-9.0], [9.0]]))):
        ...     parameter.data[:] = value
        >>> image = torch.zeros(1, 8, 8)
        >>> image[:, 2:6, 2:6] = 1.0
        >>> assert_attention_faithful(model, image, layer="0", target=1).beaten
        1.0
    """
    require_how(how, assert_attention_faithful)
    given = checked_limit("at_least", at_least, of_probability=True)
    if by not in _BY:
        raise KeywordError(f"by is {by!r}, which is no way of replacing pixels. {nearest(by, _BY)}")
    steps, rankings = _count("steps", steps, 2), _count("rankings", rankings, 1)
    attention = attend(model, img, frame=frame, **how)
    found = unasked(attention, by)
    with Asked(attention.evidence):
        require_pattern(attention)  # ties are broken pixel by pixel, and such noise ruins a picture for any network
        found = curves(model, img, attention, by, steps, rankings, frame, how)
        beaten = Figure(
            "random rankings beaten",
            found.beaten,
            least(given, 1.0),
            f"{round(found.beaten * rankings)} of {rankings} random maps on the same {_grid(found)} do worse",
            range=(0.0, 1.0),
            level=0.5,
        )
        judge(CHECK, [beaten], lambda held: _evidence(found, *held))
    return found


def _count(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise KeywordError(f"{name} is {value!r}; accepted: a whole number from {least}")
    return int(value)


def _evidence(found: Faithfulness, beaten: Figure) -> Findings:
    attention = found.attention
    areas = np.array(found.random_areas)
    better = "lower" if found.lower_is_better else "higher"
    what = f"mean of the {found.score}; {better} is better; random {areas.min():.3g} to {areas.max():.3g}"
    half = float(np.interp(0.5, found.shares, found.curve))
    title = f"the input, half of its {_BY[found.by]}: {found.score} {half:.3g}"
    hints = ["another method, or an earlier layer with a finer grid, may rank better; this says nothing of the model"]
    if np.ptp(found.random_curves) == 0:
        hints = ["the score is the same whatever is replaced: there is no order to find"]
    return Findings(
        check=CHECK,
        where=f"{found.by}, {where(attention)}",
        figures=(beaten, Figure("area", found.area, meaning=what)),
        views=(
            view_of(attention, "map", "the map"),
            View("half", title, drawing.reduced(found.halfway)),
        ),
        image_name=attention.image.name,
        geometry=attention.geometry,
        facts=(("explained", explained(attention.explained)), ("curve", _curve(found))),
        hints=tuple(hints),
    )


def _curve(found: Faithfulness) -> str:
    pairs = zip(found.shares, found.curve, found.random_curves.mean(axis=0), strict=True)
    shown = list(pairs)[:: max(1, (len(found.shares) - 1) // 5)]
    return ", ".join(f"{share:.0%}: {value:.2g} (random {other:.2g})" for share, value, other in shown)


def _grid(found: Faithfulness) -> str:
    rows, columns = found.attention.map.shape
    return f"{rows} x {columns} cells"
