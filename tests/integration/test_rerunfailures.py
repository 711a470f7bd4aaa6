"""pytest-rerunfailures: only the last attempt counts."""

from __future__ import annotations

import pytest


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
