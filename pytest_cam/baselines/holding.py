"""Holding a map to its baseline, or writing the baseline where the run says so."""

from __future__ import annotations

from pathlib import Path

from pytest_cam.attention import Attention
from pytest_cam.baselines.baseline import Baseline
from pytest_cam.baselines.claiming import RunningTest, variant_from
from pytest_cam.baselines.comparing import CHECK, distance, figures_of, findings, picture, rule_for
from pytest_cam.baselines.files import read, text_of, write
from pytest_cam.baselines.gone import owner
from pytest_cam.baselines.model_identity import ModelIdentity
from pytest_cam.errors import BaselineError, FlatMapError, NewerBaselineError, is_ours
from pytest_cam.measures.similarity import is_flat
from pytest_cam.verdicts.findings import Figure
from pytest_cam.verdicts.judging import Asked, judge, would_pass
from pytest_cam.verdicts.likeness import TO_HAVE_A_PATTERN, Mode
from pytest_cam.versions import versions_of

__tracebackhide__ = is_ours

_LIBRARIES = ("pytest-cam", "torch", "torchvision", "numpy")


def hold_to_baseline(
    attention: Attention, model: ModelIdentity, test: RunningTest, path: Path, mode: Mode | None
) -> None:
    """Fail unless a map is like its baseline; or, where the run updates it, write it.

    Args:
        attention: The map.
        model: Which model it is of.
        test: The test that runs.
        path: The baseline's file, which the test has claimed.
        mode: Which rule, or None for the one that the models' weights choose.

    Raises:
        AttentionError: The map is not like its baseline.
        BaselineError: There is none, it is damaged or of something else, or it cannot be written.
        EmptyMapError: The map is zero everywhere.
        FlatMapError: The map is the same everywhere, and so is its baseline, or there is to be none of it.
    """
    variant = variant_from(test.ask_variant())
    with Asked(lambda: attention.evidence(CHECK)):
        attention.require_something()  # a map of zeros is an error of its own, and no baseline
        now = Baseline.of(attention, model, test.recorded, variant, dict(versions_of(_LIBRARIES)))
        _Held(attention, now, test, path, mode).settle()


class _Held:
    """One map, its baseline's file, and what is to become of the two."""

    def __init__(self, attention: Attention, now: Baseline, test: RunningTest, path: Path, mode: Mode | None) -> None:
        self._attention, self._now, self._test, self._path, self._mode = attention, now, test, path, mode
        self._name = test.shown(path)
        self._replaces = test.settings.update in ("changed", "all")

    def settle(self) -> None:
        try:
            kept = read(self._path, self._name)
        except NewerBaselineError:
            raise
        except BaselineError as error:
            if not self._replaces:
                raise
            return self._write("replaced", str(error).partition(". Take it")[0])
        if kept is None:
            return self._first()
        problems = list(kept.mismatches(self._now))
        if not problems:
            return self._compare(kept)
        if not self._replaces:
            raise BaselineError(
                f"the baseline {self._name} is of something else than this map: {'; '.join(problems)}. Values were not "
                f"compared. If that is meant, accept it: {self._test.command('changed')}"
            )
        return self._write("changed", "; ".join(problems))

    def _first(self) -> None:
        self._require_a_pattern()
        if self._test.settings.update is None:
            raise BaselineError(
                f"there is no baseline {self._name}. {self._left_over()}Look at this map, and if it is right, keep it: "
                f"{self._test.command('missing')}"
            )
        self._write("new", "")

    def _left_over(self) -> str:
        test = self._test
        if left := test.leftovers.namesake(self._path, test.name):
            return f"{test.shown(left)} is of a module that no longer exists: was it renamed? "
        if left := test.leftovers.former(self._path, test.module, test.name, test.tests):
            return (
                f"{test.shown(left)} is of {owner(left)[1]}, which {test.module.name} does not have: was it renamed? "
            )
        return ""

    def _compare(self, kept: Baseline) -> None:
        rule = rule_for(self._mode, kept.model, self._now.model)
        try:
            figures = figures_of(kept, self._attention, rule[0])
        except FlatMapError:
            if not self._replaces:
                raise
            return self._write("changed", "the same everywhere, of other weights")
        if self._replaces and not would_pass(CHECK, figures):
            return self._write("changed", distance(figures))
        if self._test.settings.update == "all" and text_of(kept) != text_of(self._now):
            return self._write("rewritten", distance(figures))
        self._judge(kept, figures, rule)
        return None

    def _judge(self, kept: Baseline, figures: tuple[Figure, ...], rule: tuple[Mode, str]) -> None:
        command = self._test.command("changed")
        judge(CHECK, figures, lambda held: findings(kept, self._attention, held, self._name, rule, command))

    def _require_a_pattern(self) -> None:
        """Raise `FlatMapError` where this map, once kept, would fail even for the model that it is of."""
        rule = rule_for(self._mode, self._now.model, self._now.model)[0]
        if rule == "retrained" and is_flat(self._now.map):
            raise FlatMapError(
                "the map is the same everywhere, so as a baseline it would fail by the rule for retrained models, "
                f"which compares patterns. {TO_HAVE_A_PATTERN}"
            )

    def _write(self, what: str, why: str) -> None:
        self._require_a_pattern()
        drawn = picture(self._attention)
        write(self._path, self._name, self._now, drawn)
        if drawn is None:
            why = f"{why}{'; ' if why else ''}without a picture, since OpenCV does not import"
        self._test.notes.append((self._name, what, why))
        # A check as in any later run: limits files know checks by their number, and a soft block wants to have had one.
        rule = rule_for(self._mode, self._now.model, self._now.model)
        self._judge(self._now, figures_of(self._now, self._attention, rule[0]), rule)
