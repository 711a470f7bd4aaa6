"""Limits of checks in a run of pytest: read before it, asked for in its tests, told of on its reports.

Standard library and pytest only; what needs more is imported where the run has a limits file or makes one.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_cam import options
from pytest_cam.errors import SettingError
from pytest_cam.running import RUNNING, sendable

_DEFAULT_NAME = "cam_limits.toml"


def begin_limits(config: pytest.Config) -> None:
    """Read the limits file, and make ready to write one where the run calibrates.

    Raises:
        SettingError: The file or a setting cannot be used.
    """
    margin = margin_from(config)
    path = limits_path(config)
    RUNNING.is_calibrating = options.from_config(config, "calibrate")
    if RUNNING.is_calibrating:
        path = path or config.rootpath / _DEFAULT_NAME
    if path is None:
        return
    from pytest_cam.reporting.asked_limits import AskedLimits
    from pytest_cam.reporting.limits_file import read_limits

    entries = {} if RUNNING.is_calibrating and not path.exists() else read_limits(path)
    RUNNING.agreed = {key: entry.agreed for key, entry in entries.items()}
    RUNNING.source = _shown(path, config.rootpath)
    # xdist hands its workers the options as they are now; a worker may run in another directory.
    config.option.cam_limits = str(path)
    if not RUNNING.is_calibrating:
        config.pluginmanager.register(AskedLimits(list(entries), RUNNING.source, config), "cam-limits")
    elif not hasattr(config, "workerinput"):
        from pytest_cam.reporting.calibration import Calibration

        config.pluginmanager.register(Calibration(path, entries, margin, config), "cam-calibration")


def limits_path(config: pytest.Config) -> Path | None:
    """Return the limits file of a run, or None where none is named.

    Raises:
        SettingError: An empty name was given, as by an unset variable.
    """
    given: str | None = options.from_config(config, "limits")
    if given is None:
        return None
    if not given.strip():
        raise SettingError(f"{options.given_by(config, 'limits')} is empty; accepted: a file. Leave it out to use none")
    return options.path_of(config, "limits", given)


def margin_from(config: pytest.Config) -> float:
    """Return how far from the accepted model's value limits are proposed.

    Raises:
        SettingError: The setting is no number from 0 to below 1.
    """
    given = options.held_in(config, "margin")
    try:
        margin = float(str(given))
    except ValueError:
        margin = -1.0
    if not 0 <= margin < 1:
        raise SettingError(f"{options.given_by(config, 'margin')} is {given!r}; accepted: a number from 0 to below 1")
    return margin


def note_checks(report: pytest.TestReport) -> None:
    """Put on the last report of a test what its checks noted. Never raises."""
    # Not on each: a test may have thousands of subtests, whose reports are all kept until the run ends.
    if report.when != "teardown":
        return
    if RUNNING.records:
        report.cam_checks = list(RUNNING.records)  # type: ignore[attr-defined]  # plain, the way to the controller
    if RUNNING.asked:
        report.cam_limits_asked = [list(key) for key in RUNNING.asked]  # type: ignore[attr-defined]  # as above


def _shown(path: Path, root: Path) -> str:
    return sendable(str(path.relative_to(root) if path.is_relative_to(root) else path))
