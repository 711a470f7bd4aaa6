"""Evidence is found wherever an exception carries it."""

from __future__ import annotations

import sys
from doctest import DocTestFailure, UnexpectedException

import pytest

from pytest_cam import AttentionError
from pytest_cam.errors import EmptyMapError
from pytest_cam.reporting.exceptions import evidence_in

if sys.version_info < (3, 11):
    from exceptiongroup import ExceptionGroup


def test_exception_without_evidence_has_none():
    assert evidence_in(ValueError()) == []
    assert evidence_in(AttentionError("made by hand")) == []


def test_evidence_of_what_is_no_verdict_says_why_there_is_none(evidence):
    (found,) = evidence_in(EmptyMapError("the map is zero everywhere\nand more", evidence))

    assert found.problem == "the map is zero everywhere"
    assert evidence.problem == ""


def test_cause_comes_after_the_exception_itself(failure, evidence):
    outer = AttentionError("outer", "another")
    outer.__cause__ = failure

    assert evidence_in(outer) == ["another", evidence]


def test_context_counts_unless_it_is_suppressed(failure, evidence):
    outer = RuntimeError()
    outer.__context__ = failure
    assert evidence_in(outer) == [evidence]

    outer.__suppress_context__ = True
    assert evidence_in(outer) == []


def test_members_of_nested_groups_come_in_their_order(failure, evidence):
    second = AttentionError("second", "another")

    group = ExceptionGroup("outer", [ExceptionGroup("inner", [failure, ValueError()]), second])

    assert evidence_in(group) == [evidence, "another"]


def test_doctest_carries_what_its_example_raised(failure, evidence):
    raised = UnexpectedException(None, None, (type(failure), failure, None))
    assert evidence_in(raised) == [evidence]

    several = RuntimeError()
    several.failures = [raised, DocTestFailure(None, None, "3")]  # as pytest's own MultipleDoctestFailures has them
    assert evidence_in(several) == [evidence]


def test_evidence_that_is_met_twice_counts_once(failure, evidence):
    again = RuntimeError()
    again.__context__ = failure

    assert evidence_in(ExceptionGroup("both", [failure, again])) == [evidence]


def test_chain_that_leads_back_to_itself_ends(failure, evidence):
    other = RuntimeError()
    failure.__cause__ = other
    other.__context__ = failure

    assert evidence_in(other) == [evidence]


def test_chain_longer_than_the_stack_is_followed_to_its_end(failure, evidence):
    link: BaseException = failure
    for _ in range(10 * sys.getrecursionlimit()):
        outer = RuntimeError()
        outer.__context__ = link
        link = outer

    assert evidence_in(link) == [evidence]


@pytest.mark.parametrize("name", ["exceptions", "failures", "exc_info"])
@pytest.mark.parametrize("members", [None, 3, "text", ["no exception"], ()])
def test_attribute_that_only_looks_like_a_groups_is_passed_over(failure, evidence, name, members):
    setattr(failure, name, members)

    assert evidence_in(failure) == [evidence]
