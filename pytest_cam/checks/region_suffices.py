"""With nothing but the region the prediction must stay."""

from __future__ import annotations

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
from pytest_cam.verdicts.limits import FIXED, Limits

if TYPE_CHECKING:
    from typing_extensions import Unpack

__tracebackhide__ = is_ours

_STAYS = Limits(at_least=1.0, origin=FIXED)


def assert_region_suffices(
    model: Model,
    img: Any,
    region: Any,
    *,
    at_least: float | None = None,
    fill: Fill = "blur",
    frame: Frame = "image",
    **how: Unpack[How],
) -> Intervention:
    """Fail unless the prediction stays what it is when everything but a region is hidden.

    This looks at no map: the image is run as it is and with all but the region hidden. A model that reads something
    outside the region predicts another class without it.

    Args:
        model: The classifier, an `nn.Module`, any callable from a batch (B, C, H, W) to scores, or a session of ONNX
            Runtime. It comes back as it was.
        img: As for `attend`.
        region: A `Box`, `Polygon` or `Mask`, (x1, y1, x2, y2), or several of these, in pixels of the image.
        at_least: The least probability of the explained class that passes when the region is all that is left, above 0
            and at most 1; None asks for the prediction alone. For a callable target that is no class, and for one of
            several labels, there is no prediction: the least score or probability, and then it must be given.
        fill: What stands in place of all else: "blur" (the image, blurred beyond recognition), "mean" (its mean
            colour) or "inpaint" (the region's border, continued outwards: that rarely leaves a picture that a model
            can read).
        frame: "input" where the region is in pixels of the model's input instead.
        **how: `target` (None is the class that the image as it is is predicted as), `preprocess`, `class_names`,
            `device`, `output`, `model_args` and `model_kwargs`, as for `attend`. What is about maps, such as layer and
            method, changes nothing here. Where the image as it is is predicted as another class than the target, the
            check fails and says so.

    Returns:
        What the model says before and after.

    Raises:
        AttentionError: The region does not suffice.
        LimitError: The limit is no number in its range, or none where one is needed.
        VacuousError: The region is more than nine tenths of what the model sees, or hiding the rest changes no pixel.
        SettingError: There is no such fill.
        NonFiniteError: A score is not finite.
        CamError: As for `attend`.

    Example:
        >>> import torch
        >>> from pytest_cam import assert_region_suffices
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 1))  # its mean, less an eighth
        >>> for parameter, value in zip(model.parameters(), (1 / 64, -0.125)):
        ...     _ = torch.nn.init.constant_(parameter, value)
        >>> image = torch.zeros(1, 8, 8)
        >>> image[:, 2:6, 2:6] = 1.0
        >>> assert_region_suffices(model, image, (2, 2, 6, 6), fill="mean").stays
        True
    """
    told = asked(how, assert_region_suffices)
    given = checked_limit("at_least", at_least, of_probability=False)
    found = intervene(model, img, region, keep=True, fill=fill, frame=frame, how=told)
    of_probability = found.probability_before is not None
    checked_limit("at_least", given, of_probability=of_probability)
    compares = of_probability and found.before.explained.predicted is not None
    if given is None and not compares:
        raise LimitError(
            f"target {found.before.explained.name} has no prediction that could stay: give at_least=, the least that "
            f"passes when the region is all that is left. With nothing hidden it is {found.value_before:.4g}"
        )
    figures = [Figure("prediction", float(found.stays), _STAYS, words=_words(found))] if compares else []
    if given is not None:
        name = "probability" if of_probability else "score"
        figures.append(Figure(name, found.value_after, Limits(at_least=given), "with all but the region hidden"))
    check = f"{found.region.kind} suffices"
    judge(check, figures, lambda held: _evidence(found, check, held))
    return found


def _words(found: Intervention) -> str:
    wanted, before, after = quoted(found.before.explained), found.before, found.after
    if found.stays:
        return f"{wanted} before and after"
    if not before.explained.is_predicted:
        return f"{quoted(before.predicted)}, not {wanted}, already with nothing hidden"
    return f"{wanted} becomes {quoted(after.predicted)}"


def _evidence(found: Intervention, check: str, figures: tuple[Figure, ...]) -> Findings:
    hints = []
    if found.flips:
        hints.append(
            "the model reads something outside the region, or cannot read what is left: look at the picture first, "
            "then at the overlay of its attention"
        )
    if found.fill == "inpaint":
        hints.append(
            "inpainting continues the region's border over all the rest, which models seldom can read; take "
            "fill='blur' or fill='mean'"
        )
    return findings(found, check, figures, hints)
