"""The verbs of the fixture beside the functions that they stand for."""

import functools
import inspect

import pytest
import torch
from PIL import Image
from torch import nn

import pytest_cam
from pytest_cam import AttentionError, Cam, attend
from pytest_cam.checks import bound_verbs
from pytest_cam.checks.how import How
from pytest_cam.errors import HookLeakError, NotAffineError

# Defaults of the settings are not the fixture's, which knows what the run and the test say.
FIXED = {"mode", "metric", "by", "steps", "rankings", "drop_at_least", "at_least", "at_most", "frame", "under"}
VERBS = [name for name in pytest_cam.__all__ if name.startswith("assert_")]


@pytest.mark.parametrize("verb", VERBS)
def test_signature_has_every_keyword_for_type_checkers_and_editors(verb: str) -> None:
    function = inspect.signature(getattr(pytest_cam, verb)).parameters.values()
    bound = inspect.signature(getattr(Cam, verb)).parameters.values()
    names = {given.name for given in bound} | How.__annotations__.keys()

    assert {given.name for given in function if given.kind is not given.VAR_KEYWORD} <= names
    defaults = {given.name: given.default for given in function}
    assert all(given.default == defaults[given.name] for given in bound if given.name in FIXED)
    assert all(str(given.annotation).startswith("Unpack[") for given in bound if given.kind is given.VAR_KEYWORD)


class Half(nn.Sequential):
    """Class 1 is the mean at layer 0, so its map is the image."""

    def __init__(self) -> None:
        super().__init__(
            nn.Identity(), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2, bias=False)
        )
        self[4].weight.data[:] = torch.tensor([[-1.0], [1.0]])


IMAGE = torch.zeros(1, 8, 8)
IMAGE[:, :, :4] = 1.0
HOW = {"layer": "0", "method": "gradcam", "target": 1}
HANDED_ON = [verb for verb in VERBS if verb not in ("assert_attention_in_region", "assert_attention_not_in_region")]


@pytest.mark.parametrize("verb", HANDED_ON)
def test_verb_hands_on_what_it_is_told_before_the_tests_settings_and_looks_for_hooks_on_every_model(
    verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = getattr(pytest_cam, verb)
    handed: dict[str, object] = {}

    @functools.wraps(function)
    def called(*args: object, **given: object) -> object:
        handed.update(inspect.signature(function).bind(*args, **given).arguments)
        return attend(Half(), IMAGE, **HOW)

    monkeypatch.setattr(bound_verbs, verb, called)
    names = [given.name for given in inspect.signature(function).parameters.values() if given.kind != given.VAR_KEYWORD]
    told = {name: nn.Identity() if name in ("model", "reference") else object() for name in names}
    settings = {"layer": "9", "method": "rise", "target": 1, "fill": "mean", "seed": None, "colormap": "jet"}
    cam = Cam(lambda: settings)
    getattr(cam, verb)(**told, layer="0")

    # The targets of several classes take the place of the one that a marker gives.
    target = {} if "targets" in names else {"target": 1}
    assert handed.pop("how") == {"layer": "0", "method": "rise"} | target
    assert handed == told
    models = [value for value in told.values() if isinstance(value, nn.Module)]
    for model in models:
        model.register_forward_hook(print)
    with pytest.raises(HookLeakError, match=f"the test left {len(models)} hook"):
        cam.watch.settle()


ASKED = {
    "call": lambda cam, model: cam(model, IMAGE, **HOW),
    "batch": lambda cam, model: cam.batch(model, IMAGE[None], **HOW),
    "in region": lambda cam, model: cam.assert_attention_in_region(model, IMAGE, (0, 0, 4, 8), **HOW),
    "not in region": lambda cam, model: cam.assert_attention_not_in_region(model, IMAGE, (6, 0, 8, 8), **HOW),
}


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_model_that_is_explained_is_looked_at_for_hooks_and_its_map_is_written_down(ask) -> None:
    cam, model = Cam(dict), Half()
    ask(cam, model)
    assert cam.journal.computed == 1
    (written,) = cam.journal.evidence()
    assert (written.layer, written.method, written.explained.target) == ("0", "gradcam", 1)
    model[0].register_forward_hook(print)
    with pytest.raises(HookLeakError, match="layer 0"):
        cam.watch.settle()


@pytest.mark.parametrize(
    ("verb", "given", "decision"),
    [
        ("assert_attention_in_region", {"at_least": 0.9}, "skill 0.33 < 0.9"),
        ("assert_attention_in_region", {"at_most": 0.1}, "skill 0.33 > 0.1"),
        ("assert_attention_in_region", {"metric": "energy", "at_least": 0.9}, "energy 0.50 < 0.9"),
        ("assert_attention_not_in_region", {"at_most": 0.5}, "lift 1.50 > 0.5"),
        ("assert_attention_not_in_region", {"metric": "energy", "at_most": 0.4}, "energy 0.75 > 0.4"),
    ],
)
def test_limits_and_metric_of_the_call_are_those_that_are_held(verb: str, given: dict, decision: str) -> None:
    # Of the four lit columns two are in the box; widened by a cell, three of them are in four of eight.
    with pytest.raises(AttentionError, match=rf": {decision} \(gradcam, 0\)"):
        getattr(Cam(dict), verb)(Half(), IMAGE, (2, 0, 4, 8), **HOW, **given)


@pytest.mark.parametrize("verb", ["assert_attention_in_region", "assert_attention_not_in_region"])
def test_region_may_be_in_the_pixels_of_the_input(verb: str) -> None:
    def turned(picture: Image.Image) -> torch.Tensor:
        return IMAGE * picture.rotate(10).getpixel((4, 4))[0] / 255

    box = (0, 0, 3, 8) if verb == "assert_attention_in_region" else (7, 0, 8, 8)
    ask, given = getattr(Cam(dict), verb), HOW | {"preprocess": turned}
    assert ask(Half(), Image.new("RGB", (8, 8), "white"), box, frame="input", **given).layer == "0"
    with pytest.raises(NotAffineError):
        ask(Half(), Image.new("RGB", (8, 8), "white"), box, **given)


@pytest.mark.parametrize(
    ("verb", "limit"), [("assert_prediction_needs_region", {"drop_at_least": 0.01}), ("assert_region_suffices", {})]
)
def test_setting_of_the_test_fills_what_the_call_leaves_open(verb: str, limit: dict) -> None:
    ask = getattr(Cam(lambda: {"fill": "mean", "target": 1}), verb)
    assert ask(Half(), IMAGE, (0, 0, 4, 8), **limit).fill == "mean"
    assert ask(Half(), IMAGE, (0, 0, 4, 8), fill="blur", **limit).fill == "blur"
