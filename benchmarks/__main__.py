"""`python -m benchmarks`: print the figures of this machine as a Markdown table."""

from __future__ import annotations

import argparse

from benchmarks.one_map import CASES, as_markdown, measured

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="The cost of one map over a plain pass.")
    parser.add_argument("--rounds", type=int, default=100, help="pairs of passes for each network (default: 100)")
    rounds = parser.parse_args().rounds
    if rounds < 1:
        parser.error(f"--rounds is {rounds}; accepted: 1 or more")
    print(as_markdown([measured(case, rounds) for case in CASES], rounds))
