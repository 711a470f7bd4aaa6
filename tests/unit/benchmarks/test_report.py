from __future__ import annotations

from datetime import date

from benchmarks.figures import Figure
from benchmarks.report import Circumstances, as_markdown, markdown, peers_table, summary, table

ROWS = [
    Figure("one map", "resnet50", 1.04, 1.10, interval=(1.02, 1.07), base="75.0 ms", rounds=40, batch=1),
    Figure("one map", "vgg16", 1.25, 1.20, base="250.0 ms", rounds=7, batch=8),
    Figure("one map", "swin_t", limit=1.10, batch=8, skipped="no such | library"),
]


def test_table_of_one_kind() -> None:
    assert table(ROWS).splitlines() == [
        "|  | batch | measured | limit | met | compared with | rounds | note |",
        "| --- | ---: | --- | --- | --- | --- | --- | --- |",
        "| resnet50 | 1 | 1.04 [1.02, 1.07] | 1.10 | yes | 75.0 ms | 40 |  |",
        "| vgg16 | 8 | 1.25 | 1.20 | NO | 250.0 ms | 7 |  |",
        "| swin_t | 8 |  | 1.10 | skipped |  |  | skipped: no such \\| library |",
    ]


def test_gpu_has_columns_of_its_own_beside_the_cpu() -> None:
    rows = [Figure("k", "a", 1.0, 1.1), Figure("k", "b", 1.05, 1.1), Figure("k", "a", 1.3, device="cuda", rounds=9)]
    lines = table(rows).splitlines()
    assert lines[0].count("(cpu)") == lines[0].count("(cuda)") == 5
    assert lines[2] == "| a | 1.00 | 1.10 | yes |  |  | 1.30 |  |  |  | 9 |  |"
    assert lines[3] == "| b | 1.05 | 1.10 | yes |  |  |  |  |  |  |  |  |"


def test_summary_shows_the_figure_that_fails_before_a_larger_one_that_does_not() -> None:
    rows = [
        Figure("a", "kept", 1.5, 1.6),
        Figure("b", "excused", 1.2, 1.0, below=True, excused="less memory"),
        Figure("b", "broken", 1.1, 1.0, below=True),
        Figure("c", "only reported", 3.0),
        Figure("d", "missing", limit=2.0, skipped="no GPU"),
        Figure("e", "raised", limit=5.0, unit="%", failed="ValueError: no"),
    ]
    assert summary(rows).splitlines()[2:] == [
        "| a | 1.60 | 1 of 1 | 1.50 (kept) |",
        "| b | below 1.00 | 1 of 2 | 1.10 (broken) |",
        "| d | 2.00 | skipped | skipped: no GPU |",
        "| e | 5.0 % | 0 of 1 | failed: ValueError: no |",
    ]


def test_libraries_stand_side_by_side() -> None:
    row = Figure("k", "resnet50", 0.9, batch=1, over_pass={"pytest-cam": 1.04, "captum": 1.2})
    other = Figure("k", "vit_b_16", 0.9, batch=8, over_pass={"pytest-cam": 1.08, "grad-cam": 4.0})
    assert peers_table([row, other]).splitlines() == [
        "|  | pytest-cam | captum | grad-cam |",
        "| --- | ---: | ---: | ---: |",
        "| resnet50, batch 1, cpu | 1.04 | 1.20 |  |",
        "| vit_b_16, batch 8, cpu | 1.08 |  | 4.00 |",
    ]


def test_report_says_where_and_when_and_how() -> None:
    report = as_markdown(
        ROWS, Circumstances("a machine", "torch 2.4", 2, "python -m benchmarks", ("No GPU.",), date(2025, 1, 2))
    )
    for part in ("`python -m benchmarks`, 2025-01-02, on a machine; torch held to 2 threads; torch 2.4.", "No GPU."):
        assert part in report
    assert report.index("## one map") > report.index("| one map | 1.10 | 1 of 1 |")


def test_columns_are_aligned_as_asked() -> None:
    assert markdown(["a", "b"], [["1", "2"]], right=[1]) == "| a | b |\n| --- | ---: |\n| 1 | 2 |"
