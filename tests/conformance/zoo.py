"""Attend to one network after the other, each in a process of its own, and print what was found as JSON lines.

python -m tests.conformance.zoo torchvision resnet18 vit_b_16 ...
"""

from __future__ import annotations

import json
import os
import resource
import sys
import warnings
from typing import Any

import numpy as np
import torch
from torch import nn

from pytest_cam import attend
from pytest_cam.errors import CamError


def torchvision_network(name: str) -> tuple[nn.Module, tuple[int, int, int]]:
    import torchvision

    side = 299 if name == "inception_v3" else 224
    return getattr(torchvision.models, name)(weights=None), (3, side, side)


def timm_network(name: str) -> tuple[nn.Module, tuple[int, int, int]]:
    import timm

    model = timm.create_model(name, pretrained=False)
    return model, model.default_cfg["input_size"]


def look(make: Any, name: str) -> dict[str, Any]:
    """Return what `attend(model, image)` says of a network with random weights, and the process's peak memory."""
    torch.manual_seed(0)
    model, shape = make(name)
    image = torch.randn(1, *shape)
    found: dict[str, Any] = {"name": name, "fresh": None}
    try:
        attention = attend(model, image)
    except CamError as error:
        found["fresh"] = type(error).__name__
        # Some networks start with a head of zeros, whose score depends on nothing.
        head = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
        found["zero head"] = not bool(head.weight.any())
        nn.init.normal_(head.weight)
        attention = attend(model, image)
    found |= {
        "layer": attention.layer,
        "layout": attention.layout,
        "cells": attention.map.size,
        "finite": bool(np.isfinite(attention.map).all()),
        # A network with random weights may show no positive evidence in one map; then this method shows some.
        "max": float(attention.map.max()) or float(attend(model, image, method="layercam").map.max()),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    return found


def main(library: str, names: list[str]) -> None:
    make = {"torchvision": torchvision_network, "timm": timm_network}[library]
    for name in names:
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            continue
        try:
            answer = look(make, name)
        except Exception as error:  # whatever it is, it belongs to this network
            answer = {"name": name, "error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
        os._exit(0)


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # some networks announce other defaults
    main(sys.argv[1], sys.argv[2:])
