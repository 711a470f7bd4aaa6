"""Print what one map costs, against a plain pass of the same network: `python -m benchmarks`."""

from __future__ import annotations

import argparse
import os
import platform
from datetime import date

import torch
import torchvision

from benchmarks.timing import Comparison, compare
from pytest_cam import attend

# (network, its last layer with spatial extent, the ratio that one map may cost at most)
CASES = (("resnet50", "layer4", 1.10), ("mobilenet_v3_small", "features", 1.20))


def one_map(network: str, layer: str | None, rounds: int) -> Comparison:
    """Compare one Grad-CAM++ map, through the public call, with a plain inference pass; batch 1, 224 x 224."""
    torch.manual_seed(0)
    model = getattr(torchvision.models, network)(weights=None).eval()
    image = torch.randn(1, 3, 224, 224)

    def plain_pass() -> None:
        with torch.inference_mode():
            model(image)

    return compare(plain_pass, lambda: attend(model, image, layer=layer), rounds)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=100, help="timed pairs for each figure")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of torch")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    where = f"{platform.machine()}, {os.cpu_count()} cores, {arguments.threads} threads"
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, torchvision {torchvision.__version__}"
    print(f"{where}; {versions}; {date.today()}\n")
    print("| one map, batch 1 | plain pass | last layer | at most | layer=None |\n| --- | --- | --- | --- | --- |")
    for network, layer, limit in CASES:
        named = one_map(network, layer, arguments.rounds)
        automatic = one_map(network, None, arguments.rounds)
        print(f"| {network} | {named.baseline_ms:.1f} ms | {named.ratio:.3f} | {limit:.2f} | {automatic.ratio:.3f} |")


if __name__ == "__main__":
    main()
