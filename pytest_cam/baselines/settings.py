"""What the command line and the ini file say of baselines. Standard library and pytest only."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from pytest_cam.baselines.claiming import BaselineSettings, Update
from pytest_cam.errors import SettingError, is_ours, nearest
from pytest_cam.options import from_config, given_by, held_in
from pytest_cam.running import is_in_ci

__tracebackhide__ = is_ours

UNUSED = ("off", "warn", "error")
_NAME = re.compile(r"[^\s./\\:*?\"<>|][^/\\:*?\"<>|]*")


def settings_from(config: pytest.Config) -> BaselineSettings:
    """Return what a run says of baselines.

    Raises:
        SettingError: A setting has a value that there is not, or baselines are to be updated on a CI machine.
    """
    update = _one_of(config, "update", get_args(Update))
    if update is not None and is_in_ci() and not from_config(config, "update-in-ci"):
        raise SettingError(
            f"--cam-update={update} is refused here, since the environment variable CI is set "
            f"({os.environ['CI']!r}): a run that writes its own baselines passes whatever the model does. Update where "
            "the change can be looked at, or say --cam-update-in-ci as well"
        )
    unused_from(config)
    directory = _directory(config)
    return BaselineSettings(directory, Path(config.rootpath), config.invocation_params.dir, update)


def unused_from(config: pytest.Config) -> str:
    """Return what is done about baselines that no test claims.

    Raises:
        SettingError: The setting has a value that there is not.
    """
    return str(_one_of(config, "unused", UNUSED))


def _one_of(config: pytest.Config, name: str, accepted: tuple[str, ...]) -> Any:
    given = held_in(config, name)
    if given is not None and given not in accepted:
        raise SettingError(f"{given_by(config, name)} is {given!r}. {nearest(given, accepted)}")
    return given


def _directory(config: pytest.Config) -> str:
    name: str = held_in(config, "baselines")
    if not _NAME.fullmatch(name):
        raise SettingError(
            f"{given_by(config, 'baselines')} is {name!r}; accepted: the name of a directory, which is beside each "
            "test module, so without separators"
        )
    return name
