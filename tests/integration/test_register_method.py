"""Methods of the user's own: from a conftest or another package, by marker, flag, ini key and call."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import pytest_cam.engine.methods as registry

# Of layer "0" the activations are the image: 16 pixels of 64 are lit, and "bright" is one there.
BRIGHT = """
import pytest_cam


@pytest_cam.register_method("bright")
def bright(activations, *, times=1):
    return times * activations.sum(dim=1)
"""
DARK = """
import pytest_cam


@pytest_cam.register_method("dark")
def dark(activations):
    return 1 - activations.sum(dim=1)
"""
USES = """
        @pytest.mark.cam(layer="0")
        class TestBright:
            def test_call(self, cam, model, photo):
                attention = cam(model, photo, method="bright", method_options={"times": 3})
                assert (attention.method, attention.map.sum(), attention.map.max()) == ("bright", 48, 3)

            @pytest.mark.cam(method="bright")
            def test_marker(self, cam, model, photo):
                assert cam(model, photo).method == "bright"
                cam.assert_attention_in_region(model, photo, LIT)

            @pytest.mark.cam(method=["gradcam", "bright"])
            def test_marker_with_a_list(self, cam, model, photo):
                assert [each.method for each in cam(model, photo)] == ["gradcam", "bright"]

            def test_without_the_fixture(self, model, photo):
                assert attend(model, photo, method="bright", layer="0").energy_in(LIT) == 1

            @pytest.mark.cam(method="bright")
            def test_that_fails(self, cam, model, photo):
                cam.assert_attention_in_region(model, photo, DARK)
"""
DEFAULT = """
        @pytest.mark.cam(layer="0")
        def test_default(cam, model, photo):
            assert cam(model, photo).method == "bright"
"""


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """Runs in this process find nothing in its registry, and leave nothing there."""
    registered = dict(registry._registered)
    registry._registered.clear()
    forget_entry_points()
    yield
    registry._registered.clear()
    registry._registered.update(registered)
    forget_entry_points()


def forget_entry_points():
    registry._found.clear()
    registry.entry_points.cache_clear()


def add_to_conftest(project, source, directory="."):
    path = project.path / directory / "conftest.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text((path.read_text(encoding="utf-8") if path.exists() else "") + source, encoding="utf-8")


def distribute(project, entry_points, name="ourcams", **modules):
    """Put a distribution where Python finds it: its metadata, and its modules."""
    directory = project.path / f"{name}-1.0.dist-info"
    directory.mkdir()
    (directory / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (directory / "entry_points.txt").write_text(f"[pytest_cam.methods]\n{entry_points}\n", encoding="utf-8")
    for module, source in modules.items():
        (project.path / f"{module}.py").write_text(source, encoding="utf-8")
    project.pytester.syspathinsert()


def require_red(result, project):
    """Check the exit status of a run that did not collect everything: xdist runs what it has."""
    with_workers = "-n2" in project.plugin_args
    assert result.ret == (pytest.ExitCode.TESTS_FAILED if with_workers else pytest.ExitCode.INTERRUPTED)
    assert result.parseoutcomes().get("passed", 0) == (1 if with_workers else 0)


def test_method_of_a_conftest_is_used_like_any_other(project):
    add_to_conftest(project, BRIGHT)
    project.write(test_uses=USES + DEFAULT)

    result = project.run_with_artifacts("--cam-method=bright")

    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(["*AttentionError: attention in box: skill -0.16 < 0.25 (bright, 0)*"])
    (document,) = project.documents()["TestBright::test_that_fails"]
    assert document["method"] == "bright"


def test_method_of_the_ini_file(project):
    add_to_conftest(project, BRIGHT)
    project.write(test_default=DEFAULT)
    project.pytester.makeini("[pytest]\ncam_method = bright")
    project.run().assert_outcomes(passed=1)

    project.pytester.makeini("[pytest]\ncam_method = brigth")
    project.write(test_good="def test_good(): pass")
    result = project.run()

    require_red(result, project)
    result.stdout.fnmatch_lines(["--cam-method, or cam_method of the ini file: there is no method 'brigth'. Did you*"])


def test_method_of_a_subdirectory(project):
    add_to_conftest(project, BRIGHT)
    add_to_conftest(project, DARK, "below")
    project.write(
        **{
            "below/test_below": """
        def test_default(cam, model, photo):
            attention = cam(model, photo, layer="0")
            assert (attention.method, attention.map.sum()) == ("dark", 48)

        @pytest.mark.cam(method="dark", layer="0")
        def test_marker(cam, model, photo):
            assert cam(model, photo).energy_in(LIT) == 0

        @pytest.mark.cam(method="bright", layer="0")
        def test_method_from_above(cam, model, photo):
            assert cam(model, photo).energy_in(LIT) == 1
        """
        }
    )

    project.run("--cam-method=dark").assert_outcomes(passed=3)


def test_names_that_there_are_not_are_collection_errors(project):
    add_to_conftest(project, BRIGHT)
    # pytest gives both conftests the same module name, and the functions have the same name too.
    add_to_conftest(project, BRIGHT.replace("times *", "2 *"), "below")
    project.write(
        test_default=DEFAULT,
        test_marker="""
        @pytest.mark.cam(method="brigth")
        def test_marker():
            pass
        """,
        test_list="""
        @pytest.mark.cam(method=("gradcam", "gradcan"))
        class TestIt:
            def test_it(self):
                pass
        """,
        **{"below/test_below": "def test_below(cam): pass"},
        test_good="def test_good(): pass",
    )

    result = project.run("--cam-method=brigth")

    require_red(result, project)
    # Two workers may put a failing conftest in different words.
    assert result.parseoutcomes()["errors"] in ((4, 5) if "-n2" in project.plugin_args else (4,))
    result.stdout.fnmatch_lines_random(
        [
            "--cam-method, or cam_method of the ini file: there is no method 'brigth'. Did you mean 'bright'?",
            "test_marker.py::test_marker: @pytest.mark.cam(method='brigth'): there is no method 'brigth'. Did you mean "
            "'bright'?",
            "test_list.py::TestIt::test_it: @pytest.mark.cam(method=('gradcam', 'gradcan')): there is no method "
            "'gradcan'. Did you mean 'gradcam' or *?",
            "E *MethodError: there is a method 'bright' already; register yours under another name",
        ]
    )


def test_only_tests_that_take_the_fixture_mind_a_wrong_default(project):
    project.write(
        test_plain="""
        def test_plain():
            pass

        class TestCase(unittest.TestCase):
            def test_it(self):
                pass

        def test_late(request, model, photo):
            request.getfixturevalue("cam")(model, photo)
        """
    )

    result = project.run("--cam-method=gradcan")

    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["E *MethodError: there is no method 'gradcan'. Did you mean 'gradcam' or *?"])


def test_two_methods_of_one_name_in_the_first_conftest(project):
    add_to_conftest(project, BRIGHT + DARK.replace('"dark"', '"bright"'))
    project.write(test_good="def test_good(): pass")

    result = project.run(subprocess=True)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["E *MethodError: there is a method 'bright' already; register yours under another name"]
    )


def test_method_of_another_package(project):
    distribute(project, "bright = ourcams:bright", ourcams=BRIGHT.replace("@", "# "))
    project.write(test_uses=USES + DEFAULT)

    result = project.run("--cam-method=bright")

    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(["*AttentionError: attention in box: skill -0.16 < 0.25 (bright, 0)*"])


def test_broken_methods_of_another_package_are_errors_where_they_are_used(project):
    causes = {
        "missing": ("cams_a:bright", "ModuleNotFoundError: No module named 'notthere'"),
        "unnamed": ("cams_b:dim", "AttributeError: module 'cams_b' has no attribute 'dim'"),
        "broken": ("cams_c:bright", "ZeroDivisionError: division by zero"),
        "ending": ("cams_d:bright", "SystemExit: 3"),
    }
    entry_points = "\n".join(f"{name} = {entry}" for name, (entry, _) in causes.items())
    distribute(
        project,
        f"{entry_points}\ngreedy = cams_b:greedy\nnumber = cams_b:number\nbright = cams_b:bright",
        cams_a="import notthere",
        cams_b=BRIGHT.replace("@", "# ") + "\n\ndef greedy(activation): return activation\n\n\nnumber = 3",
        cams_c="1 / 0",
        cams_d="raise SystemExit(3)",
    )
    project.write(
        test_broken="""
        @pytest.mark.parametrize("name", ["missing", "unnamed", "broken", "ending", "greedy", "number", "bright"])
        def test_it(cam, model, photo, name):
            assert cam(model, photo, method=name, layer="0").method == name
        """
    )

    result = project.run()

    result.assert_outcomes(passed=1, failed=6)
    result.stdout.fnmatch_lines_random(
        [
            "*The above exception was the direct cause of the following exception:*",
            "E *MethodError: method 'greedy' asks for 'activation', which there is not. Did you mean 'activations'*",
            "E *MethodError: method 'number' is an int; accepted: a function",
            *(f"E *{cause}" for _, cause in causes.values()),
            *(
                f"E *MethodError: method '{name}', the entry point {entry} of ourcams in the group "
                f"pytest_cam.methods, cannot be loaded: {cause}"
                for name, (entry, cause) in causes.items()
            ),
        ]
    )


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (
            "notthere:cam",
            "method 'ep-cam', the entry point notthere:cam of ourcams in the group pytest_cam.methods, cannot be "
            "loaded: ModuleNotFoundError: No module named 'notthere'",
        ),
        (
            "ourcams:greedy",
            "method 'ep-cam' asks for 'activation', which there is not. Did you mean 'activations'*",
        ),
        ("ourcams:number", "method 'ep-cam' is an int; accepted: a function"),
    ],
)
def test_broken_method_of_another_package_is_a_collection_error_where_it_is_named(project, entry, said):
    distribute(project, f"ep-cam = {entry}", ourcams="def greedy(activation): return activation\n\n\nnumber = 3")
    project.write(
        test_default=DEFAULT,
        test_marker="""
        @pytest.mark.cam(method=["gradcam", "ep-cam"])
        def test_marker():
            pass
        """,
        test_good="def test_good(): pass",
    )

    result = project.run("--cam-method=ep-cam")

    require_red(result, project)
    assert result.parseoutcomes()["errors"] == 2
    result.stdout.fnmatch_lines_random(
        [
            f"--cam-method, or cam_method of the ini file: {said}",
            f"test_marker.py::test_marker: @pytest.mark.cam(method=[[]'gradcam', 'ep-cam']): {said}",
        ]
    )


def test_names_that_entry_points_share_with_other_methods_are_collection_errors(project):
    add_to_conftest(project, BRIGHT)
    distribute(
        project,
        "gradcam = ourcams:dark\nbright = ourcams:dark\ndark = ourcams:dark",
        ourcams=DARK.replace("@", "# "),
    )
    distribute(project, "dark = theircams:dark", name="theircams", theircams=DARK.replace("@", "# "))
    project.write(
        test_fixture="def test_fixture(cam): pass",
        test_marker="""
        @pytest.mark.cam(method="gradcam")
        def test_marker():
            pass
        """,
        test_good="def test_good(): pass",
    )

    result = project.run()

    require_red(result, project)
    assert result.parseoutcomes()["errors"] == 2
    theirs = "the entry point ourcams:dark of ourcams in the group pytest_cam.methods"
    result.stdout.fnmatch_lines_random(
        [
            f"there is a method 'gradcam' already, a built-in one, and {theirs} has the same name",
            f"there is a method 'bright' already, a registered one, and {theirs} has the same name; register yours "
            "under another name",
            "there is a method 'dark' already, the entry point *, and the entry point * has the same name",
            "test_marker.py::test_marker: @pytest.mark.cam(method='gradcam'): there is a method 'gradcam' already, a *",
        ]
    )


def test_name_that_an_entry_point_shares_is_an_error_in_calls_and_listed_once(project):
    distribute(project, "gradcam = ourcams:dark\nbright = ourcams:bright", ourcams=BRIGHT + DARK)
    project.write(
        test_calls="""
        def test_gradcam(model, photo):
            attend(model, photo, method="gradcam")

        def test_bright_and_others(model, photo):
            from pytest_cam.engine.methods import method_names

            for method in ("bright", "bright", "gradcam++"):
                assert attend(model, photo, method=method, layer="0").method == method
            assert sorted(method_names()) == sorted(set(method_names()))
        """
    )

    result = project.run()

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["E *MethodError: there is a method 'gradcam' already, a built-in one, and the entry *"]
    )


def test_package_may_register_what_its_entry_point_stands_for(project):
    distribute(project, "bright = ourcams:bright", ourcams=BRIGHT)
    project.write(test_uses=USES + DEFAULT)
    project.run("--cam-method=bright").assert_outcomes(passed=5, failed=1)

    # As well as where a conftest imports it first.
    forget_entry_points()
    add_to_conftest(project, "\nimport ourcams\n")
    project.run("--cam-method=bright").assert_outcomes(passed=5, failed=1)
