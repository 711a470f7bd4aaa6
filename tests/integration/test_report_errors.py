"""An error of this plugin's own while it records a failure: seen, never green, and never the end of the run."""

from __future__ import annotations

import pytest


def test_error_while_recording_is_shown_and_fails_a_run_of_expected_failures(project):
    project.write(
        test_records="""
        import sys

        import torch

        @pytest.mark.xfail
        def test_picture_that_is_gone(cam, model, photo):
            skill = cam(model, photo).skill_in(DARK)
            photo.data = torch.empty(0)  # the map is kept, the image is not
            assert skill > 0.9

        @pytest.mark.xfail
        def test_evidence_of_another_kind():
            raise AttentionError("of my own", "an explanation")

        @pytest.mark.xfail
        def test_good_evidence_after_bad(model, photo):
            try:
                assert_attention_in_region(model, photo, DARK)
            except AttentionError as error:
                raise AttentionError("of my own", "an explanation") from error

        def test_next():
            pass
        """
    )

    result = project.run_with_artifacts("--xfail-tb", "-rx")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=1, xfailed=3)
    result.stdout.fnmatch_lines_random(
        [
            "*- pytest-cam: artifacts failed -*",
            "*AttentionError: of my own",
            "pytest-cam could not record test_records.py::test_picture_that_is_gone:",
            "pytest-cam could not record test_records.py::test_evidence_of_another_kind:",
            "*attention: artifacts failed*",
        ]
    )
    result.stdout.no_fnmatch_line("*INTERNALERROR*")
    assert list(project.documents()) == ["test_good_evidence_after_bad"]
