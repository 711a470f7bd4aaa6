"""`python -m benchmarks`: measure, print the table, and write it and a plot."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

# Before torch is loaded: its profiler would write to the terminal.
os.environ.setdefault("KINETO_LOG_LEVEL", "99")

import torch

from benchmarks import (
    against_peers,
    many_maps,
    memory,
    one_map,
    perturbation,
    plot,
    precision,
    startup,
    suite,
)
from benchmarks.figures import Figure, UnavailableError
from benchmarks.machine import cores, machine, versions
from benchmarks.networks import networks_named
from benchmarks.project import ROOT
from benchmarks.report import Circumstances, as_markdown, value_of, verdict
from benchmarks.setup import Setup
from benchmarks.timing import Effort

PARTS: dict[str, Callable[[Setup], Iterator[Figure]]] = {
    "one-map": one_map.figures,
    "peers": against_peers.figures,
    "many-maps": many_maps.figures,
    "memory": memory.figures,
    "precision": precision.figures,
    "perturbation": perturbation.figures,
    "suite": suite.figures,
    "startup": startup.figures,
}
QUICK_NETWORKS = ["resnet18", "mobilenet_v3_small"]
EVIDENCE = ROOT / "benchmarks"
SCRATCH = ROOT / "build" / "benchmarks"


def main(arguments: Sequence[str]) -> None:
    """Run the benchmark."""
    options = _parsed(arguments)
    torch.set_num_threads(options.threads)
    setup = _setup(options)
    start, found = time.perf_counter(), []
    for part in options.only:
        for figure in PARTS[part](setup):
            # The limits are those of the CPU: of a pass on a GPU, the calls themselves are the larger part.
            found.append(figure if figure.device == "cpu" else replace(figure, limit=None))
            _tell(found[-1], time.perf_counter() - start)
    report = as_markdown(found, _circumstances(setup, options.threads, arguments))
    print(report)
    directory: Path = options.output or (EVIDENCE if _is_whole(arguments) else SCRATCH)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.md").write_text(report, encoding="utf-8")
    try:
        plot.draw(
            found, directory / "results.png", f"{machine()}; {options.threads} threads; torch {torch.__version__}"
        )
    except UnavailableError as reason:
        print(f"plot: skipped: {reason}", file=sys.stderr)
    print(f"written to {directory}, after {(time.perf_counter() - start) / 60:.1f} minutes", file=sys.stderr)


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure what pytest-cam costs, print a table, and write results.md and results.png: to "
        "benchmarks/ when everything is measured, else to build/benchmarks/.",
    )
    parser.add_argument("--only", type=_list_of(PARTS), default=list(PARTS), help=f"some of {','.join(PARTS)}")
    parser.add_argument("--networks", help="some of the ten networks, by their names with commas between them")
    parser.add_argument(
        "--devices", type=_list_of(_devices()), default=_devices(), help="some of cpu,cuda (default: all there are)"
    )
    parser.add_argument("--rounds", type=int, help="exactly so many rounds, instead of what fits the time")
    parser.add_argument("--budget", type=float, default=1.0, help="multiplies the seconds of each figure (default: 1)")
    parser.add_argument("--threads", type=int, default=cores(), help="torch's threads (default: one for each core)")
    parser.add_argument("--output", type=Path, metavar="DIR", help="where results.md and results.png go")
    parser.add_argument("--quick", action="store_true", help="two small networks and two rounds: is everything there?")
    options = parser.parse_args(arguments)
    for name in ("rounds", "budget", "threads"):
        value = getattr(options, name)
        if value is not None and value <= 0:
            parser.error(f"--{name} is {value}; accepted: more than 0")
    names = options.networks.split(",") if options.networks else QUICK_NETWORKS if options.quick else None
    try:
        options.networks = networks_named(names)
    except ValueError as error:
        parser.error(str(error))
    return options


def _devices() -> list[str]:
    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def _list_of(known: Collection[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        unknown = [name for name in text.split(",") if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"there is no {', '.join(unknown)} here; accepted: {', '.join(known)}")
        return text.split(",")

    return parse


def _setup(options: argparse.Namespace) -> Setup:
    effort = Effort(scale=options.budget)
    if options.quick:
        effort = Effort(least=2, most=2, warm_up=1)
    if options.rounds is not None:
        effort = replace(effort, least=options.rounds, most=options.rounds)
    return Setup(
        tuple(options.networks), effort, tuple(options.devices), (1, 2) if options.quick else (1, 8), options.quick
    )


def _circumstances(setup: Setup, threads: int, arguments: Sequence[str]) -> Circumstances:
    remarks = []
    if "cuda" not in _devices():
        remarks.append("The columns of a GPU are skipped: torch finds no CUDA device.")
    if "cuda" in setup.devices:
        remarks.append("Limits are judged on the CPU; what a GPU takes is reported.")
    if setup.quick:
        remarks.append("**A quick run, that only shows that everything works: no evidence.**")
    return Circumstances(machine(), versions(), threads, " ".join(["python -m benchmarks", *arguments]), tuple(remarks))


def _is_whole(arguments: Sequence[str]) -> bool:
    """Return whether what is measured may take the place of the evidence that is kept."""
    return not any(
        argument.startswith(("--only", "--networks", "--devices", "--quick", "--rounds")) for argument in arguments
    )


def _tell(figure: Figure, spent: float) -> None:
    batch = f", batch {figure.batch}" if figure.batch else ""
    shown = figure.skipped or figure.failed or value_of(figure)
    print(
        f"{spent:5.0f} s  {figure.kind}: {figure.name}{batch}: {shown} {verdict(figure)}", file=sys.stderr, flush=True
    )


if __name__ == "__main__":
    main(sys.argv[1:])
