"""ONE table of settings: the command line, the ini file, the marker and the documentation are made from it.

Standard library and pytest only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest


class Setting(NamedTuple):
    """One setting and where it may be set.

    Attributes:
        name: The keyword of calls and markers.
        meaning: One sentence for people.
        builtin: What holds where nothing is said.
        metavar: What the command line and the ini file take; None where they do not set it.
        marker: Whether `@pytest.mark.cam(name=...)` sets it, and calls do.
        fixture: The fixture that a project may override to set it, or None.
        is_switch: Whether the command line takes no value with it, and the ini file true or false.
        in_ini: Whether the ini file may set it, too: what writes or deletes files of the repository is said each time.
    """

    name: str
    meaning: str
    builtin: str | None = None
    metavar: str | None = None
    marker: bool = True
    fixture: str | None = None
    is_switch: bool = False
    in_ini: bool = True

    @property
    def is_configured(self) -> bool:
        """Whether the command line and the ini file set it."""
        return self.metavar is not None or self.is_switch

    @property
    def flag(self) -> str:
        """The command-line flag."""
        return f"--cam-{self.name}"

    @property
    def ini(self) -> str:
        """The ini key."""
        return f"cam_{self.name.replace('-', '_')}"


SETTINGS = (
    Setting(
        "artifacts",
        "Directory that gets pictures and numbers of each failing check; none are written without it. "
        "In an ini file it is relative to that file's directory.",
        metavar="DIR",
        marker=False,
    ),
    Setting("method", "The CAM method.", builtin="gradcam++", metavar="NAME"),
    Setting(
        "layer",
        "The layer to explain, as in `model.named_modules()`; without it, the last one with spatial extent.",
        metavar="NAME",
    ),
    Setting(
        "device",
        "Where the model under test is expected to be; the fixture that makes the model can take `cam_device` and "
        "put it there. Without it, the model is taken where it is.",
        metavar="DEVICE",
        fixture="cam_device",
    ),
    Setting(
        "target",
        "The score to explain: class index, class name or callable; without it, the predicted class.",
    ),
    Setting(
        "preprocess",
        "From an RGB PIL image to the model's input; not needed for tensors.",
        fixture="cam_preprocess",
    ),
    Setting(
        "class_names",
        "The names of the model's classes, or a weights member of torchvision; without it, those that the model "
        "carries.",
        fixture="cam_class_names",
    ),
    Setting(
        "output",
        "Which part of what the model returns is explained: a key, attribute, index or callable; without it, the only "
        "class scores in there.",
    ),
    Setting(
        "fill",
        "What stands in place of a part of the image that a check hides: blur, mean (the image's mean colour) or "
        "inpaint (what is around it).",
        builtin="blur",
        metavar="HOW",
    ),
    Setting(
        "no-cache",
        "Compute each map anew. Without it, a test session keeps what a pass found, so that several assertions on one "
        "image cost one pass.",
        marker=False,
        is_switch=True,
    ),
    Setting(
        "limits",
        "TOML file with the limits of checks, which `--cam-calibrate` writes. A limit in the call goes before "
        "the file, the file before what is built in. In an ini file it is relative to that file's directory.",
        metavar="FILE",
        marker=False,
    ),
    Setting(
        "calibrate",
        "Record the checks' values, apply no limits, and write what limits an accepted model suggests to the limits "
        "file; without a name for it, to `cam_limits.toml` in the root directory.",
        marker=False,
        is_switch=True,
        in_ini=False,
    ),
    Setting(
        "margin",
        "How far below the accepted model's value `--cam-calibrate` proposes a limit, or above it where less is "
        "better: a share of the way from chance to the ceiling, or of 1 where a number has neither.",
        builtin="0.1",
        metavar="SHARE",
        marker=False,
    ),
    Setting(
        "threads",
        "How many threads torch uses on the CPU: a number, or auto, which shares the cores out among the workers of "
        "pytest-xdist. Without it, torch is left as it is.",
        metavar="N",
        marker=False,
    ),
    Setting(
        "baselines",
        "The name of the directory, beside each test module, that holds the maps which later ones are compared with.",
        builtin="attention_baselines",
        metavar="NAME",
        marker=False,
    ),
    Setting(
        "update",
        "Write baselines: missing (those that there are not), changed (those too that a test fails for), or all.",
        metavar="WHICH",
        marker=False,
        in_ini=False,
    ),
    Setting(
        "update-in-ci",
        "Let baselines be written where the environment variable CI is set, which is refused otherwise.",
        marker=False,
        is_switch=True,
        in_ini=False,
    ),
    Setting(
        "unused",
        "What to do about baselines that no test claims, of modules that ran whole or are gone: off, warn or error.",
        builtin="warn",
        metavar="HOW",
        marker=False,
    ),
    Setting(
        "prune",
        "Delete the baselines that no test claims, of modules that ran whole or are gone.",
        marker=False,
        is_switch=True,
        in_ini=False,
    ),
    Setting(
        "colormap",
        "The colours of heat maps: one of OpenCV's colour maps, such as jet, turbo, viridis or inferno.",
        builtin="jet",
        metavar="NAME",
        marker=False,
    ),
    Setting("alpha", "The heat map's part of overlays, from 0 to 1.", builtin="0.5", metavar="SHARE", marker=False),
    Setting(
        "normalization",
        "How maps are stretched for drawing: max (from zero to their maximum) or min-max.",
        builtin="max",
        metavar="HOW",
        marker=False,
    ),
)
MARKER_KEYS = tuple(setting.name for setting in SETTINGS if setting.marker)


def add_to(parser: pytest.Parser) -> None:
    """Declare the command-line flags and ini keys, and the flag that prints layers instead of running tests."""
    group = parser.getgroup("cam", "attention regression tests (pytest-cam)")
    for setting in SETTINGS:
        text = setting.meaning + (f" Default: {setting.builtin}." if setting.builtin else "")
        if setting.is_switch:
            group.addoption(setting.flag, action="store_true", default=None, help=text)
        elif setting.metavar is not None:
            group.addoption(setting.flag, metavar=setting.metavar, default=None, help=text)
        if setting.is_configured and setting.in_ini:
            kind: Literal["bool", "string"] = "bool" if setting.is_switch else "string"
            default = False if setting.is_switch else None
            parser.addini(setting.ini, f"As {setting.flag}. {text}", type=kind, default=default)
    group.addoption(
        "--cam-list-layers",
        metavar="MODULE:FACTORY",
        default=None,
        help="Print the explainable layers of the model that the factory returns, or of a tuple (model, input): index, "
        "name, type, grid and channels of each, and which one is taken by default. No tests are run.",
    )


def marker_line() -> str:
    """Return the line that `pytest --markers` shows."""
    keys = ", ".join(f"{key}=..." for key in MARKER_KEYS)
    return f"cam({keys}): settings of the `cam` fixture for this test; the closest marker wins."


def from_config(config: pytest.Config, name: str) -> Any:
    """Return a setting from the command line, else from the ini file, else None; of a switch, whether it is on."""
    setting = setting_named(name)
    value = config.getoption(setting.flag)
    if value is None and setting.in_ini:
        return config.getini(setting.ini)
    return False if value is None and setting.is_switch else value


def held_in(config: pytest.Config, name: str) -> Any:
    """Return what holds where no call, marker or fixture gives a setting: see `from_config`; else what is built in."""
    value = from_config(config, name)
    return setting_named(name).builtin if value is None else value


def given_by(config: pytest.Config, name: str) -> str:
    """Return how a message calls a setting that is wrong: by its flag, or by its key where the ini file gave it."""
    setting = setting_named(name)
    return setting.ini if config.getoption(setting.flag) is None else setting.flag


def path_of(config: pytest.Config, name: str, given: str) -> Path:
    """Return where the given path of a setting leads: the ini file's is relative to that file, and "~" is home."""
    by_flag = config.getoption(setting_named(name).flag) is not None
    base = config.invocation_params.dir if by_flag or config.inipath is None else config.inipath.parent
    return base / os.path.expanduser(given)  # the shell has not: the name stands behind a =


def said_in(config: pytest.Config) -> set[str]:
    """Return which settings the command line and the ini file set to anything.

    Raises:
        pytest.UsageError: A value is of another type than its setting.
    """
    said = set()
    for setting in SETTINGS:
        if setting.is_configured:
            try:
                value = from_config(config, setting.name)
            except (TypeError, ValueError, pytest.UsageError) as error:  # the last since pytest 9.2
                told = f"{error}; accepted: true or false" if setting.is_switch else error
                raise pytest.UsageError(f"{setting.ini}: {told}") from None
            if isinstance(value, list):  # which a table that is not native may hold all the same
                raise pytest.UsageError(f"{setting.ini} is {value!r}; accepted: a string")
            if value not in (None, False):
                said.add(setting.name)
    return said


def setting_named(name: str) -> Setting:
    """Return the setting of that name.

    Raises:
        SettingError: There is no such setting.
    """
    for setting in SETTINGS:
        if setting.name == name:
            return setting
    from pytest_cam.errors import SettingError, nearest

    raise SettingError(f"there is no setting {name!r}. {nearest(name, [setting.name for setting in SETTINGS])}")


def markdown_table() -> str:
    """Return the table of settings for the documentation."""
    head = [
        "| setting | call, marker | command line | ini | fixture | what it does |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    return "\n".join([*head, *(f"| {' | '.join(_row(setting))} |" for setting in SETTINGS)])


def _row(setting: Setting) -> Iterator[str]:
    yield f"**{setting.name}**"
    yield f"`{setting.name}=`" if setting.marker else ""
    yield f"`{setting.flag}{'' if setting.is_switch else f'={setting.metavar}'}`" if setting.is_configured else ""
    yield f"`{setting.ini}`" if setting.is_configured and setting.in_ini else ""
    yield f"`{setting.fixture}`" if setting.fixture else ""
    yield setting.meaning + (f" Default: `{setting.builtin}`." if setting.builtin else "")
