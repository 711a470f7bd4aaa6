from __future__ import annotations

import pytest

from benchmarks.figures import Figure, UnavailableError, attempted, geometric_mean, median_interval


def test_twice_as_fast_and_twice_as_slow_cancel() -> None:
    assert geometric_mean([0.5, 2.0]) == pytest.approx(1.0)
    assert geometric_mean([1.0, 2.0, 4.0]) == pytest.approx(2.0)


# 2 P(Binomial(n, 1/2) < k): 2 * 1/128 for n = 7, k = 1, but 2 * 8/128 for k = 2; 2 * 10/512 for n = 9, k = 2, but
# 2 * 46/512 for k = 3.
@pytest.mark.parametrize(("count", "expected"), [(1, (1, 1)), (3, (1, 3)), (7, (1, 7)), (8, (1, 8)), (9, (2, 8))])
def test_interval_of_the_median_is_that_of_the_sign_test(count: int, expected: tuple[float, float]) -> None:
    assert median_interval(range(count, 0, -1)) == expected


def test_interval_of_many_values_is_narrow_around_their_median() -> None:
    # The tables of the sign test give ranks 22 and 39 for 60 values.
    assert median_interval(range(1, 61)) == (22, 39)


@pytest.mark.parametrize(
    ("figure", "met"),
    [
        (Figure("kind", "name", value=1.1, limit=1.1), True),
        (Figure("kind", "name", value=1.11, limit=1.1), False),
        (Figure("kind", "name", value=1.0, limit=1.0, below=True), False),
        (Figure("kind", "name", value=0.99, limit=1.0, below=True), True),
        (Figure("kind", "name", value=1.01, limit=1.0, below=True, excused="within noise, with less memory"), True),
        (Figure("kind", "name", value=9.0), None),
        (Figure("kind", "name", limit=1.0, skipped="no such library"), None),
        (Figure("kind", "name", limit=1.0, failed="RuntimeError"), False),
    ],
)
def test_limit_is_kept_or_not(figure: Figure, met: bool | None) -> None:
    assert figure.met is met


def test_missing_library_skips_a_figure_and_a_mistake_fails_it() -> None:
    def missing(_: Figure) -> Figure:
        raise UnavailableError("captum is not installed")

    def wrong(_: Figure) -> Figure:
        raise ValueError("first line\nsecond line")

    blank = Figure("kind", "name", limit=1.0)
    assert attempted(blank, missing) == Figure("kind", "name", limit=1.0, skipped="captum is not installed")
    assert attempted(blank, wrong) == Figure("kind", "name", limit=1.0, failed="ValueError: first line")
