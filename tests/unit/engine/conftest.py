"""A classifier small enough to follow, and a picture for it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

import pytest
import torch
from torch import nn


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    # Networks this small gain nothing from threads, and wait for one another on a machine that does other work.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def classifier() -> nn.Sequential:
    """Five classes; "stem" and "layer" have a grid of 8 x 8, "pool" and what follows have none."""
    torch.manual_seed(0)
    return nn.Sequential(
        OrderedDict(
            stem=nn.Conv2d(3, 4, 3, padding=1),
            layer=nn.Conv2d(4, 4, 3, padding=1),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            head=nn.Linear(4, 5),
        )
    ).eval()


@pytest.fixture
def picture() -> torch.Tensor:
    return torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(1))
