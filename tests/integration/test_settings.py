"""--cam-method, --cam-layer and --cam-device, their ini keys, the marker, and the fixtures that a project overrides."""

from __future__ import annotations

import pytest

# The spotlight behind two layers that change nothing, so that there are layers to choose from.
SEEN = """
        import torch

        @pytest.fixture(scope="session")
        def deep():
            return torch.nn.Sequential(torch.nn.Identity(), torch.nn.Identity(), *spotlight())

        def seen(cam, deep, **settings):
            attention = cam(deep, make_photo(), **settings)
            return f"{attention.method} {attention.layer}"
"""
BY_INI = """
        @pytest.mark.cam(target=1)
        def test_seen(cam, deep):
            assert seen(cam, deep) == "hirescam 1"
"""
CLASSIC = """
[tool.pytest.ini_options]
addopts = "--strict-markers --strict-config"
cam_method = "hirescam"
cam_layer = "1"
cam_device = "cuda:7"
"""
NATIVE = """
[tool.pytest]
strict = true
cam_method = "hirescam"
cam_layer = "1"
"""


def test_closest_setting_wins(project):
    project.pytester.makepyprojecttoml(CLASSIC)
    project.write(
        test_near=SEEN
        + """
        pytestmark = pytest.mark.cam(method="gradcam", layer="0")

        def test_module(cam, deep):
            assert seen(cam, deep) == "gradcam 0"

        def test_call(cam, deep):
            assert seen(cam, deep, method="xgradcam", layer="2") == "xgradcam 2"

        @pytest.mark.cam(method="layercam")
        class TestClass:
            def test_class(self, cam, deep):
                assert seen(cam, deep) == "layercam 0"

            @pytest.mark.cam(layer="2")
            def test_function(self, cam, deep):
                assert seen(cam, deep) == "layercam 2"

            @pytest.mark.parametrize("one", [pytest.param(1, marks=pytest.mark.cam(method="xgradcam", layer="1"))])
            def test_parameter(self, cam, deep, one):
                assert seen(cam, deep) == "xgradcam 1"
        """,
        test_far=SEEN
        + """
        def test_command_line_over_ini(cam, deep):
            assert seen(cam, deep) == "layercam 1"

        @pytest.mark.cam(layer="0")
        def test_marker_over_both(cam, deep):
            assert seen(cam, deep) == "layercam 0"

        def test_function_without_the_fixture_takes_no_settings(deep):
            assert attend(deep, make_photo()).method == "gradcam++"
        """,
    )

    project.run("--cam-method=layercam", "--cam-device=cpu").assert_outcomes(passed=8)


def test_fixtures_of_a_project_give_preprocess_class_names_and_device(project):
    project.write(
        test_fixtures="""
        import numpy as np
        import torch

        PHOTO = (make_photo()[0].numpy() * 255).astype("uint8")

        def to_tensor(image):
            return torch.from_numpy(np.array(image.convert("L")) / np.float32(255))[None]

        def darkened(image):
            return to_tensor(image) / 2

        @pytest.fixture
        def cam_preprocess():
            return to_tensor

        @pytest.fixture(scope="module")
        def cam_class_names():
            return ["dark", "bright"]

        def test_preprocess_and_names(cam, model):
            attention = cam(model, PHOTO)
            assert (attention.explained.name, attention.score) == ("bright", 0.25)

        @pytest.mark.cam(preprocess=darkened, class_names=["night", "day"], target="day")
        def test_marker_over_fixtures(cam, model):
            attention = cam(model, PHOTO)
            assert (attention.explained.name, attention.score) == ("day", 0.125)

        def test_call_over_fixtures(cam, model):
            attention = cam(model, PHOTO, preprocess=darkened, class_names=["one", "two"], target=1)
            assert (attention.explained.name, attention.score) == ("two", 0.125)

        @pytest.fixture(scope="session")
        def placed(cam_device):
            return cam_device

        def test_flag_is_what_the_device_fixture_gives(cam_device, placed):
            assert cam_device == placed == "cpu"

        class TestDevice:
            @pytest.fixture
            def cam_device(self):
                return "cuda:7"

            def test_fixture_over_flag(self, cam, model):
                with pytest.raises(TypeError, match="the model is on cpu, and device is cuda:7"):
                    cam(model, PHOTO)

            def test_call_over_fixture(self, cam, model):
                assert cam(model, PHOTO, device="cpu").score == 0.25
        """
    )

    project.run("--cam-device=cpu").assert_outcomes(passed=6)


def test_model_with_two_inputs_and_two_outputs(project):
    project.write(
        test_two="""
        import torch

        class TwoHeads(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.bright = spotlight()

            def forward(self, image, gate, factor=1.0):
                scores = self.bright(image) * gate * factor
                return {"main": scores, "aux": -scores}

        MORE = {"model_args": (torch.tensor([2.0]),), "model_kwargs": {"factor": 3.0}}

        @pytest.mark.cam(output="main")
        class TestMain:
            def test_marker(self, cam):
                assert cam(TwoHeads(), make_photo(), target=1, **MORE).score == 0.25 * 2 * 3

            def test_call_over_marker(self, cam):
                assert cam(TwoHeads(), make_photo(), target=1, output="aux", layer="bright.0", **MORE).score == -1.5

            def test_verb(self, cam):
                cam.assert_attention_in_region(TwoHeads(), make_photo(), LIT, target=1, **MORE)

        def test_neither(cam):
            with pytest.raises(ValueError, match="several tensors could be the class scores"):
                cam(TwoHeads(), make_photo(), target=1, **MORE)

        def test_unknown_keyword(cam):
            with pytest.raises(TypeError, match="no keyword 'model_arg'. Did you mean 'model_args'"):
                cam.assert_attention_in_region(TwoHeads(), make_photo(), LIT, model_arg=1)
        """
    )

    project.run().assert_outcomes(passed=5)


def test_warning_of_probabilities_can_be_filtered(project):
    project.write(
        test_probabilities="""
        import torch

        def test_seen(cam):
            cam(torch.nn.Sequential(*spotlight(), torch.nn.Softmax(dim=1)), make_photo(), layer="0")
        """
    )
    shown = project.run("-W", "default")
    raised = project.run("-W", "error::pytest_cam.ProbabilityWarning")
    silent = project.run("-W", "error", "-W", "ignore::pytest_cam.ProbabilityWarning")

    shown.assert_outcomes(passed=1, warnings=1)
    shown.stdout.fnmatch_lines(["*test_probabilities.py:*: ProbabilityWarning: the class scores * look like prob*"])
    raised.assert_outcomes(failed=1)
    raised.stdout.fnmatch_lines(["*test_probabilities.py:*: ProbabilityWarning"])
    silent.assert_outcomes(passed=1)


def test_keys_of_the_native_table_are_read_and_checked(project):
    if pytest.version_tuple < (9, 0):
        pytest.skip("this pytest has no [tool.pytest] table")
    project.write(test_seen=SEEN + BY_INI)
    project.pytester.makepyprojecttoml(NATIVE)
    accepted = project.run()
    project.pytester.makepyprojecttoml(NATIVE + 'cam_methid = "hirescam"')
    unknown = project.run()
    project.pytester.makepyprojecttoml(NATIVE.replace('"1"', "1"))
    mistyped = project.run()

    accepted.assert_outcomes(passed=1)
    assert unknown.ret == mistyped.ret == pytest.ExitCode.USAGE_ERROR
    unknown.stderr.fnmatch_lines(["*Unknown config option: cam_methid*"])
    mistyped.stderr.fnmatch_lines(["*config option 'cam_layer' expects a string, got int: 1*"])


def test_switch_of_the_ini_file_that_is_neither_on_nor_off_is_named(project):
    result = project.run("-o", "cam_no_cache=maybe")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: cam_no_cache: invalid truth value 'maybe'; accepted: true or false"])


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("cam_threads = many", "cam_threads is 'many'; accepted: a number from 1 to 1024, or 'auto'"),
        ("cam_margin = 3", "cam_margin is '3'; accepted: a number from 0 to below 1"),
        ("cam_limits =", "cam_limits is empty; accepted: a file*"),
        ("cam_unused = wran", "cam_unused is 'wran'. Did you mean 'warn'?"),
        ("cam_baselines = a/b", "cam_baselines is 'a/b'; accepted: the name of a directory*"),
        ("cam_artifacts =", "cam_artifacts is empty; accepted: a directory*"),
        ("cam_artifacts = tox.ini", "cam_artifacts: *tox.ini is, or lies below, a file*"),
    ],
)
def test_wrong_value_of_the_ini_file_is_called_by_its_key(project, line, complaint):
    project.pytester.makeini(f"[pytest]\n{line}")

    result = project.run()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {complaint}"])


def test_flags_ini_keys_and_marker_are_listed(project):
    listed = project.run("--help")
    markers = project.run("--markers")

    for name in ("artifacts", "method", "layer", "device", "fill"):
        listed.stdout.fnmatch_lines([f"*--cam-{name}=*", f"*cam_{name} (string):*"])
    markers.stdout.fnmatch_lines(
        [
            "@pytest.mark.cam(method=..., layer=..., device=..., target=..., preprocess=..., class_names=..., "
            "output=..., fill=...): *"
        ]
    )
