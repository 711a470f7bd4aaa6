"""Errors: one family, whose texts get through everything."""

import ast
from pathlib import Path

import pytest

import pytest_cam
from pytest_cam import errors

# What runs before tests do, or after them.
NOT_IN_A_TEST = ("plugin.py", "configured.py", "options.py", "reporting")


def test_every_error_and_warning_is_of_one_family_and_shows_its_public_name() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, BaseException)]
    assert len(kinds) > 20
    for kind in kinds:
        assert issubclass(kind, (errors.CamError, errors.CamWarning))
        assert kind.__module__ == "pytest_cam"


def test_every_module_that_raises_these_in_a_test_leaves_itself_out_of_tracebacks() -> None:
    root = Path(pytest_cam.__file__).parent
    modules = [path for path in root.rglob("*.py") if path.relative_to(root).parts[0] not in NOT_IN_A_TEST]
    raising = {path for path in modules if raises_ours(path.read_text(encoding="utf-8"))}
    assert len(raising) > 60
    hidden = {path for path in modules if "\n__tracebackhide__ = is_ours\n" in path.read_text(encoding="utf-8")}
    assert raising <= hidden


def raises_ours(source: str) -> bool:
    raised = [node.exc for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Raise)]
    names = {call.func.id for call in raised if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)}
    return any(isinstance(kind := vars(errors).get(name), type) and issubclass(kind, errors.CamError) for name in names)


def test_text_with_bytes_that_are_no_utf_8_can_be_sent() -> None:
    text = str(errors.ImageError("image file not found: caf\udce9.png"))
    assert text == "image file not found: caf\\udce9.png"
    assert text.encode("utf-8")


@pytest.mark.parametrize(
    ("given", "accepted", "sentence"),
    [
        ("layer4.1.conv3", ["layer4.1.conv2", "fc"], "Did you mean 'layer4.1.conv2'?"),
        ("zzz", ["skill", "lift"], "Accepted: 'skill', 'lift'."),
        ("threshold", ["method", "reshape", "at_least"], "Accepted: 'method', 'reshape', 'at_least'."),
        ("zzz", [], ""),
    ],
)
def test_nearest_names_are_given(given: str, accepted: list[str], sentence: str) -> None:
    assert errors.nearest(given, accepted) == sentence


@pytest.mark.parametrize(
    ("given", "meant"),
    [("GradCAM", "gradcam"), ("Score-CAM", "scorecam"), ("RISE", "rise"), ("grad_cam++", "gradcam++")],
)
def test_case_and_hyphens_are_no_other_name(given: str, meant: str) -> None:
    assert errors.nearest(given, ["gradcam++", "gradcam", "scorecam", "rise"]) == f"Did you mean {meant!r}?"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (3, "an int"),
        ([], "a list"),
        (None, "None"),
        (dict, "the class dict"),
        (errors.ImageError("x"), "an ImageError"),
    ],
)
def test_a_value_is_named_as_a_sentence_names_it(given: object, words: str) -> None:
    assert errors.kind_of(given) == words
