"""--cam-no-cache and its ini key: passes are shared within a session, and nobody sees it but the clock."""

from __future__ import annotations

import json

import numpy as np
import pytest

# A spotlight that counts its passes where no attribute of it shows it, and writes the count down for each process.
COUNTED = """
import json
import os

import torch
from spotlight import spotlight
from torch import nn

passes = {"all": 0, "test": 0}


class Counted(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = spotlight()
        # Class 0 is half the mean, so that it can be explained, too.
        self.body[3].weight.data[0] = 0.5
        self.behind = nn.Linear(2, 2, bias=False)
        self.behind.weight.data.copy_(torch.eye(2))

    def forward(self, images):
        passes["all"] += 1
        passes["test"] += 1
        return self.behind(self.body(images))
"""
CONFTEST = """
import os

import pytest


@pytest.fixture(scope="session")
def model():
    from counted import Counted

    return Counted().eval()


@pytest.fixture
def photo():
    from spotlight import photo

    return photo()


@pytest.fixture(autouse=True)
def _of_this_test():
    from counted import passes

    passes["test"] = 0


def pytest_sessionfinish(session):
    import sys

    if "counted" in sys.modules:
        with open(f"passes-{os.environ.get('PYTEST_XDIST_WORKER', 'one')}.txt", "w") as file:
            file.write(str(sys.modules["counted"].passes["all"]))
"""
LEFT = """

@pytest.hookimpl(trylast=True)
def pytest_unconfigure():
    import sys

    if "test_kept" in sys.modules:
        assert sys.modules["test_kept"].MODEL is not None
        kept = sys.modules["pytest_cam.engine.cache.pass_cache"].kept_bytes()
        with open(f"left-{os.environ.get('PYTEST_XDIST_WORKER', 'one')}.txt", "w") as file:
            file.write(str(kept))
"""
SUITE = """
        from pytest_cam import ClassLogit

        GRAY = (make_photo() * 0.5 + 0.25)

        @pytest.mark.cam(layer="body.0")
        class TestSuite:
            def test_verbs(self, cam, model, photo):
                cam.assert_attention_in_region(model, photo, LIT)
                cam.assert_attention_in_region(model, photo, LIT, metric="energy", at_least=0.9)
                cam.assert_attention_not_in_region(model, photo, DARK)
                cam.assert_attention_not_in_region(model, photo, DARK, method="hirescam")

            @pytest.mark.parametrize("method", ["gradcam", "layercam", "scorecam", "smoothgradcam++"])
            def test_each_fails(self, cam, model, photo, method):
                cam.assert_attention_in_region(model, photo, LIT, method=method, target=1)
                cam.assert_attention_in_region(model, photo, DARK, method=method, target=1)

            @pytest.mark.parametrize("method", ["rise", "occlusion"])
            def test_without_a_layer_fails(self, cam, model, photo, method):
                options = {"rise": {"masks": 32, "cells": 4}, "occlusion": {"window": 2}}[method]
                for box in (LIT, DARK):
                    cam.assert_attention_in_region(
                        model, photo, box, "auto", method, seed=3, method_options=options, at_least=0.05
                    )

            def test_other_image_fails(self, cam, model):
                cam.assert_attention_not_in_region(model, GRAY, LIT)

            def test_functions_fail(self, model, photo):
                for box in (LIT, DARK):
                    assert_attention_in_region(model, photo, box, "body.0", "gradcam", target=ClassLogit(1))

            def test_plain_assert_fails(self, cam, model, photo):
                found = cam(model, photo, method=["gradcam", "hirescam"], target=[1, 0])
                assert cam(model, photo, method="gradcam", smooth=True).energy_in(LIT) == 1
                assert found[0].skill_in(LIT) < 0.5

            def test_error(self, cam, model, photo):
                cam(model, photo, layer="body.1")
"""
SHARED = """
        from counted import passes

        @pytest.mark.cam(layer="body.0")
        class TestShared:
            def test_first(self, cam, model, photo):
                cam(model, photo)
                cam.assert_attention_in_region(model, photo, LIT)
                cam(model, photo, method=["gradcam", "hirescam"])
                assert passes["test"] == (1 if SHARES else 3)

            def test_second_is_answered_from_the_first(self, cam, model, photo):
                cam(model, photo)
                assert passes["test"] == (0 if SHARES else 1)

            def test_changed_weight_is_seen(self, cam, model, photo):
                cam(model, photo)
                model.body[3].weight.data[1] *= 2
                # The score of class 1 is the mean of the photo, a quarter, times its weight.
                assert cam(model, photo).score == 0.5
                assert passes["test"] == (1 if SHARES else 2)

            def test_write_that_little_shows(self, cam, model, photo):
                # Neither raises a version nor is it the first value of its row.
                model.behind.weight.data[1, 1] = 3.0

            def test_after_that_every_value_is_compared(self, cam, model, photo):
                assert cam(model, photo).score == 1.5
                assert passes["test"] == 1

            def test_after_it_sees_the_change(self, cam, model, photo):
                assert cam(model, photo).score == 1.5
                assert passes["test"] == (0 if SHARES else 1)
"""


@pytest.fixture
def counted(project):
    (project.path / "counted.py").write_text(COUNTED, encoding="utf-8")
    (project.path / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    return project


def together(project):
    """Return what keeps a module's tests in one process and in their order."""
    return ["--dist=loadfile"] if "-n2" in project.plugin_args else []


def everything_said(project, result, artifacts):
    """Return outcomes, messages, numbers and maps of a run."""
    lines = [line for line in result.outlines if line.startswith(("E  ", "FAILED", "PASSED", "ERROR"))]
    documents, maps = {}, {}
    for path in sorted((project.path / artifacts).glob("*/attention.json")):
        documents[path.parent.name] = json.loads(path.read_text(encoding="utf-8"))
        maps[path.parent.name] = np.load(path.parent / "map.npy")
    return sorted(lines), documents, maps


def passes_of(project):
    return sum(int(path.read_text()) for path in project.path.glob("passes-*.txt"))


def test_outcomes_messages_and_numbers_are_the_same(counted):
    counted.write(test_suite=SUITE)
    runs = {}
    for name, flags in {"shared": [], "anew": ["--cam-no-cache"]}.items():
        result = counted.run(*flags, *together(counted), "-rA", f"--cam-artifacts={name}")
        runs[name] = (*everything_said(counted, result, name), passes_of(counted))
        result.assert_outcomes(passed=1, failed=10)

    (said, documents, maps, few), (said_anew, documents_anew, maps_anew, many) = runs["shared"], runs["anew"]
    assert said == said_anew
    assert len(documents) >= 9
    assert documents == documents_anew
    assert maps.keys() == maps_anew.keys() == documents.keys()
    for name, cam in maps.items():
        assert np.array_equal(cam, maps_anew[name]), name
    assert 0 < few < many


@pytest.mark.parametrize("how", ["shared", "flag", "ini"])
def test_passes_are_shared_between_tests_until_the_model_changes(counted, how):
    counted.write(test_shared=f"SHARES = {how == 'shared'}\n" + SHARED.replace("\n        ", "\n"))
    if how == "ini":
        counted.pytester.makeini("[pytest]\ncam_no_cache = true")

    result = counted.run(*(["--cam-no-cache"] if how == "flag" else []), *together(counted))

    result.assert_outcomes(passed=6)


def test_nothing_is_kept_when_the_session_is_over(counted):
    # The model outlives the run; were it gone, its passes would be gone with it.
    path = counted.path / "conftest.py"
    path.write_text(path.read_text(encoding="utf-8") + LEFT, encoding="utf-8")
    counted.write(
        test_kept="""
        from pathlib import Path

        from pytest_cam.engine.cache import pass_cache

        MODEL = spotlight()

        def test_kept(cam, photo):
            cam(MODEL, photo)
            Path("kept.txt").write_text(str(pass_cache.kept_bytes()))
        """
    )

    counted.run().assert_outcomes(passed=1)

    assert int((counted.path / "kept.txt").read_text()) > 0
    left = [path.read_text() for path in counted.path.glob("left-*.txt")]
    # Both workers have collected the test, and one of them has run it.
    assert left == ["0"] * (2 if "-n2" in counted.plugin_args else 1)


def test_lists_are_written_down_one_by_one(counted):
    counted.write(
        test_lists="""
        def test_lists(cam, model, photo):
            found = cam(model, photo, layer="body.0", method=["gradcam", "layercam"], target=[1, 0])
            assert isinstance(found, list)
            found[1].skill_in(DARK)
            assert len(found) == 3
        """
    )

    counted.run_with_artifacts().assert_outcomes(failed=1)

    documents = counted.documents()["test_lists"]
    assert [(item["method"], item["explained"]["target"]) for item in documents] == [
        ("gradcam", 1),
        ("gradcam", 0),
        ("layercam", 1),
        ("layercam", 0),
    ]
