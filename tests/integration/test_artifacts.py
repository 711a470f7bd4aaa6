"""--cam-artifacts: what is written, and for whom."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

FILES = [
    "attention.json",
    "grayscale.png",
    "heatmap.png",
    "map.npy",
    "original.png",
    "overlay.png",
    "panel.png",
]


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image)


def test_failing_check_leaves_one_folder_with_all_there_is_to_know(project):
    project.write(
        test_looks="""
        def test_function(model, photo):
            assert_attention_in_region(model, photo, DARK, "0", "gradcam")

        def test_fixture(cam, model, photo):
            cam.assert_attention_not_in_region(model, photo, LIT, "0", at_most=0.5)
        """
    )

    result = project.run_with_artifacts()

    result.assert_outcomes(failed=2)
    # DARK is 9 of 64 pixels and holds nothing: skill = (0 - 9/64) / (1 - 9/64) = -0.16.
    result.stdout.fnmatch_lines(
        ["*AttentionError: attention in box: skill -0.16 < 0.25 (gradcam, 0)", "*pictures of 2 failed checks in *"]
    )
    result.stdout.fnmatch_lines(["*- pytest-cam: pictures (failed) -*", "*artifacts?test-looks-test-*panel.png"])
    documents = project.documents()
    assert set(documents) == {"test_function", "test_fixture"}
    assert len(list(project.directory.iterdir())) == 2
    (document,) = documents["test_function"]
    folder: Path = document["folder"]
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert re.fullmatch(r"test-looks-test-function-[0-9a-f]{8}", folder.name)

    image = np.zeros((8, 8), dtype=np.float32)
    image[1:5, 1:5] = 1
    np.testing.assert_array_equal(np.load(folder / "map.npy"), image / 64)
    np.testing.assert_array_equal(pixels(folder / "original.png"), (image * 255)[:, :, None].repeat(3, axis=2))
    # In `gradcam` at this layer nothing is between the image and its map, so the grey picture is the image again.
    np.testing.assert_array_equal(pixels(folder / "grayscale.png"), image * 255)
    assert pixels(folder / "heatmap.png").shape == pixels(folder / "overlay.png").shape == (8, 8, 3)
    # Three pictures of 320 pixels side by side.
    assert pixels(folder / "panel.png").shape[1] > 3 * 320

    assert document["test"] == "test_looks.py::test_function"
    assert (document["phase"], document["outcome"]) == ("call", "failed")
    assert document["decision"] == "attention in box: skill -0.16 < 0.25 (gradcam, 0)"
    assert (document["method"], document["layer"]) == ("gradcam", "0")
    assert document["map"]["shape"] == [8, 8]
    assert document["map"]["sum"] == 0.25
    (measurement,) = document["measurements"]
    assert measurement["metric"] == "skill"
    assert measurement["value"] == pytest.approx(-9 / 55)
    assert measurement["chance"] == pytest.approx(9 / 64)
    assert (measurement["at_least"], measurement["at_most"], measurement["passed"]) == (0.25, None, False)
    assert measurement["limits_from"] == "built in"
    assert document["regions"] == [{"kind": "box", "outlines": [[[5, 5], [8, 5], [8, 8], [5, 8]]]}]
    versions = document["versions"]
    assert versions["python"] == platform.python_version()
    assert versions["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert {"pytest-cam", "pytest", "torchvision", "numpy", "pillow"} <= set(versions)


def test_only_failures_that_are_about_attention_are_written(project):
    project.write(
        test_who="""
        import weakref

        def test_passes(cam, model, photo):
            assert cam.assert_attention_in_region(model, photo, LIT).skill_in(LIT) == 1

        def test_expects_the_failure(cam, model, photo):
            with pytest.raises(AttentionError):
                cam.assert_attention_in_region(model, photo, DARK)

        def test_raises_something_else(cam, model, photo):
            cam(model, photo)
            raise RuntimeError("not about attention")

        def test_skips_after_the_failure(cam, model, photo):
            try:
                cam.assert_attention_in_region(model, photo, DARK)
            except AttentionError:
                pytest.skip("known")

        def test_asserts_without_a_map(cam):
            assert not cam

        def test_plain_assert(cam, model, photo):
            attention = cam(model, photo)
            assert attention.skill_in(DARK) > 0.9

        def test_plain_assert_on_two_maps(cam, model, photo):
            first, second = cam.batch(model, [photo, photo], method="hirescam")
            assert first.energy_in(LIT) < second.energy_in(DARK)

        def test_plain_assert_on_a_map_without_the_fixture(model, photo):
            assert attend(model, photo).skill_in(DARK) > 0.9

        def test_plain_assert_after_many_maps(cam, model, photo):
            images = [photo * number for number in range(1, 31)]
            first = weakref.ref(images[0])
            while images:
                attention = cam(model, images.pop(0), method="gradcam")
            assert first() is None, "an image that no picture will be made of is kept"
            assert attention.skill_in(DARK) > 0.9

        def test_check_fails_again_in_teardown(cam, model, photo, request):
            request.addfinalizer(lambda: assert_attention_in_region(model, photo, (0, 5, 4, 8)))
            cam.assert_attention_in_region(model, photo, DARK)
        """
    )

    result = project.run_with_artifacts()

    result.assert_outcomes(passed=2, failed=7, skipped=1, errors=1)
    documents = project.documents()
    assert {name: len(found) for name, found in documents.items()} == {
        "test_plain_assert": 1,
        "test_plain_assert_on_two_maps": 2,
        "test_plain_assert_after_many_maps": 20,
        "test_check_fails_again_in_teardown": 2,
    }
    (plain,) = documents["test_plain_assert"]
    assert plain["measurements"][0]["value"] == pytest.approx(-9 / 55)
    first, second = documents["test_plain_assert_on_two_maps"]
    assert [first["measurements"][0]["energy"], second["measurements"][0]["energy"]] == [1, 0]
    assert second["folder"].name == f"{first['folder'].name}-2"
    # In `gradcam` at this layer the map of the n-th image is n / 64 where the image is bright.
    maxima = [found["map"]["max"] for found in documents["test_plain_assert_after_many_maps"]]
    assert maxima == [number / 64 for number in range(11, 31)]
    result.stdout.fnmatch_lines(["these are 20 of the 30 maps that the test computed"])
    call, teardown = documents["test_check_fails_again_in_teardown"]
    assert (call["phase"], teardown["phase"]) == ("call", "teardown")
    assert teardown["folder"].name == f"{call['folder'].name}-2"
    assert len(list(project.directory.iterdir())) == 25


def test_nothing_is_written_without_the_flag_and_the_text_stays(project):
    project.write(
        test_looks="""
        def test_function(model, photo):
            assert_attention_in_region(model, photo, DARK, "0")

        def test_plain_assert(cam, model, photo):
            assert cam(model, photo).skill_in(DARK) > 0.9
        """
    )

    result = project.run("-p", "no:cacheprovider")

    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*AttentionError: attention in box: skill -0.16 < 0.25 (gradcam++, 0)"])
    result.stdout.no_fnmatch_line("*pytest-cam: *")
    assert not project.directory.exists()
    assert not [path for path in project.path.rglob("*") if path.suffix in (".png", ".npy", ".json")]


def test_what_fails_without_a_verdict_says_so_where_its_decision_stands(project):
    project.write(
        test_no_verdict="""
        def test_no_baseline(cam, model, photo):
            cam.assert_attention_matches_baseline(model, photo)

        def test_empty_map(cam, model, photo):
            cam.assert_attention_in_region(model, -photo, DARK, "0", target=1)
        """
    )

    project.run_with_artifacts().assert_outcomes(failed=2)

    documents = project.documents()
    (no_baseline,), (empty,) = documents["test_no_baseline"], documents["test_empty_map"]
    assert no_baseline["decision"].startswith("there is no baseline attention_baselines/test_no_verdict/")
    assert empty["decision"].startswith("no positive evidence for target 1 at 0 (gradcam++): the map is zero")
