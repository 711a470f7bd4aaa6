"""What the command line and the ini file say of a run, tried before any of its tests runs."""

from __future__ import annotations

import pytest

from pytest_cam.baselines.session import session_of
from pytest_cam.configured import require_fill_in, style_from, threads_from
from pytest_cam.errors import ArtifactError, SettingError
from pytest_cam.options import from_config, given_by
from pytest_cam.reporting.baselines_summary import begin_summary
from pytest_cam.reporting.directory import DIRECTORY_KEY, directory_for, prepare_directory
from pytest_cam.reporting.limits_run import begin_limits
from pytest_cam.reporting.recorder import STYLE_KEY, RunSummary


def begin_run(config: pytest.Config) -> None:
    """Do what the settings of a run ask for before its tests, and before xdist starts its workers.

    Raises:
        pytest.UsageError: A setting has a value that there is not, or the artifacts directory cannot be written to.
    """
    try:
        _set_threads(config)
        begin_limits(config)
        config.stash[STYLE_KEY] = style_from(config)
        require_fill_in(config)
        session_of(config)
        begin_summary(config)
        directory = config.stash[DIRECTORY_KEY] = directory_for(config)
        # Under xdist the controller answers for the run.
        if directory is None or hasattr(config, "workerinput"):
            return
        prepare_directory(directory, given_by(config, "artifacts"))
    except (ArtifactError, SettingError) as error:
        raise pytest.UsageError(str(error)) from None
    # xdist hands its workers the options as they are now; a worker may run in another directory.
    config.option.cam_artifacts = str(directory)
    config.pluginmanager.register(RunSummary(directory, config), "cam-summary")


def _set_threads(config: pytest.Config) -> None:
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    threads = threads_from(config, workers)
    # What only hands out tests to workers computes nothing, and need not wait for torch.
    # By what xdist registers: a `--dist` in addopts hands out nothing where no `-n` goes with it.
    hands_out = config.pluginmanager.has_plugin("dsession")
    if threads is None or hands_out or (workers == 1 and from_config(config, "threads") == "auto"):
        return
    import torch

    before = torch.get_num_threads()
    config.add_cleanup(lambda: torch.set_num_threads(before))
    torch.set_num_threads(threads)
