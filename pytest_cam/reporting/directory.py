"""The artifacts directory: found, made and tried before any test runs. Standard library only."""

from __future__ import annotations

import tempfile
from pathlib import Path

from pytest_cam.errors import ArtifactError


def prepare_directory(path: Path) -> None:
    """Make the artifacts directory, and make sure that files can be written to it.

    Raises:
        ArtifactError: It is a file, or cannot be made or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except (FileExistsError, NotADirectoryError):
        raise ArtifactError(f"--cam-artifacts: {path} is, or lies below, a file; accepted: a directory") from None
    except OSError as error:
        raise ArtifactError(
            f"--cam-artifacts: {path} cannot be written to ({error.strerror or error}); accepted: a directory in which "
            "this user may create files"
        ) from None
