"""OpenCV that does not import, as on slim CI images without libGL: no picture, but the verdict and the numbers."""

from __future__ import annotations

import pytest

BROKEN = 'raise ImportError("libGL.so.1: cannot open shared object file: No such file or directory")'


def test_verdict_and_numbers_stay_and_the_cures_are_named(project):
    shadow = project.path / "shadow"
    shadow.mkdir()
    (shadow / "cv2.py").write_text(BROKEN)
    # Where the process has imported the real one already, it does not any more.
    with (project.path / "conftest.py").open("a") as conftest:
        conftest.write(f"\n\nimport sys; sys.path.insert(0, {str(shadow)!r}); sys.modules.pop('cv2', None)\n")
    project.write(
        test_looks="""
        def test_passes(cam, model, photo):
            cam.assert_attention_in_region(model, photo, LIT, "0")

        @pytest.mark.xfail
        def test_fails(cam, model, photo):
            cam.assert_attention_in_region(model, photo, DARK, "0", "gradcam")

        def test_asks_for_boxes(cam, model, photo):
            with pytest.raises(ImportError, match="apt-get install libgl1.*opencv-python-headless"):
                cam(model, photo).boxes()
        """
    )

    result = project.run_with_artifacts("-rx", "--xfail-tb", subprocess=True)

    result.assert_outcomes(passed=2, xfailed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*AttentionError: attention in box: skill -0.16 < 0.25 (gradcam, 0)"])
    result.stdout.fnmatch_lines(
        [
            "*attention: artifacts failed*",
            "artifact * has no pictures: *libGL.so.1: cannot open shared object file*"
            "apt-get install libgl1*pip install opencv-python-headless*",
        ]
    )
    (document,) = project.documents()["test_fails"]
    assert document["measurements"][0]["passed"] is False
    assert document["attended_boxes"] is None
    written = sorted(path.name for path in document["folder"].iterdir())
    assert written == ["attention.json", "map.npy", "original.png"]
