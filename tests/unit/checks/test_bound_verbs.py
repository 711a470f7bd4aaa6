"""The verbs of the fixture beside the functions that they stand for."""

import inspect

import pytest

import pytest_cam
from pytest_cam import Cam
from pytest_cam.checks.how import How

VERBS = [name for name in pytest_cam.__all__ if name.startswith("assert_")]


@pytest.mark.parametrize("verb", VERBS)
def test_signature_has_every_keyword_for_type_checkers_and_editors(verb: str) -> None:
    function = inspect.signature(getattr(pytest_cam, verb)).parameters.values()
    bound = inspect.signature(getattr(Cam, verb)).parameters.values()
    names = {given.name for given in bound} | How.__annotations__.keys()

    assert {given.name for given in function if given.kind is not given.VAR_KEYWORD} <= names
    assert all(str(given.annotation).startswith("Unpack[") for given in bound if given.kind is given.VAR_KEYWORD)
