"""Which limits file a run has, and which margin."""

from __future__ import annotations

import pytest

from pytest_cam.errors import SettingError
from pytest_cam.reporting.limits_run import limits_path, margin_from


def test_the_limits_file_is_relative_to_where_it_is_given(pytester, monkeypatch):
    pytester.makeini("[pytest]\ncam_limits = of_ini.toml")
    (pytester.path / "below").mkdir()
    monkeypatch.chdir(pytester.path / "below")
    root = pytester.path

    assert limits_path(pytester.parseconfig("-c", str(root / "tox.ini"))) == root / "of_ini.toml"
    by_flag = pytester.parseconfig("-c", str(root / "tox.ini"), "--cam-limits=of_flag.toml")
    assert limits_path(by_flag) == by_flag.invocation_params.dir / "of_flag.toml"
    with pytest.raises(SettingError, match="--cam-limits is empty; accepted: a file"):
        limits_path(pytester.parseconfig("--cam-limits= "))


def test_tilde_is_the_home_of_the_user(pytester, monkeypatch):
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(pytester.path))

    assert limits_path(pytester.parseconfig("--cam-limits=~/limits.toml")) == pytester.path / "limits.toml"


@pytest.mark.parametrize("given", ["-0.1", "1", "nan", "inf", "much", ""])
def test_wrong_margin(pytester, given):
    with pytest.raises(SettingError, match=f"--cam-margin is '{given}'; accepted: a number from 0 to below 1"):
        margin_from(pytester.parseconfig(f"--cam-margin={given}"))


def test_margin_of_the_ini_file_and_without_one(pytester):
    assert margin_from(pytester.parseconfig()) == 0.1
    pytester.makeini("[pytest]\ncam_margin = 0.2")
    assert margin_from(pytester.parseconfig()) == 0.2
