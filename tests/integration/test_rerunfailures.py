"""pytest-rerunfailures: only the last attempt counts."""

from __future__ import annotations

import pytest

from pytest_cam.reporting.limits_file import read_limits
from pytest_cam.running import Agreed

needs_subtests = pytest.mark.skipif(pytest.version_tuple < (9, 0), reason="this pytest has no subtests")


def test_artifacts_are_those_of_the_last_attempt(project):
    project.write(
        test_flaky="""
        from pathlib import Path

        def attempts(name):
            file = Path(f"{name}.attempts")
            file.write_text(file.read_text() + "x" if file.exists() else "x")
            return len(file.read_text())

        def test_passes_at_last(cam, model, photo):
            cam.assert_attention_in_region(model, photo, DARK if attempts("passes") == 1 else LIT)

        def test_fails_otherwise_at_last(cam, model, photo, request):
            if attempts("fails") == 1:
                request.addfinalizer(lambda: assert_attention_in_region(model, photo, DARK, method="layercam"))
                cam.assert_attention_in_region(model, photo, DARK, method="gradcam")
            cam.assert_attention_in_region(model, photo, DARK, method="hirescam")

        def test_fails_of_another_cause_at_last(cam, model, photo):
            if attempts("other") == 1:
                cam.assert_attention_in_region(model, photo, DARK)
            raise RuntimeError("not about attention")
        """
    )

    result = project.run_with_artifacts("--reruns=1")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["*pictures of 1 failed check in *"])
    (document,) = project.documents()["test_fails_otherwise_at_last"]
    assert document["method"] == "hirescam"
    assert list(project.directory.iterdir()) == [document["folder"]]


@needs_subtests
def test_pictures_of_discarded_subtests_are_not_counted(project):
    project.write(
        test_flaky="""
        ATTEMPTS = []

        def test_passes_at_last(cam, model, photo, subtests):
            ATTEMPTS.append(1)
            with subtests.test():
                cam.assert_attention_in_region(model, photo, DARK if len(ATTEMPTS) == 1 else LIT)

        def test_fails(cam, model, photo, subtests):
            with subtests.test():
                cam.assert_attention_in_region(model, photo, DARK)

        @pytest.fixture
        def fails_in_teardown(model, photo):
            yield
            assert_attention_in_region(model, photo, DARK)

        def test_fails_twice(fails_in_teardown, cam, model, photo):
            cam.assert_attention_in_region(model, photo, DARK)
        """
    )

    result = project.run_with_artifacts("--reruns=1")

    result.stdout.fnmatch_lines(["*pictures of 3 failed checks in *"])
    found = {name: len(documents) for name, documents in project.documents().items()}
    assert found == {"test_fails": 1, "test_fails_twice": 2}


@needs_subtests
def test_calibration_takes_the_last_attempt_alone(project, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    project.write(
        test_flaky="""
        ATTEMPTS = []

        def test_looks(cam, model, photo, subtests):
            ATTEMPTS.append(1)
            with subtests.test():
                cam.assert_attention_in_region(model, photo, LIT)
                if len(ATTEMPTS) == 1:
                    cam.assert_attention_in_region(model, photo, DARK)
                    raise RuntimeError("once")
        """
    )

    result = project.run("--reruns=1", "--cam-calibrate")

    assert result.ret == pytest.ExitCode.OK
    result.stdout.no_fnmatch_line("*test_looks #2 *")
    entries = read_limits(project.path / "cam_limits.toml")
    assert [(key.number, entry.agreed) for key, entry in entries.items()] == [(1, Agreed(0.9))]


@needs_subtests
def test_limits_that_only_a_discarded_attempt_asked_for_are_named(project):
    project.write(
        test_flaky="""
        from pathlib import Path

        def test_looks(cam, model, photo):
            cam.assert_attention_in_region(model, photo, LIT)
            if not Path("again").exists():
                Path("again").touch()
                cam.assert_attention_in_region(model, photo, DARK)

        def test_looks_in_parts(cam, model, photo, subtests):
            with subtests.test():
                cam.assert_attention_in_region(model, photo, LIT)
            if not Path("parts").exists():
                Path("parts").touch()
                with subtests.test():
                    cam.assert_attention_in_region(model, photo, DARK)
        """
    )
    entry = (
        '[[limit]]\ntest = "test_flaky.py::{}"\nnumber = {}\ncheck = "attention in box"\nmetric = "skill"\n'
        "at_least = 0.5\n"
    )
    keys = [(test, number) for test in ("test_looks", "test_looks_in_parts") for number in (1, 2, 3)]
    (project.path / "cam_limits.toml").write_text("format = 1\n" + "".join(entry.format(*key) for key in keys))

    result = project.run("--reruns=1", "--cam-limits=cam_limits.toml")

    result.assert_outcomes(passed=2)
    assert [line for line in result.outlines if line.startswith(("no check", "2 of"))] == [
        f"no check asked for test_flaky.py::{test} #{number} attention in box, skill: its test has no such check"
        for test in ("test_looks", "test_looks_in_parts")
        for number in (2, 3)
    ]


@needs_subtests
def test_baseline_that_a_skipped_subtest_may_claim_is_no_orphan(project, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    project.write(
        test_looks="""
        from pathlib import Path

        @pytest.mark.parametrize("reason", ["skipped", "expected to fail"])
        def test_looks(cam, model, photo, subtests, reason):
            with subtests.test():
                if Path("later").exists():
                    pytest.skip() if reason == "skipped" else pytest.xfail()
                cam.assert_attention_matches_baseline(model, photo, reason)
        """
    )
    project.run("--reruns=1", "--cam-update=missing").assert_outcomes(passed=2)
    (project.path / "later").touch()

    result = project.run("--reruns=1", "--cam-unused=error")

    assert result.ret == pytest.ExitCode.OK
    result.stdout.no_fnmatch_line("*no test claims*")
