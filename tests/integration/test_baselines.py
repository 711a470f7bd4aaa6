"""--cam-update, --cam-unused and --cam-prune: maps that are kept beside the tests, and what becomes of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

# As many processes as runs, and each imports torch: the three ways are tried by the workflow, with the sweep.
# A model that looks where the photo is bright, or, where a file says so, some columns beside it.
MOVABLE = """
        import os
        from pathlib import Path

        import torch

        from pytest_cam import BaselineError, assert_attention_matches_baseline

        ROOT = Path(__file__).parent


        class Moved(torch.nn.Module):
            def __init__(self):
                super().__init__()
                file = ROOT / "columns"
                columns = int(file.read_text()) if file.exists() else 0
                self.register_buffer("columns", torch.tensor(columns))

            def forward(self, image):
                return image.roll(int(self.columns), dims=-1)


        def matches(name=None, model=None, img=None, verb=assert_attention_matches_baseline, **how):
            how = {"layer": "0", "method": "gradcam", "target": 1} | how
            network = torch.nn.Sequential(Moved(), *spotlight()[1:]) if model is None else model
            return verb(network, make_photo() if img is None else img, name, **how)

"""
ONE_TEST = (
    MOVABLE
    + """
        def test_looks(cam):
            matches(verb=cam.assert_attention_matches_baseline)
"""
)


@pytest.fixture(autouse=True)
def _no_ci(monkeypatch):
    monkeypatch.delenv("CI", raising=False)


def files(project, module="test_looks") -> list[Path]:
    return sorted((project.path / "attention_baselines" / module).glob("*.json"))


def move(project, columns: int) -> None:
    (project.path / "columns").write_text(str(columns))


# Names that would have one file if they only lost what no file name may hold, or are longer than one.
FEW_IDS = ["a/b", "a:b", "x" * 300 + "1", "猫"]
IDS = [*FEW_IDS, "ab", "a b", "x" * 300 + "2", "é", "è"]


def named_tests(ids: list[str]) -> str:
    return f"""
        @pytest.mark.parametrize("number", range({len(ids)}), ids={ids})
        def test_named(number):
            matches(img=make_photo().roll(number % 3, dims=-1))
"""


# Each value of --cam-update with each thing that it may do.
@pytest.mark.parametrize(("create", "accept"), [("missing", "all"), ("changed", "changed")])
def test_create_pass_change_fail_update_pass(project, create, accept):
    project.write(test_looks=ONE_TEST + named_tests(FEW_IDS))
    # What fails is run again; no other test here is.
    count, reruns = 1 + len(FEW_IDS), ("--reruns=1",)

    missing = project.run(*reruns)
    created = project.run(f"--cam-update={create}", *reruns)
    (file,) = (path for path in files(project) if path.name.startswith("test-looks-"))
    every = files(project)
    first = [path.read_bytes() for path in every]
    passing = project.run(*reruns)
    move(project, 3)
    failing = project.run_with_artifacts(*reruns)
    if create == "missing":
        still_failing = project.run(f"--cam-update={create}", *reruns)
        still_failing.assert_outcomes(failed=count)
    updated = project.run(f"--cam-update={accept}", *reruns)
    passing_again = project.run(*reruns)
    second = [path.read_bytes() for path in every]
    if create == "changed":
        for path in every:
            path.unlink()
    written_again = project.run("--cam-update=all", *reruns)

    assert len(every) == len(set(first)) == count  # the name of the test is in each
    missing.assert_outcomes(failed=count)
    missing.stdout.fnmatch_lines(
        ["*BaselineError: there is no baseline attention_baselines/test_looks/test-looks-*.json. *"]
    )
    missing.stdout.fnmatch_lines(["*keep it: pytest test_looks.py::test_looks --cam-update=missing"])
    created.assert_outcomes(passed=count)
    created.stdout.fnmatch_lines(["*- attention baselines -*", "new attention_baselines/test_looks/test-looks-*.json"])
    passing.assert_outcomes(passed=count)
    passing.stdout.no_fnmatch_line("*attention baselines*")
    failing.assert_outcomes(failed=count)
    # A quarter of the photo moves by 3 of 8 columns: 3 / hypot(8, 8) = 0.27.
    failing.stdout.fnmatch_lines(["*AttentionError: attention matches baseline: EMD 0.27 > 0.15; Pearson *"])
    failing.stdout.fnmatch_lines(["*accept its map: pytest test_looks.py::test_looks --cam-update=changed"])
    updated.assert_outcomes(passed=count)
    updated.stdout.fnmatch_lines(["*- attention baselines -*", "changed *: EMD 0.265, *"])
    passing_again.assert_outcomes(passed=count)
    written_again.assert_outcomes(passed=count)
    assert all(now != before for now, before in zip(second, first, strict=True))
    assert [path.read_bytes() for path in every] == second
    assert files(project) == every
    assert [path.name for path in file.parent.iterdir() if path.suffix not in (".json", ".png")] == []


def test_paths_and_commands_work_where_pytest_was_started(project, monkeypatch):
    project.pytester.makeini("[pytest]\npythonpath = .")
    project.write(test_looks=ONE_TEST)
    below, beside = project.path / "sub" / "deep", project.path / "sub" / "other"
    for directory in (below, beside):
        directory.mkdir(parents=True)
        shutil.copy(project.path / "test_looks.py", directory / "test_deep.py")
    monkeypatch.chdir(below)

    here = project.run("test_deep.py")
    there = project.run("../other")
    created = project.run("test_deep.py::test_looks", "--cam-update=missing")
    (below / "test_deep.py").unlink()
    left = project.run(str(below))

    here.stdout.fnmatch_lines(["*there is no baseline attention_baselines/test_deep/test-looks-*.json. *"])
    here.stdout.fnmatch_lines(["*keep it: pytest test_deep.py::test_looks --cam-update=missing"])
    there.stdout.fnmatch_lines(["*keep it: pytest ../other/test_deep.py::test_looks --cam-update=missing"])
    created.stdout.fnmatch_lines(["new attention_baselines/test_deep/test-looks-*.json"])
    left.stdout.fnmatch_lines(["*found 1 baseline that no test claims*", "attention_baselines/test_deep/test-looks-*"])


def test_failing_comparison_leaves_expected_actual_and_difference(project):
    project.write(test_looks=ONE_TEST)
    project.run("--cam-update=missing")
    move(project, 3)

    project.run_with_artifacts().assert_outcomes(failed=1)

    (document,) = project.documents()["test_looks"]
    assert [view["name"] for view in document["views"]] == ["expected", "actual", "difference"]
    assert {"expected.png", "actual.png", "difference.png", "panel.png", "expected.npy"} <= set(document["files"])
    assert document["facts"]["rule"] == ("retrained: the weights differ from the baseline's, the architecture does not")
    assert document["facts"]["baseline"].startswith("attention_baselines/test_looks/test-looks-")


def test_names_that_collide_are_long_or_not_ascii_each_have_a_file(project):
    project.write(
        test_looks=MOVABLE
        + named_tests(IDS)
        + """
        def test_hündin():
            matches()
            matches("Hündin")
            matches("x" * 300)
        """
    )

    created = project.run("--cam-update=missing")
    passing = project.run()

    created.assert_outcomes(passed=10)
    passing.assert_outcomes(passed=10)
    passing.stdout.no_fnmatch_line("*no test claims*")
    assert len(files(project)) == 12
    assert max(len(path.name.encode()) for path in files(project)) < 100
    assert {path.stem for path in files(project)} == {
        path.stem for path in (project.path / "attention_baselines" / "test_looks").glob("*.png")
    }


def test_reruns_claim_and_write_again(project):
    project.write(
        test_looks=MOVABLE
        + """
        def test_flaky():
            matches()
            file = ROOT / "attempts"
            file.write_text(file.read_text() + "x" if file.exists() else "x")
            assert len(file.read_text()) % 2 == 0
        """
    )

    created = project.run("--cam-update=missing", "--reruns=1")
    passing = project.run("--reruns=1", "--cam-unused=error")

    created.assert_outcomes(passed=1)
    assert str(created.stdout).count("new attention_baselines") == 1
    assert passing.ret == 0
    assert len(files(project)) == 1


def test_two_claims_of_one_baseline_are_an_error(project):
    project.write(
        test_looks=MOVABLE
        + """
        @pytest.mark.parametrize("number", [1, 2])
        def test_shared(number):
            matches("shared")

        def test_twice():
            matches()
            with pytest.raises(BaselineError, match="one baseline twice .without a name.*name="):
                matches()
        """
    )

    result = project.run("--cam-update=missing")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    # With workers each of the two tests may run in another process, and the run fails at its end.
    assert result.parseoutcomes()["passed"] in (2, 3)
    result.stdout.fnmatch_lines(["*two tests claim the baseline attention_baselines/test_looks/shared-*.json: *"])
    result.stdout.fnmatch_lines(["*test_shared?1? and test_looks.py::test_shared?2?; accepted: one each*"])


def test_a_test_that_is_repeated_claims_its_baselines_each_time(project):
    project.write(
        test_looks=MOVABLE
        + """
        @pytest.mark.parametrize("target", [0, 1])
        def test_images(target):
            matches()
            matches(f"named {target}")

        def test_plain():
            matches()
            matches("plain")

        @pytest.mark.parametrize("number", [1, 2])
        def test_shared(number):
            matches("plain")
        """
    )
    project.run("--cam-update=missing", "-k=not shared").assert_outcomes(passed=3)
    kept = files(project)
    project.repeat()

    again = project.run("-k=not shared", "--cam-unused=error")
    project.run("-k=not shared", "--cam-update=all")
    shared = project.run()

    again.assert_outcomes(passed=6)
    assert again.ret == 0
    assert files(project) == kept
    assert shared.ret == pytest.ExitCode.TESTS_FAILED
    shared.stdout.fnmatch_lines(["*two tests claim the baseline attention_baselines/test_looks/plain-*.json: *"])


def test_arguments_with_underscores_are_no_repetitions(project):
    project.write(
        test_looks=MOVABLE
        + """
        @pytest.fixture(params=["first", "second"])
        def __photo(request):
            return request.param

        @pytest.mark.parametrize("__image", ["first", "second"])
        def test_argument(__image):
            matches()

        def test_fixture(__photo):
            matches()
        """
    )

    project.run("--cam-update=missing").assert_outcomes(passed=4)

    assert len(files(project)) == 4


def test_fixture_that_tests_share_has_no_baseline(project):
    project.write(
        test_looks=MOVABLE
        + """
        @pytest.fixture(scope="module")
        def shared():
            matches("shared")

        @pytest.fixture
        def own():
            matches()

        def test_shared(shared):
            pass

        def test_own(own):
            pass
        """
    )

    result = project.run("--cam-update=missing")

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["E *BaselineError: * in a fixture that several tests share, *scope 'function', *"])
    assert [path.name[:8] for path in files(project)] == ["test-own"]


def test_update_is_refused_on_ci(project, monkeypatch):
    project.write(test_looks=ONE_TEST)
    monkeypatch.setenv("CI", "true")

    refused = project.run("--cam-update=all")
    allowed = project.run("--cam-update=all", "--cam-update-in-ci")
    compared = project.run()

    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    refused.stderr.fnmatch_lines(["ERROR: --cam-update=all is refused here, *CI is set ('true')*--cam-update-in-ci*"])
    allowed.assert_outcomes(passed=1)
    compared.assert_outcomes(passed=1)


@pytest.mark.parametrize("value", ["", "0", "False ", "no"])
def test_what_says_that_this_is_no_ci_refuses_no_update(project, monkeypatch, value):
    project.write(test_looks=ONE_TEST)
    monkeypatch.setenv("CI", value)

    project.run("--cam-update=missing").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        ("--cam-update=everything", "*--cam-update is 'everything'. Accepted: 'missing', 'changed', 'all'."),
        ("--cam-unused=wran", "*--cam-unused is 'wran'. Did you mean 'warn'?"),
        ("--cam-baselines=../elsewhere", "*--cam-baselines is '../elsewhere'; accepted: the name of a directory*"),
        ("--cam-baselines=", "*--cam-baselines is ''; accepted: the name of a directory*"),
    ],
)
def test_wrong_settings_end_the_run(project, args, complaint):
    project.write(test_looks=ONE_TEST)

    result = project.run(args)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([complaint])


TWO_TESTS = (
    MOVABLE
    + """
        class TestLooks:
            def test_one(self):
                matches()

        def test_two():
            matches()
"""
)


def test_baselines_of_another_file_with_the_same_stem_are_left_alone(project):
    project.write(test_doc=ONE_TEST)
    project.run("--cam-update=missing")
    (kept,) = files(project, "test_doc")
    of_doctest = kept.with_name("test-doc-txt-ecd20c12.json")
    of_doctest.write_text(kept.read_text().replace("test_doc.py::", "test_doc.txt::"))

    result = project.run("--cam-unused=error", "--cam-prune", "test_doc.py")

    assert result.ret == 0
    assert of_doctest.exists()


def test_baselines_that_no_test_claims_are_told_of_and_pruned(project):
    project.write(test_looks=TWO_TESTS, test_others=ONE_TEST)
    project.run("--cam-update=missing")
    project.write(test_looks=TWO_TESTS.replace("test_one", "test_uno"))
    project.run("test_looks.py", "--cam-update=missing")
    others = [files(project)[0].parent / name for name in ("notes.json", "test-two-00000000.linux.json", "one.png")]
    for path in others:
        path.write_text("{}")

    (orphan,) = (path for path in files(project) if "test-one" in path.name)
    warned = project.run()
    off = project.run("--cam-unused=off")
    failed = project.run("--cam-unused=error")
    partial = [
        project.run("--cam-unused=error", "--cam-prune", *selection)
        for selection in (["-k", "two"], ["test_looks.py::test_two"], ["--deselect", "test_looks.py::test_two"])
    ]
    assert orphan.exists()
    pruned = project.run("--cam-unused=error", "--cam-prune")
    clean = project.run("--cam-unused=error")

    assert (warned.ret, off.ret, failed.ret) == (0, 0, 1)
    shown = f"attention_baselines/test_looks/{orphan.name}"
    warned.stdout.fnmatch_lines(["*- attention: found 1 baseline that no test claims -*", shown, "--cam-prune *"])
    off.stdout.no_fnmatch_line("*no test claims*")
    failed.stdout.fnmatch_lines(["*! attention: found 1 baseline that no test claims !*", shown])
    assert [result.ret for result in partial] == [0, 0, 0]
    assert pruned.ret == clean.ret == 0
    pruned.stdout.fnmatch_lines(["*- attention: deleted 1 baseline that no test claims -*", shown])
    assert not orphan.exists()
    assert not orphan.with_suffix(".png").exists()
    assert all(path.exists() for path in others)
    assert len(files(project)) == 4
    assert len(files(project, "test_others")) == 1


def test_named_baseline_that_no_test_claims_is_told_of_and_pruned(project):
    both = (
        MOVABLE
        + """
        def test_looks():
            matches("dog")
            matches("cat")
"""
    )
    project.write(test_looks=both)
    project.run("--cam-update=missing")
    project.write(test_looks=both.replace('matches("cat")', "pass"))
    cat, dog = files(project)

    failed = project.run("--cam-unused=error")
    pruned = project.run("--cam-prune")

    assert (failed.ret, pruned.ret) == (1, 0)
    failed.stdout.fnmatch_lines(["*! attention: found 1 baseline that no test claims !*", f"*/{cat.name}"])
    assert files(project) == [dog]


def test_run_that_could_not_prune_fails(project):
    project.write(test_looks=TWO_TESTS)
    project.run("--cam-update=missing")
    project.write(test_looks=TWO_TESTS.replace("test_one", "test_uno"))
    project.run("--cam-update=missing")
    (orphan,) = (path for path in files(project) if "test-one" in path.name)
    orphan.with_suffix(".png").unlink()
    orphan.with_suffix(".png").mkdir()

    result = project.run("--cam-prune")

    result.assert_outcomes(passed=2)
    assert result.ret == 1
    assert orphan.exists()  # so that the next run says so again
    result.stdout.fnmatch_lines(["*! attention: baselines failed !*", f"*/{orphan.name} could not be deleted (*)"])


def test_baselines_of_a_module_that_is_gone_are_told_of_by_runs_of_its_directory(project):
    project.write(test_looks=TWO_TESTS, test_others=ONE_TEST)
    project.run("--cam-update=missing")
    (project.path / "test_looks.py").rename(project.path / "test_renamed.py")
    left = files(project)
    for place in ("elsewhere", "alone"):
        (project.path / place).mkdir()
    (project.path / "elsewhere" / "test_nothing.py").write_text("def test_nothing(): pass")

    renamed = project.run("test_renamed.py", "--cam-prune")
    last_failed = project.run("--cam-prune", "--lf")
    partial = [
        project.run("--cam-unused=error", "--cam-prune", *selection)
        for selection in (["test_others.py"], ["-k", "others"], ["elsewhere"], ["--collect-only"])
    ]
    failed = project.run("--cam-unused=error", "test_others.py", ".")
    assert files(project) == left
    pruned = project.run("--cam-prune")
    clean = project.run("--cam-unused=error", "--cam-update=missing")
    (project.path / "attention_baselines").rename(project.path / "alone" / "attention_baselines")
    alone = project.run("--cam-unused=error", "alone")
    project.run("--cam-prune", "alone")

    renamed.stdout.fnmatch_lines(
        ["*BaselineError: there is no *. attention_baselines/test_looks/test-two-*.json is of a module that no *"]
    )
    for result in (renamed, last_failed, *partial):
        result.stdout.no_fnmatch_line("*no test claims*")
    assert [result.ret for result in partial] == [0, 0, 0, 0]
    failed.stdout.fnmatch_lines(["*! attention: found 2 baselines that no test claims !*"])
    failed.stdout.fnmatch_lines([f"attention_baselines/test_looks/{path.name}" for path in left])
    pruned.stdout.fnmatch_lines(["*- attention: deleted 2 baselines that no test claims -*"])
    assert not (project.path / "alone" / "attention_baselines" / "test_looks").exists()
    clean.assert_outcomes(passed=4)
    assert clean.ret == 0
    alone.stdout.fnmatch_lines(["*! attention: found 3 baselines that no test claims !*"])
    assert list((project.path / "alone").iterdir()) == []  # with the last baseline the directory of them goes, too


def test_baselines_of_a_module_without_tests_are_told_of_by_runs_of_its_directory(project):
    project.write(test_looks=TWO_TESTS, test_others=ONE_TEST)
    project.run("--cam-update=missing")
    project.write(test_looks="# They were all deleted.\nclass TestLooks:\n    pass\n")
    left = files(project)
    damaged = left[0].with_name("damaged-00000000.json")
    damaged.write_text("{")

    partial = [
        project.run("--cam-prune", *selection)
        for selection in (["test_looks.py"], ["test_looks.py", "test_others.py"], ["-k", "looks"], ["--collect-only"])
    ]
    assert files(project) == [damaged, *left]
    failed = project.run("--cam-unused=error")
    pruned = project.run("--cam-prune")

    for result in partial:
        result.stdout.no_fnmatch_line("*no test claims*")
    failed.stdout.fnmatch_lines(["*! attention: found 2 baselines that no test claims !*"])
    failed.stdout.fnmatch_lines([f"attention_baselines/test_looks/{path.name}" for path in left])
    assert failed.ret == pytest.ExitCode.TESTS_FAILED
    pruned.stdout.fnmatch_lines(["*- attention: deleted 2 baselines that no test claims -*"])
    assert files(project) == [damaged]  # it does not say whose it is
    assert len(files(project, "test_others")) == 1


def test_missing_baseline_names_that_of_a_test_that_the_module_no_longer_has(project):
    project.write(test_looks=TWO_TESTS + named_tests(["cat", "dog"]))
    project.run("--cam-update=missing").assert_outcomes(passed=4)
    renamed = (
        (TWO_TESTS + named_tests(["cat", "dog"])).replace("test_one", "test_uno").replace("test_named", "test_red")
    )
    project.write(test_looks=renamed + "\n        def test_new():\n            matches('new')\n")

    whole = project.run()
    alone = project.run("test_looks.py::test_red[dog]")
    project.write(test_looks=TWO_TESTS + "\n        def test_new():\n            matches('new')\n")
    project.run("--cam-prune")
    none = project.run()

    whole.assert_outcomes(passed=1, failed=4)
    left = "*.json is of {}, which test_looks.py does not have: was it renamed? *"
    for new, old in (
        ("test-uno", "TestLooks::test_one"),
        ("red-cat", "test_named?cat?"),
        ("red-dog", "test_named?dog?"),
        ("new", "test_n*"),
    ):
        whole.stdout.fnmatch_lines([f"*there is no *{new}-*.json. {left.format(old)}"])
    alone.stdout.fnmatch_lines([f"*there is no *red-dog-*.json. {left.format('test_named?dog?')}"])
    none.stdout.fnmatch_lines(["*there is no *new-*.json. Look at this map*"])


def test_what_a_test_that_did_not_get_there_may_claim_is_no_orphan(project):
    project.write(test_looks=TWO_TESTS)
    project.run("--cam-update=missing")
    project.write(test_looks=TWO_TESTS.replace("matches()", "pytest.skip()", 1))
    skipped = project.run("--cam-prune")
    project.write(test_looks=TWO_TESTS.replace("matches()", "raise ValueError", 1))
    failed = project.run("--cam-prune")
    project.write(test_looks=TWO_TESTS.replace("matches()", "matches('other')", 1))
    project.run("--cam-prune", "--cam-update=missing").assert_outcomes(passed=2)

    skipped.assert_outcomes(passed=1, skipped=1)
    failed.assert_outcomes(passed=1, failed=1)
    for result in (skipped, failed):
        result.stdout.no_fnmatch_line("*no test claims*")
    assert [path.name[:-14] for path in files(project)] == ["other", "test-two"]


def test_what_a_repeated_test_that_did_not_get_there_may_claim_is_no_orphan(project):
    project.write(test_looks=TWO_TESTS + named_tests(["cat", "dog"]))
    project.run("--cam-update=missing").assert_outcomes(passed=4)
    kept = files(project)
    with (project.path / "conftest.py").open("a") as conftest:  # as plugins do that repeat tests
        conftest.write("\n\n@pytest.fixture(autouse=True, params=[1, 2])\ndef _again():\n    pytest.skip()\n")

    skipped = project.run("--cam-prune")

    skipped.assert_outcomes(skipped=8)
    skipped.stdout.no_fnmatch_line("*no test claims*")
    assert files(project) == kept


def test_named_baseline_of_a_renamed_test_that_did_not_get_there_is_no_orphan(project):
    project.write(test_looks=TWO_TESTS.replace("matches()", "matches('kept')", 1))
    project.run("--cam-update=missing")
    renamed = TWO_TESTS.replace("test_one", "test_uno")
    project.write(test_looks=renamed.replace("matches()", "matches('kept')", 1))
    project.run("--cam-unused=error").assert_outcomes(passed=2)
    project.write(test_looks=renamed.replace("matches()", "pytest.skip()", 1))

    skipped = project.run("--cam-unused=error")

    skipped.assert_outcomes(passed=1, skipped=1)
    skipped.stdout.no_fnmatch_line("*no test claims*")


@pytest.mark.parametrize("flag", ["--setup-only", "--setup-plan"])
def test_run_that_only_sets_up_prunes_what_is_of_no_test(project, flag):
    project.write(test_looks=TWO_TESTS)
    project.run("--cam-update=missing")
    project.write(test_looks=TWO_TESTS.replace("test_one", "test_uno"))

    project.run("--cam-prune", flag)

    assert [path.name[:-14] for path in files(project)] == ["test-two"]


def test_variants_have_files_of_their_own(project):
    project.write(test_looks=ONE_TEST)
    project.run("--cam-update=missing")
    hook = "\ndef pytest_cam_baseline_variant(config):\n    return {!r}\n"
    conftest = project.path / "conftest.py"
    text = conftest.read_text()
    conftest.write_text(text + hook.format("linux-cuda"))
    missing = project.run()
    created = project.run("--cam-update=missing")
    conftest.write_text(text + hook.format("a/b"))
    wrong = project.run()

    missing.assert_outcomes(failed=1)
    created.assert_outcomes(passed=1)
    created.stdout.no_fnmatch_line("*no test claims*")
    assert sorted(len(path.suffixes) for path in files(project)) == [1, 2]
    assert json.loads(files(project)[1].read_text())["variant"] == "linux-cuda"
    assert wrong.ret != 0
    wrong.stdout.fnmatch_lines(["*pytest_cam_baseline_variant returned 'a/b'; accepted: None, or*"])


def test_baseline_of_something_else_fails_before_values_are_looked_at(project):
    project.write(
        test_looks=MOVABLE
        + """
        @pytest.mark.parametrize("what", ["method", "layer", "grid", "target", "image", "photo"])
        def test_looks(what):
            how = {}
            if (ROOT / "other").exists():
                small = torch.nn.Sequential(torch.nn.MaxPool2d(2), *spotlight()[1:])
                how = {
                    "method": {"method": "hirescam"},
                    "layer": {"layer": "0.columns", "model": torch.nn.Sequential(torch.nn.Identity(), *spotlight())},
                    "grid": {"model": small},
                    "target": {"target": 0},
                    "image": {"img": make_photo().roll(1, dims=-1)},
                    "photo": {"img": torch.nn.functional.pad(make_photo(), (0, 8))},
                }[what]
                how |= {"layer": {"layer": "1"}}.get(what, {})
            if what == "target":
                model = spotlight()
                model[3].weight.data.fill_(1.0)
                how["model"] = model
            matches(**how)
        """
    )
    project.run("--cam-update=missing").assert_outcomes(passed=6)
    (project.path / "other").touch()

    failed = project.run()
    updated = project.run("--cam-update=changed")

    failed.assert_outcomes(failed=6)
    for words in (
        "method: gradcam in the baseline, hirescam now",
        "layer: 0 in the baseline, 1 now",
        "grid: 8 x 8 in the baseline, 4 x 4 now",
        "target: class 1 in the baseline, class 0 now",
        "image: input tensor in the baseline, input tensor now, whose mean colours differ by up to 255 of 255",
        "image size: 8 x 8 in the baseline, 16 x 8 now",
    ):
        failed.stdout.fnmatch_lines([f"*BaselineError: the baseline * is of something else than this map: *{words}*"])
        updated.stdout.fnmatch_lines([f"changed *{words}*"])
    updated.assert_outcomes(passed=6)


def test_a_test_in_a_class_of_unittest_and_subtests_find_their_baselines(project):
    project.write(
        test_looks=MOVABLE
        + """
        class TestOld(unittest.TestCase):
            def test_looks(self):
                for number in (1, 2):
                    with self.subTest(number=number):
                        matches(f"number {number}")
        """
    )

    project.run("--cam-update=missing").assert_outcomes(passed=1)
    assert [path.name[:8] for path in files(project)] == ["number-1", "number-2"]


def test_directory_that_cannot_be_used(project):
    project.write(test_looks=ONE_TEST)
    occupied = project.path / "attention_baselines"
    occupied.write_text("")
    read = project.run()
    written = project.run("--cam-update=missing")
    occupied.unlink()
    outside = project.path.parent / f"{project.path.name}-outside"
    outside.mkdir()
    occupied.symlink_to(outside)
    linked = project.run("--cam-update=missing")

    for result in (read, written, linked):
        result.assert_outcomes(failed=1)
    read.stdout.fnmatch_lines(["*BaselineError: baseline attention_baselines/* lies below a file; accepted: a dir*"])
    written.stdout.fnmatch_lines(
        ["*BaselineError: baseline attention_baselines/* below a file; accepted: a directory*"]
    )
    linked.stdout.fnmatch_lines(
        ["*BaselineError: the baselines of test_looks.py would be in *outside of the project's*"]
    )
    assert list(outside.iterdir()) == []


def test_directory_has_the_name_of_the_setting(project):
    project.pytester.makeini("[pytest]\ncam_baselines = maps\ncam_unused = error")
    project.write(test_looks=ONE_TEST)

    project.run("--cam-update=missing").assert_outcomes(passed=1)

    assert len(list((project.path / "maps" / "test_looks").glob("test-looks-*.json"))) == 1


def test_update_accepts_what_fails_by_the_limits_of_the_file(project):
    # By a column the map correlates with its baseline by 0.67, which the rule "retrained" passes and the file does not.
    project.write(test_looks=ONE_TEST)
    project.run("--cam-update=missing")
    (project.path / "limits.toml").write_text(
        "format = 1\n[[limit]]\ntest = 'test_looks.py::test_looks'\nnumber = 1\ncheck = 'attention matches baseline'\n"
        "metric = 'Pearson'\nat_least = 0.95\n"
    )
    move(project, 1)
    held = "--cam-limits=limits.toml"

    failing = project.run(held)
    updated = project.run(held, "--cam-update=changed")
    passing = project.run(held)

    failing.stdout.fnmatch_lines(["*attention matches baseline: Pearson 0.67 < 0.95 *"])
    updated.stdout.fnmatch_lines(["changed attention_baselines/test_looks/test-looks-*.json: EMD *, Pearson 0.667"])
    updated.assert_outcomes(passed=1)
    passing.assert_outcomes(passed=1)
