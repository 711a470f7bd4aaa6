"""What stands above the message: the user's line, and nothing of this package's insides."""

from __future__ import annotations

import sys

import pytest


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


def test_no_frames_are_offered_where_there_is_no_users_line(project):
    # The frames of a test that is torn down are pytest's and ours, and the message says where the hook is written.
    project.write(
        test_leaks="""
        @pytest.fixture
        def fails_in_teardown():
            yield
            raise RuntimeError("fixture")

        def test_leak(cam, model):
            model[0].register_forward_hook(lambda *_: None)

        def test_leak_and_more(fails_in_teardown, cam, model):
            model[0].register_forward_hook(lambda *_: None)
        """
    )

    result = project.run()

    result.assert_outcomes(passed=2, errors=2)
    result.stdout.fnmatch_lines(
        ["E *HookLeakError: *(test_leaks.py:15)*", "E *RuntimeError: fixture", "E *HookLeakError: *(test_leaks.py:18)*"]
    )
    result.stdout.fnmatch_lines(["ERROR test_leaks.py::test_leak - *HookLeakError: *"])
    result.stdout.no_fnmatch_line("*--full-trace*")


@pytest.mark.parametrize("plugin_args", [("-p", "no:xdist")], ids=["plain"])
def test_failures_that_another_plugin_keeps_hold_no_images(project):
    project.write(
        test_red="""
        import gc

        from pytest_cam import Attention

        def kept():
            gc.collect()
            return {id(each) for each in gc.get_objects() if type(each) is Attention}

        BEFORE = kept()

        def test_dark(cam, model, photo):
            cam.assert_attention_in_region(model, photo, DARK)

        def test_plain(cam, model, photo):
            skill = cam(model, photo).skill_in(DARK)
            assert skill > 0.25

        def test_nothing_is_left():
            assert kept() <= BEFORE
        """
    )
    with (project.path / "conftest.py").open("a") as conftest:  # as pytest-rerunfailures does
        conftest.write(
            """
KEPT = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    KEPT.append(call.excinfo)
    return (yield)
"""
        )

    result = project.run("-p", "no:rerunfailures", "--cam-artifacts=artifacts")

    result.assert_outcomes(passed=1, failed=2)
    assert len(list(project.directory.glob("*/panel.png"))) == 2


@pytest.mark.parametrize("plugin_args", [("-p", "no:xdist"), ("-n0",)], ids=["plain", "n0"])
def test_the_debugger_stops_at_the_users_line(project):
    project.write(
        test_red="""
        def test_dark(cam, model, photo):
            cam.assert_attention_in_region(model, photo, DARK)  # line 1

        def test_both(cam, model, photo):
            with cam.soft():
                cam.assert_attention_in_region(model, photo, DARK)  # line 2

        def test_nothing_of_ours(cam, model, photo):
            assert cam(model, photo).map.max() > 9  # line 3
        """
    )
    command = [sys.executable, "-m", "pytest", "--pdb", "-p", "no:cacheprovider", *project.plugin_args]

    result = project.pytester.run(*command, stdin=b"continue\n" * 3)

    stops = [line for line in result.outlines if line.startswith("-> ")]
    assert [line.partition("# ")[2] for line in stops] == ["line 1", "line 2", "line 3"]


def test_errors_from_deep_inside_end_at_the_users_line_too(project):
    project.write(
        test_deep="""
        @pytest.mark.parametrize(
            "how",
            [
                {"target": 7},
                {"target": "cat", "class_names": ["ant", "dog"]},
                {"class_names": ["ant"]},
                {"class_names": 3},
                {"output": "logits"},
                {"target": lambda row: row},
                {"layer": "3"},
                {"layer": "-1", "reshape": lambda tensor: tensor[0]},
                {"layer": "0", "target": 0, "method": "ablationcam"},
            ],
        )
        def test_mistake(cam, model, photo, how):
            cam.assert_attention_in_region(model, photo, LIT, **how)
        """
    )

    result = project.run()

    result.assert_outcomes(failed=9)
    assert sum(line.startswith("test_deep.py:") for line in result.outlines) == 9
    for line in result.outlines:
        assert not any(place in line.replace("\\", "/") for place in ("pytest_cam/", "torch/nn/")), line


def test_errors_of_the_users_model_keep_every_frame(project):
    project.write(
        test_model="""
        def test_broken_model(cam):
            import torch

            class Broken(torch.nn.Module):
                def forward(self, image):
                    raise ValueError("of the user's")

            cam(torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1), Broken()), torch.rand(1, 8, 8))
        """
    )

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*pytest_cam*subject.py:*", "*torch*module.py:*", "*raise ValueError*", "*ValueError: of*"]
    )


def test_errors_of_torch_in_a_users_forward_or_hook_show_the_users_line(project):
    project.write(
        test_lines="""
        import torch

        class Broken(torch.nn.Module):
            def forward(self, image):
                return self.joined(image)

            def joined(self, image):
                return image.flatten(1) @ torch.ones(3, 2)  # of forward

        def hook(module, args, output):
            return output.flatten(1) @ torch.ones(3, 2)  # of the hook

        @pytest.mark.parametrize("method", ["gradcam", "occlusion", "legrad"])
        def test_forward(cam, photo, method):
            cam(torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1), Broken()), photo, method=method)

        @pytest.mark.parametrize("method", ["gradcam", "occlusion", "legrad"])
        def test_hook(cam, photo, method):
            model = spotlight()
            model[0].register_forward_hook(hook)
            cam(model, photo, method=method)
        """
    )

    result = project.run()

    result.assert_outcomes(failed=6)
    assert sum(line.startswith(">") and line.endswith("# of forward") for line in result.outlines) == 3
    assert sum(line.startswith(">") and line.endswith("# of the hook") for line in result.outlines) == 3


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
