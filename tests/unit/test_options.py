"""The table of settings, and what is made from it."""

from __future__ import annotations

import pytest

from pytest_cam import options
from pytest_cam.errors import SettingError


@pytest.mark.parametrize(
    ("name", "flag", "ini", "metavar", "marker", "builtin", "fixture"),
    [
        ("artifacts", "--cam-artifacts", "cam_artifacts", "DIR", False, None, None),
        ("method", "--cam-method", "cam_method", "NAME", True, "gradcam++", None),
        ("layer", "--cam-layer", "cam_layer", "NAME", True, None, None),
        ("device", "--cam-device", "cam_device", "DEVICE", True, None, "cam_device"),
        ("target", "--cam-target", "cam_target", None, True, None, None),
        ("preprocess", "--cam-preprocess", "cam_preprocess", None, True, None, "cam_preprocess"),
        ("class_names", "--cam-class_names", "cam_class_names", None, True, None, "cam_class_names"),
        ("output", "--cam-output", "cam_output", None, True, None, None),
        ("fill", "--cam-fill", "cam_fill", "HOW", True, "blur", None),
    ],
)
def test_setting_is_made_where_the_table_says(name, flag, ini, metavar, marker, builtin, fixture, pytester):
    setting = options.setting_named(name)

    assert (setting.flag, setting.ini, setting.metavar) == (flag, ini, metavar)
    assert (setting.marker, setting.builtin, setting.fixture) == (marker, builtin, fixture)
    assert (name in options.MARKER_KEYS) == marker
    # pytest itself knows the flag and the key exactly where the table has something for them to take.
    known = [known.name for known in options.SETTINGS if known.metavar]
    config = pytester.parseconfig(*(f"{options.setting_named(other).flag}=x" for other in known))
    assert (config.getoption(flag, default="unknown") != "unknown") == (metavar is not None)


def test_every_setting_is_in_the_table_of_this_test():
    assert [setting.name for setting in options.SETTINGS] == [
        "artifacts",
        "method",
        "layer",
        "device",
        "target",
        "preprocess",
        "class_names",
        "output",
        "fill",
        "no-cache",
        "limits",
        "calibrate",
        "margin",
        "threads",
        "baselines",
        "update",
        "update-in-ci",
        "unused",
        "prune",
        "colormap",
        "alpha",
        "normalization",
    ]


def test_unknown_setting_is_answered_with_the_nearest():
    with pytest.raises(SettingError, match=r"there is no setting 'metod'\. Did you mean 'method'\?"):
        options.setting_named("metod")


def test_documentation_has_a_row_for_each_setting():
    head, rule, *rows = options.markdown_table().splitlines()

    assert rule.count("|") == head.count("|") == 7
    assert [row.split("**")[1] for row in rows] == [setting.name for setting in options.SETTINGS]
    assert rows[1] == (
        "| **method** | `method=` | `--cam-method=NAME` | `cam_method` |  | The CAM method. Default: `gradcam++`. |"
    )
