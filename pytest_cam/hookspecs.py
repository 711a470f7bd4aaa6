"""The hooks that a project may implement in a conftest. Standard library and pytest only."""

from __future__ import annotations

import pytest


@pytest.hookspec(firstresult=True)
def pytest_cam_baseline_variant(config: pytest.Config) -> str | None:
    """Return what sets the baselines of this machine apart from those of others, or None for one of all.

    For projects whose maps differ from platform to platform by more than the rules allow. Each variant has files of
    its own, and those of the other variants are left alone:

        def pytest_cam_baseline_variant(config):
            return "cuda" if torch.cuda.is_available() else None

    Args:
        config: The run's.

    Returns:
        Up to 60 letters, digits, dashes and underscores, or None.
    """
