"""What the command line, the ini file and markers say of the settings."""

from __future__ import annotations

import pytest

from pytest_cam import configured, options
from pytest_cam.errors import SettingError


def test_a_switch_is_off_on_or_read_from_the_ini_file(pytester):
    assert options.from_config(pytester.parseconfig(), "no-cache") is False
    assert options.from_config(pytester.parseconfig("--cam-no-cache"), "no-cache") is True
    pytester.makeini("[pytest]\ncam_no_cache = true")
    assert options.from_config(pytester.parseconfig(), "no-cache") is True


@pytest.mark.parametrize("name", ["update", "update-in-ci", "prune"])
def test_what_writes_or_deletes_baselines_is_not_for_the_ini_file(name, pytester):
    assert not options.from_config(pytester.parseconfig(), name)
    pytester.makeini(f"[pytest]\n{options.setting_named(name).ini} = all")
    assert not options.from_config(pytester.parseconfig(), name)
    flag = options.setting_named(name).flag
    value = "" if options.setting_named(name).is_switch else "=all"
    assert options.from_config(pytester.parseconfig(f"{flag}{value}"), name)
    assert options.setting_named(name).ini not in options.markdown_table()


def test_a_switch_of_one_run_has_no_ini_key(pytester):
    assert options.from_config(pytester.parseconfig(), "calibrate") is False
    assert options.from_config(pytester.parseconfig("--cam-calibrate"), "calibrate") is True
    with pytest.raises(ValueError, match="unknown configuration value"):
        pytester.parseconfig().getini("cam_calibrate")


@pytest.mark.parametrize(
    ("args", "workers", "expected"), [((), 2, None), (("--cam-threads=3",), 2, 3), (("--cam-threads=auto",), 10**6, 1)]
)
def test_threads(pytester, args, workers, expected):
    assert configured.threads_from(pytester.parseconfig(*args), workers) == expected


def test_auto_shares_the_cores_out(pytester, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    config = pytester.parseconfig("--cam-threads=auto")
    assert [configured.threads_from(config, workers) for workers in (1, 2, 3, 8, 20)] == [8, 4, 2, 1, 1]


@pytest.mark.parametrize("given", ["0", "-1", "two", "1.5", "", "1025", "9" * 5000])
def test_wrong_threads(pytester, given):
    with pytest.raises(SettingError, match=f"--cam-threads is '{given}'; accepted: a number from 1 to 1024, or 'auto'"):
        configured.threads_from(pytester.parseconfig(f"--cam-threads={given}"), 1)


def test_command_line_wins_over_the_ini_file_even_when_it_is_empty(pytester):
    pytester.makeini("[pytest]\ncam_method = hirescam")

    assert options.from_config(pytester.parseconfig(), "method") == "hirescam"
    assert options.from_config(pytester.parseconfig("--cam-method=layercam"), "method") == "layercam"
    assert options.from_config(pytester.parseconfig("--cam-method="), "method") == ""
    assert options.from_config(pytester.parseconfig(), "layer") is None


def test_closest_marker_that_has_the_setting_wins(pytester):
    item = pytester.getitem(
        """
        import pytest

        pytestmark = pytest.mark.cam(layer="far", target=0)

        @pytest.mark.cam(layer="near", method=None)
        def test_func():
            pass
        """
    )

    item.add_marker(pytest.mark.cam(seed=7, nonsense=1))  # too late to be refused at collection
    assert configured.from_markers(item) == {"layer": "near", "target": 0}
