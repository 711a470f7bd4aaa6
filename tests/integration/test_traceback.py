"""What stands above the message: the user's line, and nothing of this package's insides."""

from __future__ import annotations


def test_errors_of_ours_show_the_users_line_only(project):
    project.write(
        test_misuse="""
        def test_box_outside_the_image(cam, model, photo):
            cam.assert_attention_in_region(model, photo, (1, 1, 50, 5))

        def test_unknown_layer(model, photo):
            assert_attention_in_region(model, photo, LIT, "7")

        def test_looks_elsewhere(cam, model, photo):
            cam(model, photo).assert_in_region(DARK)
        """
    )

    result = project.run()

    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines_random(["*RegionError: box (1, 1, 50, 5)*", "*LayerError: *", "*AttentionError: *"])
    for line in result.outlines:
        assert "pytest_cam/" not in line.replace("\\", "/"), line


def test_mistakes_that_are_not_ours_to_explain_keep_every_frame(project):
    project.write(
        test_target="""
        def test_broken_target(cam, model):
            import torch

            cam(model, torch.rand(1, 8, 8), target=lambda row: 1 / 0)
        """
    )

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*pytest_cam*targets.py:*", "*ZeroDivisionError*"])
