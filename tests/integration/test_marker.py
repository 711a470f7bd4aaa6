"""@pytest.mark.cam: what it accepts is checked when tests are collected."""

from __future__ import annotations

import pytest

REJECTED = {
    "function": """
        @pytest.mark.cam(metod="gradcam")
        def test_it():
            pass
    """,
    "parameter": """
        @pytest.mark.parametrize("n", [1, pytest.param(2, marks=pytest.mark.cam(metod="gradcam"))])
        def test_it(n):
            pass
    """,
    "class": """
        @pytest.mark.cam(metod="gradcam")
        class TestIt:
            def test_it(self):
                pass
    """,
    "module": """
        pytestmark = [pytest.mark.cam(layer="0"), pytest.mark.cam(metod="gradcam")]

        def test_it():
            pass
    """,
    "unittest": """
        @pytest.mark.cam(metod="gradcam")
        class TestCase(unittest.TestCase):
            def test_it(self):
                pass
    """,
}


def test_unknown_and_positional_settings_are_errors_before_the_test_runs(project):
    project.write(**{f"test_{where}": source for where, source in REJECTED.items()})
    project.pytester.makeconftest(
        """
        import pytest

        def pytest_collection_modifyitems(items):
            for item in items:
                if item.name == "test_late":
                    item.add_marker(pytest.mark.cam(metod="gradcam"))
        """
    )
    project.write(
        test_positional="""
        @pytest.mark.cam("layer4")
        def test_it():
            pass
        """,
        test_good="""
        @pytest.mark.cam
        @pytest.mark.cam(method="gradcam", layer="0", target=1, class_names=None)
        def test_it(cam):
            pass

        def test_late(cam):
            pass
        """,
    )

    result = project.run("--continue-on-collection-errors")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=1, errors=len(REJECTED) + 2)
    for where in REJECTED:
        result.stdout.fnmatch_lines(
            [f"test_{where}.py::*test_it*: @pytest.mark.cam has no setting 'metod'. Did you mean 'method'?"]
        )
    result.stdout.fnmatch_lines(["E *SettingError: @pytest.mark.cam has no setting 'metod'. Did you mean 'method'?"])
    result.stdout.fnmatch_lines(
        [
            "test_positional.py::test_it: @pytest.mark.cam takes keywords only, and was given 'layer4'. "
            "Accepted: method, layer, device, target, preprocess, class_names, output, fill."
        ]
    )


def test_the_closest_marker_wins_and_a_class_is_closer_than_its_base(project):
    project.write(
        test_suite="""
        pytestmark = pytest.mark.cam(method="xgradcam", layer="0")

        @pytest.mark.cam(target=1, method="hirescam")
        class Base:
            def test_of_the_class(self, cam, model, photo):
                attention = cam(model, photo)
                assert (attention.explained.target, attention.method) == (1, self.method)

            @pytest.mark.cam(method="eigengradcam")
            def test_of_the_function(self, cam, model, photo):
                assert cam(model, photo).method == "eigengradcam"

        class TestBase(Base):
            method = "hirescam"

        @pytest.mark.cam(method="layercam")
        class TestDerived(Base):
            method = "layercam"

        class TestTwice(TestDerived):
            pytestmark = [pytest.mark.cam(method="gradcam")]
            method = "gradcam"
        """
    )
    project.run().assert_outcomes(passed=6)


def test_verb_for_one_layer_refuses_the_list_of_a_marker(project):
    project.write(
        test_suite="""
        @pytest.mark.cam(layer=["0"], method="gradcam", target=1)
        def test_list(cam, model, photo):
            assert len(cam(model, photo)) == 1
            for verb in (cam.assert_attention_in_region, cam.assert_attention_not_in_region):
                with pytest.raises(ValueError, match=f"layer is a list of 1; {verb.__name__} takes one layer"):
                    verb(model, photo, LIT)
        """
    )
    project.run().assert_outcomes(passed=1)
