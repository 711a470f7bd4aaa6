"""The verbs that hide part of an image: what a failing one leaves behind, and the setting `fill`."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

NET = """
import torch


def reads_corner(inputs):  # class 1 by the mean of the lit square's corner: 4 x 4 of the 8 x 8 pixels of `photo`
    mean = inputs[:, :, 1:5, 1:5].mean(dim=(1, 2, 3))
    return torch.stack([torch.zeros_like(mean), 8 * mean - 4], dim=1)
"""


@pytest.fixture
def net(project):
    project.pytester.makepyfile(net=NET)
    return project


def test_failing_check_leaves_both_pictures_and_all_numbers(net):
    net.write(
        test_hides="""
        from net import reads_corner

        def test_needs(cam, photo):
            cam.assert_prediction_needs_region(reads_corner, photo, (4, 4, 8, 8), class_names=["cat", "dog"], target=0)

        def test_suffices(cam, photo):
            cam.assert_region_suffices(reads_corner, photo, (4, 4, 8, 8))

        def test_pass(cam, photo):
            assert cam.assert_prediction_needs_region(reads_corner, photo, LIT).flips
            assert cam.assert_region_suffices(reads_corner, photo, LIT).stays
        """
    )

    result = net.run_with_artifacts()

    result.assert_outcomes(failed=2, passed=1)
    result.stdout.fnmatch_lines(["*AttentionError: box suffices: class 1 becomes class 0 (blur)"])
    documents = net.documents()
    assert set(documents) == {"test_needs", "test_suffices"}
    (document,) = documents["test_suffices"]
    folder = document["folder"]
    files = [
        "attention.json",
        "panel.png",
        "region-only-original.png",
        "region-only.png",
        "whole-original.png",
        "whole.png",
    ]
    assert sorted(path.name for path in folder.iterdir()) == document["files"] == files
    assert document["decision"] == "box suffices: class 1 becomes class 0 (blur)"
    assert document["how"] == "blur"
    assert [view["name"] for view in document["views"]] == ["whole", "region-only"]
    assert [view["predicted"] for view in document["views"]] == [1, 0]
    assert document["views"][0]["probability"] == pytest.approx(1 / (1 + np.exp(-4)))
    assert document["regions"][0]["outlines"] == [[[4, 4], [8, 4], [8, 8], [4, 8]]]
    with Image.open(folder / "panel.png") as panel:
        assert panel.size[0] > 2 * 320
    with Image.open(folder / "whole-original.png") as whole, Image.open(folder / "region-only-original.png") as alone:
        differs = (np.array(whole) != np.array(alone)).any(axis=2)
    assert differs[1:4, 1:4].all()
    assert not differs[4:, 4:].any()


def test_fill_is_set_by_call_marker_command_line_and_ini_file(net):
    net.pytester.makeini("[pytest]\ncam_fill = inpaint")
    net.write(
        test_fills="""
        from net import reads_corner

        def fill(cam, photo, **given):
            return cam.assert_prediction_needs_region(reads_corner, photo, LIT, **given).fill

        def test_configured(cam, photo, request):
            expected = request.config.getoption("--cam-fill") or "inpaint"
            assert fill(cam, photo) == expected

        @pytest.mark.cam(fill="blur", layer="0", method="gradcam", target=1)
        def test_marked(cam, photo):
            assert fill(cam, photo) == "blur"
            assert fill(cam, photo, fill="mean") == "mean"
        """
    )
    net.run().assert_outcomes(passed=2)
    net.run("--cam-fill=mean").assert_outcomes(passed=2)


def test_unknown_fill_ends_the_run_before_any_test(net):
    net.write(
        test_marked="""
        @pytest.mark.cam(fill="bluer")
        def test_marked():
            pass
        """,
        test_plain="def test_plain(): pass",
    )
    result = net.run("--cam-fill=means", subprocess=True)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*--cam-fill, or cam_fill of the ini file: there is no fill 'means'. Did you mean 'mean'?*"]
    )
    result = net.run()
    result.stdout.fnmatch_lines(["*@pytest.mark.cam(fill='bluer'): there is no fill 'bluer'. Did you mean 'blur'?*"])
    assert result.ret != 0


def test_unfaithful_map_leaves_its_map_and_its_curve(project):
    project.write(
        test_faithful="""
        def test_random(cam, model, photo):
            cam.assert_attention_faithful(model, photo, by="insertion", layer="0", method="random", seed=1)
        """
    )
    project.run_with_artifacts().assert_outcomes(failed=1)
    ((document,),) = project.documents().values()
    assert document["decision"].startswith("attention faithful: random rankings beaten 0.")
    assert document["how"] == "insertion, random, 0"
    assert document["facts"]["curve"].startswith("0%: ")
    names = {"attention.json", "panel.png", "map.npy", "map.png", "map-original.png", "half.png", "half-original.png"}
    assert {path.name for path in document["folder"].iterdir()} == names
