"""The figures as Markdown: a summary of limits, then a table for each kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from benchmarks.figures import Figure


@dataclass(frozen=True)
class Circumstances:
    """What it takes to compare the figures with others.

    Attributes:
        machine: Processor, cores, GPU, system.
        versions: Of Python and of the packages.
        threads: How many threads torch was held to.
        command: What was run.
        remarks: What else a reader must know, a sentence each.
        day: When.
    """

    machine: str
    versions: str
    threads: int
    command: str
    remarks: tuple[str, ...] = ()
    day: date | None = None


def as_markdown(found: Sequence[Figure], circumstances: Circumstances) -> str:
    """Return the whole report."""
    parts = [
        "# Benchmark",
        "\n".join(
            [
                f"`{circumstances.command}`, {circumstances.day or date.today()}, on {circumstances.machine}; "
                f"torch held to {circumstances.threads} threads; {circumstances.versions}.",
                "",
                "Ratios are medians over rounds, in each of which every contender runs once on the same new input, in "
                "one process; in brackets is where the median lies with a confidence of 95 % (with fewer than six "
                "rounds, the range).",
                *circumstances.remarks,
            ]
        ),
        summary(found),
    ]
    for kind in dict.fromkeys(figure.kind for figure in found):
        rows = [figure for figure in found if figure.kind == kind]
        parts += [f"## {kind}", table(rows)]
        if any(len(figure.over_pass) > 1 for figure in rows):
            parts += ["The same, over a plain pass:", peers_table(rows)]
    return "\n\n".join(parts) + "\n"


def summary(found: Sequence[Figure]) -> str:
    """Return one row for each kind and limit: how many figures keep it, and the one that comes nearest or fails."""
    rows = []
    for kind, limit in dict.fromkeys((figure.kind, figure.limit) for figure in found):
        group = [figure for figure in found if (figure.kind, figure.limit) == (kind, limit)]
        judged = [figure for figure in group if figure.met is not None]
        measured = [figure for figure in group if figure.value is not None]
        if limit is None or not group:
            continue
        worst = max(measured, key=lambda figure: (not figure.met, figure.value or 0.0), default=None)
        kept = f"{sum(bool(figure.met) for figure in judged)} of {len(judged)}" if judged else "skipped"
        shown = f"{value_of(worst)} ({_where(worst)})" if worst else _why(group[0])
        rows.append([kind, limit_of(group[0]), kept, shown])
    return markdown(["figure", "limit", "met", "worst"], rows, right=()) if rows else "No figure here has a limit."


def table(rows: Sequence[Figure]) -> str:
    """Return the figures of one kind, with a column for the GPU where one was measured."""
    keys = dict.fromkeys((figure.name, figure.batch) for figure in rows)
    by_key = {(figure.name, figure.batch, figure.device): figure for figure in rows}
    devices = list(dict.fromkeys(figure.device for figure in rows))
    has_batch = any(figure.batch for figure in rows)
    body = []
    for name, batch in keys:
        cells = [name, str(batch) if batch else ""] if has_batch else [name]
        notes = []
        for device in devices:
            figure = by_key.get((name, batch, device))
            if figure is None:
                cells += ["", "", "", "", ""]
                continue
            cells += [value_of(figure), limit_of(figure), verdict(figure), figure.base, str(figure.rounds or "")]
            notes.append(_why(figure) or figure.note)
        body.append([*cells, "; ".join(filter(None, notes))])
    per_device = ["measured", "limit", "met", "compared with", "rounds"]
    suffix = {device: f" ({device})" if len(devices) > 1 else "" for device in devices}
    heads = ["", "batch"] if has_batch else [""]
    heads += [f"{head}{suffix[device]}" for device in devices for head in per_device]
    return markdown([*heads, "note"], body, right=(1,) if has_batch else ())


def peers_table(rows: Iterable[Figure]) -> str:
    """Return each library's time over a plain pass, for each network."""
    measured = [figure for figure in rows if figure.over_pass]
    names = list(dict.fromkeys(name for figure in measured for name in figure.over_pass))
    body = [
        [
            f"{figure.name}, batch {figure.batch}, {figure.device}",
            *(f"{figure.over_pass[name]:.2f}" if name in figure.over_pass else "" for name in names),
        ]
        for figure in measured
    ]
    return markdown(["", *names], body, right=range(1, len(names) + 1))


def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[int]) -> str:
    """Return a Markdown table; the columns of the indices in `right` are aligned to the right."""
    aligned = set(right)
    lines = [heads, ["---:" if index in aligned else "---" for index in range(len(heads))]]
    lines += [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines)


def value_of(figure: Figure) -> str:
    """Return the value with its unit and interval, or nothing."""
    if figure.value is None:
        return ""
    shown = _number(figure.value, figure.unit)
    if figure.interval is None:
        return shown
    low, high = (_number(bound, figure.unit, bare=True) for bound in figure.interval)
    return f"{shown} [{low}, {high}]"


def limit_of(figure: Figure) -> str:
    """Return the limit with its unit, or nothing."""
    if figure.limit is None:
        return ""
    return f"{'below ' if figure.below else ''}{_number(figure.limit, figure.unit)}"


def verdict(figure: Figure) -> str:
    """Return one word."""
    if figure.skipped:
        return "skipped"
    return {True: "yes", False: "NO", None: ""}[figure.met]


def _number(value: float, unit: str, bare: bool = False) -> str:
    if unit == "times":
        digits = 2 if abs(value) >= 0.1 else 4
        return f"{value:.{digits}f}"
    return f"{value:.1f}" if bare else f"{value:.1f} {unit}"


def _where(figure: Figure) -> str:
    batch = f", batch {figure.batch}" if figure.batch else ""
    return f"{figure.name}{batch}{', ' + figure.device if figure.device != 'cpu' else ''}"


def _why(figure: Figure) -> str:
    if figure.failed:
        return f"failed: {figure.failed}"
    return f"skipped: {figure.skipped}" if figure.skipped else ""
