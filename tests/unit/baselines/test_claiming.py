"""Which test claims which baseline."""

from __future__ import annotations

import pytest

from pytest_cam.errors import BaselineError
from tests.steps import steps_of


def test_a_test_that_begins_anew_forgets_its_own_claims_only(running) -> None:
    one, other = running("test_looks"), running("test_sees")
    kept = other.claim("shared")
    one.claim(None)

    one.begin_attempt()

    assert one.claim(None).name.startswith("test-looks-")
    assert other.claims.owner_of(kept) == "test_dogs.py::test_sees"
    with pytest.raises(BaselineError, match="two tests claim the baseline"):
        one.claim("shared")


def test_a_test_begins_in_as_many_steps_however_many_have_claimed(running) -> None:
    first = steps_of(running("test_looks").begin_attempt)
    for number in range(1000):
        running(f"test_looks[{number}]").claim(None)

    assert steps_of(running("test_sees").begin_attempt) == first
