"""The beginning and the end of subtests, of which no hook of pytest tells. Standard library only."""

from __future__ import annotations

import unittest
from collections.abc import Callable
from contextlib import AbstractContextManager, ContextDecorator
from functools import partial
from types import TracebackType
from typing import Any

from pytest_cam.running import RUNNING


def tell_of_fixture(opener: Any) -> None:
    """Have the run told of each subtest that a test opens with the value of the fixture `subtests`."""
    if type(opener).__name__.lower() == "subtests":  # pytest's own, or that of pytest-subtests before pytest 9
        opener.test = _told(opener.test)


def tell_of_unittest(item: Any) -> None:
    """Have the run told of each subtest that a test of unittest opens."""
    instance = item.instance
    if isinstance(instance, unittest.TestCase):
        instance.subTest = _told(instance.subTest)  # type: ignore[method-assign]  # of this test alone


def _told(opened: Callable[..., AbstractContextManager[Any]]) -> Callable[..., _Told]:
    return lambda *args, **kwargs: _Told(partial(opened, *args, **kwargs))


class _Told(ContextDecorator):
    """A subtest of which the run is told, and a decorator, as unittest's is.

    No generator: that would stand in the traceback of what fails in it.
    """

    def __init__(self, opened: Callable[[], AbstractContextManager[Any]]) -> None:
        self._opened = opened

    def __enter__(self) -> Any:
        __tracebackhide__ = True
        RUNNING.begin_subtest()
        self._subtest = self._opened()  # another one at each call of what it decorates
        return self._subtest.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        __tracebackhide__ = True
        try:
            return self._subtest.__exit__(kind, error, trace)
        finally:
            RUNNING.end_subtest()
