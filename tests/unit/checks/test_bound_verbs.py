"""The verbs of the fixture beside the functions that they stand for."""

import inspect

import pytest

import pytest_cam
from pytest_cam import Cam
from pytest_cam.checks.how import How

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
