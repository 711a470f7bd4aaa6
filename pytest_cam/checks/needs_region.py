"""Without the region the prediction must fall."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pytest_cam.checks.how import How
from pytest_cam.checks.intervening import asked, checked_limit, findings, quoted
from pytest_cam.engine.black_box import Model
from pytest_cam.errors import LimitError, is_ours
from pytest_cam.images.fills import Fill
from pytest_cam.images.frames import Frame
from pytest_cam.intervention import Intervention, intervene
from pytest_cam.verdicts.findings import Figure, Findings
from pytest_cam.verdicts.judging import judge
from pytest_cam.verdicts.limits import Limits, least

if TYPE_CHECKING:
    from typing_extensions import Unpack

__tracebackhide__ = is_ours

# Of 200 photos of example_project, one digit and one tag in each, all pass for the network that reads the digit and
# none for the one that reads the tag, with any limit from 0.05 to 0.5.
_DROP = 0.3


def assert_prediction_needs_region(
    model: Model,
    img: Any,
    region: Any,
    *,
    drop_at_least: float | None = None,
    fill: Fill = "blur",
    frame: Frame = "image",
    **how: Unpack[How],
) -> Intervention:
    """Fail unless hiding a region changes the prediction, or makes the explained class much less probable.

    This looks at no map: the image is run as it is and with the region hidden. A model that reads something else in
    the image, be it a watermark or a colour cast, predicts the same without the region.

    Args:
        model: The classifier, an `nn.Module`, any callable from a batch (B, C, H, W) to scores, or a session of ONNX
            Runtime. It comes back as it was.
        img: As for `attend`.
        region: A `Box`, `Polygon` or `Mask`, (x1, y1, x2, y2), or several of these, in pixels of the image.
        drop_at_least: By how much the probability of the explained class must fall where the prediction stays, above 0
            and at most 1; 0.3 where it is not given. For a callable target that is no class, by how much its score
            must fall, and then it must be given. A prediction that was the explained class and is not any more passes
            whatever this is.
        fill: What stands in place of the region: "blur" (the image, blurred beyond recognition), "mean" (its mean
            colour) or "inpaint" (what is around the region, continued inwards).
        frame: "input" where the region is in pixels of the model's input instead.
        **how: `target` (None is the class that the image as it is is predicted as), `preprocess`, `class_names`,
            `device`, `output`, `model_args` and `model_kwargs`, as for `attend`. What is about maps, such as layer and
            method, changes nothing here.

    Returns:
        What the model says before and after.

    Raises:
        AttentionError: The prediction does not need the region.
        LimitError: The limit is no number in its range, or none where one is needed.
        VacuousError: The region is more than nine tenths of what the model sees, or hiding it changes no pixel.
        SettingError: There is no such fill.
        NonFiniteError: A score is not finite.
        CamError: As for `attend`.

    Example:
        >>> import torch
        >>> from pytest_cam import assert_prediction_needs_region
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 1))  # its mean, less a half
        >>> for parameter, value in zip(model.parameters(), (1 / 64, -0.125)):
        ...     _ = torch.nn.init.constant_(parameter, value)
        >>> image = torch.zeros(1, 8, 8)
        >>> image[:, 2:6, 2:6] = 1.0
        >>> assert_prediction_needs_region(model, image, (2, 2, 6, 6), fill="mean").flips
        True
    """
    told = asked(how, assert_prediction_needs_region)
    given = checked_limit("drop_at_least", drop_at_least, of_probability=False)
    found = intervene(model, img, region, fill=fill, frame=frame, how=told)
    of_probability = found.probability_before is not None
    checked_limit("drop_at_least", given, of_probability=of_probability)
    if given is not None and given <= 0:
        raise LimitError(
            f"drop_at_least is {drop_at_least!r}; accepted for the score of a callable target: a number above 0, since "
            "a score that does not need the region falls by 0"
        )
    if given is None and not of_probability:
        raise LimitError(
            f"target {found.before.explained.name} is no class, so by how much its score must fall is yours to say: "
            f"give drop_at_least=. With nothing hidden the score is {found.value_before:.4g}"
        )
    # Where the prediction changes there is nothing left to hold the drop to.
    limits = Limits() if found.flips else least(given, _DROP)
    of_what, high = ("probability", 1.0) if of_probability else ("score", math.inf)
    # What does not need the region falls by nothing, so no limit lies below that.
    drop = Figure(f"drop of {of_what}", found.drop, limits, _meaning(found), range=(0.0, high), level=0.0)
    check = f"prediction needs {found.region.kind}"
    judge(check, [drop], lambda held: _evidence(found, check, *held))
    return found


def _meaning(found: Intervention) -> str:
    change = f"from {found.value_before:.3g} to {found.value_after:.3g} when the region is hidden"
    return f"{change}, and the prediction stays" if found.stays else change


def _evidence(found: Intervention, check: str, drop: Figure) -> Findings:
    hints = []
    if found.stays:
        hints.append(
            f"the model predicts {quoted(found.before.explained)} without the region, too, so it reads something else "
            "in this image; the overlay of its attention shows where"
        )
    elif found.probability_before is not None and found.value_before < (drop.limits.at_least or 0.0):
        hints.append("the probability is below the limit before anything is hidden, so it cannot fall by that much")
    return findings(found, check, [drop], hints)
