"""The map must be the one that is kept in the repository."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_cam.attending import attend
from pytest_cam.attention import Attention
from pytest_cam.baselines.claiming import running_test
from pytest_cam.baselines.holding import hold_to_baseline
from pytest_cam.baselines.model_identity import identity_of
from pytest_cam.checks.how import How, require_how
from pytest_cam.engine.black_box import Model
from pytest_cam.errors import KeywordError, is_ours
from pytest_cam.images.frames import Frame
from pytest_cam.verdicts.likeness import Mode, rule

if TYPE_CHECKING:
    from typing_extensions import Unpack

__tracebackhide__ = is_ours


def assert_attention_matches_baseline(
    model: Model,
    img: Any,
    name: str | None = None,
    *,
    mode: Mode | None = None,
    frame: Frame = "image",
    **how: Unpack[How],
) -> Attention:
    """Fail unless the map is like the one that is kept in the repository, beside the test.

    It is kept in `attention_baselines/<module>/<test>-<digest>.json`, with a picture for reviewers beside it that is
    never compared. `pytest --cam-update=missing` writes it for the first time; until then the test fails. A baseline
    of another method, layer, grid, target, geometry or image fails before values are looked at.

    Args:
        model: As for `assert_attention_in_region`.
        img: As for `assert_attention_in_region`.
        name: The baseline's own name, which then stands for the test's: for several in one test, or for one that
            stays when the test is renamed. None names it by the test, its class and its parameters.
        mode: "same-weights": cosine at least 0.999, and no cell further apart than 0.02. "retrained": earth mover's
            distance at most 0.15 of the diagonal, and Pearson at least 0.6. None chooses the first for a model that
            has the baseline's weights to the bit, and the second for any other. A model of the same weights in
            another precision has others to the bit: say "same-weights" where it is meant.
        frame: As for `assert_attention_in_region`.
        **how: `layer`, `method`, `target`, `preprocess`, `class_names`, `device` and all further keywords, as for
            `attend`; one layer, method and target.

    Returns:
        The attention, for further checks without a second forward pass.

    Raises:
        AttentionError: The map is not like its baseline.
        BaselineError: There is no baseline, it is damaged or of something else, another test claims it, it cannot be
            written, or no test runs.
        FlatMapError: The map is the same everywhere, and by the rule of mode "retrained" nothing is like it.
        CamError: The question makes no sense as it was asked; each of its kinds names what was given and accepted.
    """
    require_how(how, assert_attention_matches_baseline)
    if mode is not None:
        rule(mode)
    if name is not None and (not isinstance(name, str) or not name.strip()):
        raise KeywordError(f"name is {name!r}; accepted: a text that names the baseline, or None")
    test = running_test("assert_attention_matches_baseline")
    path = test.claim(name)
    attention = attend(model, img, frame=frame, **how)
    hold_to_baseline(attention, identity_of(model), test, path, mode)
    return attention
