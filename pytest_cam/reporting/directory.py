"""The artifacts directory: found, made and tried before any test runs. Standard library and pytest only."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from pytest_cam.errors import ArtifactError
from pytest_cam.options import from_config, given_by, path_of

DIRECTORY_KEY = pytest.StashKey[Path | None]()


def directory_for(config: pytest.Config) -> Path | None:
    """Return the artifacts directory of a run, or None where none is wanted.

    Raises:
        ArtifactError: An empty name was given, as by an unset variable.
    """
    given: str | None = from_config(config, "artifacts")
    if given is None:
        return None
    if not given.strip():
        raise ArtifactError(
            f"{given_by(config, 'artifacts')} is empty; accepted: a directory. Leave it out to write no artifacts"
        )
    return path_of(config, "artifacts", given)


def prepare_directory(path: Path, named: str = "--cam-artifacts") -> None:
    """Make the artifacts directory, and make sure that files can be written to it.

    Args:
        path: The directory.
        named: How a message calls the setting that names it.

    Raises:
        ArtifactError: It is a file, or cannot be made or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except (FileExistsError, NotADirectoryError):
        raise ArtifactError(f"{named}: {path} is, or lies below, a file; accepted: a directory") from None
    except OSError as error:
        raise ArtifactError(
            f"{named}: {path} cannot be written to ({error.strerror or error}); accepted: a directory in which "
            "this user may create files"
        ) from None
