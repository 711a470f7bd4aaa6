"""--cam-calibrate, --cam-margin and --cam-limits: from an accepted model to the limits that later runs hold."""

from __future__ import annotations

import pytest

from pytest_cam.reporting.limits_file import read_limits
from pytest_cam.running import RUNNING, Key

# Looks at the lit square and, with the weight that a file gives, at the rest: the model that is accepted or not.
LOOKING = """
        from pathlib import Path

        def seen():
            image = make_photo()
            image[:, 5:8, 5:8] = float(Path("strayed.txt").read_text())
            return image

        SEEN = dict(layer="0", method="gradcam", target=1)
"""
SUITE = (
    LOOKING
    + """
        def test_fixture(cam, model):
            cam.assert_attention_in_region(model, seen(), LIT, **SEEN)
            cam.assert_attention_not_in_region(model, seen(), (7, 0, 8, 2), **SEEN)

        def test_function_with_a_limit_of_its_own(model):
            assert_attention_in_region(model, seen(), LIT, at_least=0.1, **SEEN)

        def test_metric_without_a_default(cam, model):
            cam(model, seen(), **SEEN).assert_in_region(LIT, metric="energy")
"""
)


@pytest.fixture(autouse=True)
def _at_home(monkeypatch):
    monkeypatch.delenv("CI", raising=False)


def strayed(project, share: float) -> None:
    (project.path / "strayed.txt").write_text(str(share))


def limits(project, name: str = "cam_limits.toml") -> dict[str, tuple[float | None, float | None]]:
    return {str(key): tuple(entry.agreed) for key, entry in read_limits(project.path / name).items()}


def test_workflow(project):
    project.pytester.makeini("[pytest]\ncam_limits = cam_limits.toml")
    project.write(test_suite=SUITE)
    strayed(project, 0.0)

    calibrated = project.run("--cam-calibrate")
    first = (project.path / "cam_limits.toml").read_bytes()
    again = project.run("--cam-calibrate")
    accepted = project.run()
    strayed(project, 0.5)
    worse = project.run()

    calibrated.assert_outcomes(passed=3)
    assert calibrated.ret == again.ret == pytest.ExitCode.OK
    assert limits(project) == {
        "test_suite.py::test_fixture #1 attention in box, skill": (0.9, None),
        "test_suite.py::test_fixture #2 attention not in box, lift": (None, 0.967),
        "test_suite.py::test_metric_without_a_default #1 attention in box, energy": (0.925, None),
    }
    assert (project.path / "cam_limits.toml").read_bytes() == first
    calibrated.stdout.fnmatch_lines(
        [
            "*pytest-cam: calibrating, limits of attention checks are recorded and not applied*",
            "check * value *present limit *proposed limit *energy by chance *energy at best",
            "test_suite.py::test_fixture #1 attention in box, skill *1.000 *at least 0.25 *at least 0.9 *0.25 *1.00",
            "*limit_of_its_own #1 attention in box, skill *at least 0.1 *at least 0.9, to go into the call *0.25 *1.00",
            "*without_a_default #1 attention in box, energy *1.000 *none *at least 0.925 *0.25 *1.00",
            "wrote 3 limits to *cam_limits.toml, margin 0.1",
            "limits were recorded and not applied: this run is no gate",
        ]
    )
    again.stdout.fnmatch_lines(["*#1 attention in box, skill *1.000 *at least 0.9, limit from cam_limits.toml *at*"])
    accepted.assert_outcomes(passed=3)
    worse.assert_outcomes(passed=1, failed=2)  # skill 0.7 is above the call's own limit
    worse.stdout.fnmatch_lines(["E *AttentionError: attention in box: skill 0.71 < 0.9 (gradcam, 0)"])
    worse.stdout.fnmatch_lines(["E *limit * skill at least 0.9, limit from cam_limits.toml"])
    worse.stdout.fnmatch_lines(["E *AttentionError: attention in box: energy 0.78 < 0.925 (gradcam, 0)"])


def test_baselines_that_are_written_are_counted_as_those_that_are_compared(project):
    project.write(
        test_suite=LOOKING
        + """
        def test_release(cam, model):
            cam.assert_attention_matches_baseline(model, seen(), mode="same-weights", **SEEN)
            cam.assert_attention_in_region(model, seen(), LIT, **SEEN)
        """
    )
    strayed(project, 0.0)

    calibrated = project.run("--cam-calibrate", "--cam-update=missing")
    first = limits(project)
    again = project.run("--cam-calibrate")
    held = project.run("--cam-limits=cam_limits.toml")
    written_again = project.run("--cam-limits=cam_limits.toml", "--cam-update=all")
    strayed(project, 0.2)
    worse = project.run("--cam-limits=cam_limits.toml", "--cam-update=changed")

    for result in (calibrated, again, held, written_again):
        result.assert_outcomes(passed=1)
        result.stdout.no_fnmatch_line("no check asked for*")
    assert first == limits(project)
    assert [key.partition(" ")[2] for key in first] == [
        "#1 attention matches baseline, cosine",
        "#1 attention matches baseline, max difference",
        "#2 attention in box, skill",
    ]
    worse.assert_outcomes(failed=1)
    worse.stdout.fnmatch_lines(["E *AttentionError: attention in box: skill 0.87 < 0.9 (gradcam, 0)"])


def test_weaker_limit_than_the_present_one_is_marked(project):
    project.write(
        test_suite="""
        def test_strict(cam, model, photo):
            cam.assert_attention_in_region(model, photo, LIT, at_least=0.95)
            cam.assert_attention_in_region(model, photo, LIT, at_least=0.9)
        """
    )
    calibrated = project.run("--cam-calibrate")
    calibrated.stdout.fnmatch_lines(
        [
            "*test_strict #1 * at least 0.9, WEAKER than now, to go *",
            "*test_strict #2 * at least 0.9, to go into the call *",
        ]
    )


def test_check_that_is_expected_to_fail_gets_no_limit_where_calibration_lets_it_pass(project):
    project.write(
        test_suite="""
        @pytest.mark.xfail
        def test_expected(cam, model, photo):
            cam.assert_attention_in_region(model, photo, LIT, layer="0", method="gradcam", target=1, at_most=0.5)

        def test_looks(cam, model, photo):
            cam.assert_attention_in_region(model, photo, LIT, layer="0", method="gradcam", target=1)
        """
    )

    result = project.run("--cam-calibrate")

    result.assert_outcomes(passed=1, xpassed=1)
    result.stdout.fnmatch_lines(["*test_expected #1 *none: the test did not pass*", "wrote 1 limit to *"])


def test_nothing_fails_by_its_limit_and_all_else_does(project):
    project.write(
        test_suite="""
        from pytest_cam import Box, soft

        def test_failing_check(cam, model, photo):
            with soft():
                cam.assert_attention_in_region(model, photo, DARK)
            cam.assert_attention_not_in_region(model, photo, LIT)

        def test_limit_that_no_map_can_meet(cam, model, photo):
            cam.assert_attention_in_region(model, photo, LIT, metric="lift", at_least=100)

        def test_region_that_is_no_test(cam, model, photo):
            cam.assert_attention_in_region(model, photo, (0, 0, 8, 8))

        def test_empty_map(cam, model, photo):
            cam.assert_attention_in_region(model, photo * 0, LIT)

        def test_plain_assert(cam, model, photo):
            assert cam(model, photo).skill_in(DARK) > 0.9

        @pytest.mark.xfail
        def test_expected(cam, model, photo):
            cam.assert_attention_in_region(model, photo, LIT)
            assert False

        @pytest.mark.parametrize("box", [LIT, DARK])
        def test_boxes(cam, model, photo, box):
            cam.assert_attention_in_region(model, photo, box, metric="pointing")
        """
    )
    # A cell in the middle is brightest, so that the peak is not shared.
    (project.path / "spotlight.py").write_text(
        (project.path / "spotlight.py")
        .read_text()
        .replace("= 1.0\n    return", "= 1.0\n    image[:, 2, 2] = 2\n    return")
    )

    result = project.run("--cam-calibrate")

    result.assert_outcomes(passed=4, failed=3, xfailed=1)
    result.stdout.fnmatch_lines(
        [
            "*test_boxes?box1? #1 attention in box, pointing *none: the peak misses*",
            "*test_expected #1 *none: the test did not pass*",
            "*test_failing_check #1 attention in box, skill *none: less the margin it is no better than chance, 0.00*",
            "*test_failing_check #2 attention not in box, lift *none: it is more than chance, 1.00*",
            "*test_limit_that_no_map_can_meet #1 *at least 100 *at least *",
        ]
    )
    assert sorted(limits(project)) == [
        "test_suite.py::test_boxes[box0] #1 attention in box, pointing",
    ]


def test_parameters_share_a_limit_that_new_ones_are_held_to(project):
    suite = (
        LOOKING
        + """
        @pytest.mark.parametrize("share", {shares})
        def test_images(cam, model, share):
            image = make_photo()
            image[:, 5:8, 5:8] = share
            cam.assert_attention_in_region(model, image, LIT, **SEEN)
        """
    )
    project.write(test_suite=suite.format(shares=[0.0, 0.1, 0.2]))

    calibrated = project.run("--cam-calibrate", "--cam-margin=0.05", "--cam-limits=agreed.toml")
    project.write(test_suite=suite.format(shares=[0.2, 0.3]))
    new = project.run("--cam-limits=agreed.toml")
    partly = project.run("--cam-calibrate", "--cam-limits=agreed.toml")

    calibrated.assert_outcomes(passed=3)
    found = limits(project, "agreed.toml")
    calibrated.stdout.fnmatch_lines(["test_suite.py::test_images #1 *at least 0.25 *at least 0.821, of 3 parameters*"])
    new.assert_outcomes(passed=1, failed=1)
    new.stdout.fnmatch_lines(
        [
            "E *skill 0.81 < 0.821*",
            "*limits in agreed.toml*",
            "no check asked for test_suite.py::test_images?0.0? #1 *: there is no such test",
            "no check asked for test_suite.py::test_images?0.1? #1 *: there is no such test",
        ]
    )
    # Two of its parameters are of this run, and the file knows others.
    assert found["test_suite.py::test_images #1 attention in box, skill"][0] == 0.821
    partly.stdout.fnmatch_lines(["wrote 2 limits to *; kept 3 of tests that did not pass in this run"])


def test_entries_that_no_check_asks_for_are_named(project):
    project.write(
        test_suite="""
        def test_one(cam, model, photo):
            cam.assert_attention_in_region(model, photo, LIT)

        def test_other_number(cam, model, photo):
            cam.assert_attention_not_in_region(model, photo, DARK)

        def test_fails(cam, model, photo):
            assert False
        """,
        test_other="""
        def test_other():
            pass
        """,
    )
    entry = '[[limit]]\ntest = "{}"\nnumber = {}\ncheck = "{}"\nmetric = "skill"\nat_least = 0.5\n'
    keys = [
        ("test_suite.py::test_one", 1, "attention in box"),
        ("test_suite.py::test_one", 2, "attention in box"),
        ("test_suite.py::test_one", 1, "attention in mask"),
        ("test_suite.py::test_fails", 1, "attention in box"),
        ("test_suite.py::test_other_number", 1, "attention not in box"),
        ("test_suite.py::test_gone", 1, "attention in box"),
        ("test_gone.py::test_gone", 1, "attention in box"),
        ("test_other.py::test_other", 1, "attention in box"),
    ]
    (project.path / "cam_limits.toml").write_text("format = 1\n" + "".join(entry.format(*key) for key in keys))

    result = project.run("--cam-limits=cam_limits.toml", "test_suite.py")
    one = project.run("--cam-limits=cam_limits.toml", "test_suite.py::test_one")
    collected = project.run("--cam-limits=cam_limits.toml", "--collect-only", "-q")

    assert [line for line in result.outlines if line.startswith(("no check", "2 of"))] == [
        "no check asked for test_gone.py::test_gone #1 attention in box, skill: there is no such test",
        "no check asked for test_suite.py::test_gone #1 attention in box, skill: there is no such test",
        "no check asked for test_suite.py::test_one #1 attention in mask, skill: its test has no such check",
        "no check asked for test_suite.py::test_one #2 attention in box, skill: its test has no such check",
        "no check asked for test_suite.py::test_other_number #1 attention not in box, skill: that check asked for lift",
        "2 of 8 limits are of tests that did not run through",
    ]
    assert "no check asked for test_suite.py::test_gone" not in one.stdout.str()
    one.stdout.fnmatch_lines(["4 of 8 limits are of tests that did not run through"])
    collected.stdout.no_fnmatch_line("*limits*")


@pytest.mark.parametrize("args", [("--lf",), ("--setup-only",), ("test_suite.py::test_fails", "spotlight.py")])
def test_run_that_leaves_tests_out_names_no_entry_of_these(project, args):
    project.write(
        test_suite="""
        def test_passes(cam, model, photo):
            cam.assert_attention_in_region(model, photo, LIT)

        def test_fails(cam, model, photo):
            assert False
        """
    )
    (project.path / "limits.toml").write_text(
        'format = 1\n[[limit]]\ntest = "test_suite.py::test_passes"\nnumber = 1\ncheck = "attention in box"\n'
        'metric = "skill"\nat_least = 0.5\n'
    )
    whole = project.run("--cam-limits=limits.toml")

    part = project.run("--cam-limits=limits.toml", *args)

    whole.assert_outcomes(passed=1, failed=1)
    whole.stdout.no_fnmatch_line("*limits in limits.toml*")
    part.stdout.fnmatch_lines(["1 of 1 limits are of tests that did not run through"])
    part.stdout.no_fnmatch_line("no check asked for*")


def test_entries_of_tests_that_are_repeated_are_not_of_tests_that_are_gone(project):
    project.write(
        test_suite="""
        # As plugins do that repeat tests.
        @pytest.fixture(autouse=True, params=[1, 2])
        def _again():
            pass

        def test_plain(cam, model, photo):
            cam.assert_attention_in_region(model, photo, LIT)

        @pytest.mark.parametrize("share", ["a", "b"])
        def test_images(cam, model, photo, share):
            cam.assert_attention_in_region(model, photo, LIT)
        """
    )
    entry = '[[limit]]\ntest = "{}"\nnumber = 1\ncheck = "attention in box"\nmetric = "skill"\nat_least = 0.5\n'
    tests = ["test_plain", "test_images[a]", "test_images[b]", "test_images[c]"]
    text = "".join(entry.format(f"test_suite.py::{test}") for test in tests)
    (project.path / "cam_limits.toml").write_text(f"format = 1\n{text}")

    result = project.run("--cam-limits=cam_limits.toml")

    result.assert_outcomes(passed=6)
    assert [line for line in result.outlines if line.startswith(("no check", "2 of"))] == [
        "no check asked for test_suite.py::test_images[c] #1 attention in box, skill: there is no such test",
        "2 of 4 limits are of tests that did not run through",
    ]


def test_a_test_that_is_repeated_has_the_limit_of_its_parameter(project):
    project.write(
        test_suite="""
        @pytest.mark.parametrize("share", [0.0, 0.5])
        def test_images(model, photo, share):
            photo[:, 5:8, 5:8] = share
            assert_attention_in_region(model, photo, LIT, layer="0", method="gradcam", target=1)
        """
    )
    # What holds for all parameters would fail the second.
    entry = '[[limit]]\ntest = "{}"\nnumber = 1\ncheck = "attention in box"\nmetric = "skill"\nat_least = {}\n'
    ours = ("test_suite.py::test_images", 0.95), ("test_suite.py::test_images[0.5]", 0.5)
    text = "".join(entry.format(*each) for each in ours)
    (project.path / "cam_limits.toml").write_text(f"format = 1\n{text}")
    project.repeat()

    result = project.run("--cam-limits=cam_limits.toml")

    result.assert_outcomes(passed=4)
    result.stdout.no_fnmatch_line("*limits are of tests*")


def test_run_that_calibrates_is_no_gate(project, monkeypatch, request):
    project.write(
        test_suite="""
        def test_one(cam, model, photo):
            cam.assert_attention_in_region(model, photo, LIT)
        """
    )
    none = project.run("--cam-calibrate", "-k", "nothing_of_that_name")
    (project.path / "test_empty.py").write_text("def test_empty(): pass")
    empty = project.run("--cam-calibrate", "test_empty.py")
    collected = project.run("--cam-calibrate", "--collect-only")
    (project.path / "test_empty.py").unlink()
    monkeypatch.setenv("CI", "true")
    in_ci = project.run("--cam-calibrate")
    monkeypatch.setenv("CI", "no")  # where baselines may be written, too
    in_no_ci = project.run("--cam-calibrate")

    assert in_no_ci.ret == pytest.ExitCode.OK
    assert none.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert empty.ret == in_ci.ret == pytest.ExitCode.TESTS_FAILED
    empty.stdout.fnmatch_lines(["no attention check ran, so there is nothing to calibrate"])
    assert collected.ret == pytest.ExitCode.OK
    collected.stdout.no_fnmatch_line("*this run is no gate*")
    in_ci.assert_outcomes(passed=1)
    in_ci.stdout.fnmatch_lines(["*this run is no gate; since CI is set it ends with an exit status other than 0"])
    # These runs were within this one, which goes on as it was.
    assert (RUNNING.is_calibrating, RUNNING.test) == (False, request.node.nodeid)
    assert limits(project) == {"test_suite.py::test_one #1 attention in box, skill": (0.9, None)}


@pytest.mark.parametrize(
    ("args", "text", "words"),
    [
        ((), None, "limits file *cam_limits.toml does not exist; pytest --cam-calibrate writes it"),
        ((), "format = 1\nlimit = [", "limits file *cam_limits.toml is no TOML: * (at *)"),
        ((), "format = 2", "limits file *: format is 2; this version of pytest-cam reads format 1"),
        (("--cam-calibrate",), "format = 2", "limits file *: format is 2; this version of pytest-cam reads format 1"),
        (("--cam-margin=none",), "format = 1", "--cam-margin is 'none'; accepted: a number from 0 to below 1"),
        (("--cam-limits=",), "format = 1", "--cam-limits is empty; accepted: a file*"),
    ],
)
def test_what_cannot_be_used_ends_the_run_before_any_test(project, args, text, words):
    project.pytester.makeini("[pytest]\ncam_limits = cam_limits.toml")
    (project.path / "test_suite.py").write_text("def test_one(): pass")
    if text is not None:
        (project.path / "cam_limits.toml").write_text(text)

    result = project.run(*args)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {words}"])


def test_limit_on_the_other_side_is_an_error_of_the_check(project):
    project.write(
        test_suite="""
        def test_one(cam, model, photo):
            cam.assert_attention_not_in_region(model, photo, (0, 0, 1, 1))
        """
    )
    (project.path / "cam_limits.toml").write_text(
        'format = 1\n[[limit]]\ntest = "test_suite.py::test_one"\nnumber = 1\ncheck = "attention not in box"\n'
        'metric = "lift"\nat_least = 0.5\n'
    )

    result = project.run("--cam-limits=cam_limits.toml")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E *LimitError: cam_limits.toml gives at_least = 0.5 for *accepted: at_most, the side*"]
    )


def test_check_in_a_fixture_that_tests_share_has_no_number_in_any_of_them(project):
    project.write(
        test_suite=LOOKING
        + """
        @pytest.fixture(scope="module")
        def shared():
            assert_attention_in_region(spotlight(), seen(), LIT, **SEEN)

        class TestOld(unittest.TestCase):
            @classmethod
            def setUpClass(cls):
                assert_attention_in_region(spotlight(), seen(), LIT, **SEEN)

            def test_looks(self):
                assert_attention_in_region(spotlight(), seen(), LIT, **SEEN)

        def test_first(shared):
            pass

        def test_second(shared, cam, model):
            cam.assert_attention_in_region(model, seen(), LIT, **SEEN)
        """
    )
    strayed(project, 0.0)
    project.run("--cam-calibrate")
    strayed(project, 0.5)

    alone = project.run("--cam-limits=cam_limits.toml", "test_suite.py::test_second")
    together = project.run("--cam-limits=cam_limits.toml")

    assert [key.partition(" attention")[0] for key in limits(project)] == [
        "test_suite.py::TestOld::test_looks #1",
        "test_suite.py::test_second #1",
    ]
    alone.assert_outcomes(failed=1)
    together.assert_outcomes(passed=1, failed=2)


def test_check_in_the_teardown_of_a_fixture_that_tests_share_has_no_number_in_the_last_of_them(project):
    project.write(
        test_suite="""
        from pytest_cam import assert_attention_matches_baseline

        @pytest.fixture(scope="module", params=[1, 2])
        def shared(request):
            yield
            assert_attention_in_region(spotlight(), make_photo(), LIT)

        @pytest.fixture(scope="module")
        def keeps(model):
            yield
            assert_attention_matches_baseline(model, make_photo())

        @pytest.fixture
        def own():
            yield
            assert_attention_in_region(spotlight(), make_photo(), LIT)

        def test_looks(shared, own, cam, model, photo):
            cam.assert_attention_in_region(model, photo, LIT)

        def test_last(keeps):
            pass
        """
    )

    result = project.run("--cam-calibrate", "--cam-update=missing")

    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["E *BaselineError: *in a fixture that several tests share, *scope 'function', *"])
    assert [key.partition(" attention")[0] for key in limits(project)] == [
        f"test_suite.py::test_looks{parameter} #{number}" for parameter in ("", "[1]", "[2]") for number in (1, 2)
    ]


def test_check_in_a_finalizer_that_a_test_adds_to_a_fixture_that_others_share_has_no_number_in_it(project):
    project.write(
        test_suite="""
        @pytest.fixture(scope="module")
        def factory(request):
            def make():
                request.addfinalizer(lambda: assert_attention_in_region(spotlight(), make_photo(), LIT))

            yield make
            assert_attention_in_region(spotlight(), make_photo(), LIT)

        def test_first(factory, model, photo):
            factory()
            assert_attention_in_region(model, photo, LIT)

        def test_last(factory, model, photo):
            factory()
            assert_attention_in_region(model, photo, LIT)
        """
    )

    project.run("--cam-calibrate").assert_outcomes(passed=2)

    assert [key.partition(" attention")[0] for key in limits(project)] == [
        "test_suite.py::test_first #1",
        "test_suite.py::test_last #1",
    ]


def test_check_after_the_last_test_is_held_to_its_limit_where_the_run_calibrates(project):
    with (project.path / "conftest.py").open("a") as conftest:
        conftest.write(
            """

def pytest_sessionfinish(session):
    from spotlight import DARK, photo, spotlight
    from pytest_cam import AttentionError, assert_attention_in_region

    if session.testscollected:  # and not in what only hands out tests
        with pytest.raises(AttentionError):
            assert_attention_in_region(spotlight(), photo(), DARK)
        open("held", "w").close()
"""
        )
    project.write(
        test_suite="""
        def test_looks(model, photo):
            assert_attention_in_region(model, photo, LIT)
        """
    )

    project.run("--cam-calibrate").assert_outcomes(passed=1)

    assert (project.path / "held").exists()


@pytest.mark.parametrize("node", ["request.node", "request.session"])
def test_check_at_the_end_of_a_module_has_no_number_in_its_last_test(project, node):
    project.write(
        test_suite=f"""
        @pytest.fixture(scope="module")
        def shared(request):
            {node}.addfinalizer(lambda: assert_attention_in_region(spotlight(), make_photo(), LIT))

        @pytest.fixture
        def own(request):
            request.node.addfinalizer(lambda: assert_attention_in_region(spotlight(), make_photo(), LIT))

        def test_looks(shared, own):
            pass
        """
    )

    project.run("--cam-calibrate").assert_outcomes(passed=1)

    assert [key.partition(" attention")[0] for key in limits(project)] == ["test_suite.py::test_looks #1"]


@pytest.mark.skipif(pytest.version_tuple < (9, 0), reason="this pytest has no subtests")
def test_subtest_that_fails_leaves_the_checks_after_it_their_limits(project):
    project.write(
        test_suite=LOOKING
        + """
        def test_looks(cam, model, subtests):
            cam.assert_attention_in_region(model, seen(), LIT, at_least=0.1, **SEEN)
            with subtests.test():
                assert not Path("broken").exists()
                cam.assert_attention_in_region(model, seen(), LIT, metric="energy", **SEEN)
            with subtests.test():
                cam.assert_attention_in_region(model, seen(), LIT, **SEEN)
            cam.assert_attention_not_in_region(model, seen(), (7, 0, 8, 2), **SEEN)
        """
    )
    strayed(project, 0.0)
    project.run("--cam-calibrate").assert_outcomes(passed=1)
    strayed(project, 0.5)
    (project.path / "broken").touch()

    result = project.run("--cam-limits=cam_limits.toml")

    assert limits(project) == {
        "test_suite.py::test_looks #1 attention in box after 1 subtest, skill": (0.9, None),
        "test_suite.py::test_looks #1 attention not in box after 2 subtests, lift": (None, 0.967),
        "test_suite.py::test_looks #2 attention in box, energy": (0.925, None),
    }
    result.stdout.fnmatch_lines(["E *AttentionError: attention in box: skill 0.71 < 0.9 (gradcam, 0)"])
    result.stdout.fnmatch_lines(["1 of 3 limits are of tests that did not run through"])


@pytest.mark.skipif(pytest.version_tuple < (9, 0), reason="this pytest has no subtests")
def test_reports_of_subtests_do_not_each_tell_of_all_checks_until_then(project):
    project.write(
        test_suite=LOOKING
        + """
        def test_looks(cam, model, subtests):
            for _ in range(10):
                with subtests.test():
                    cam.assert_attention_in_region(model, seen(), LIT, **SEEN)
        """
    )
    with (project.path / "conftest.py").open("a") as conftest:
        conftest.write(
            """
def pytest_runtest_logreport(report):
    with open("told.txt", "a") as told:
        for name in ("cam_checks", "cam_limits_asked"):
            told.write("".join(f"{each}\\n" for each in getattr(report, name, [])))
"""
        )
    strayed(project, 0.0)

    def told(*args: str) -> int:
        project.run(*args).assert_outcomes(passed=1)
        path = project.path / "told.txt"
        lines = path.read_text().splitlines()
        path.unlink()
        return len(lines)

    # What xdist's workers send is told there and here.
    assert told("--cam-calibrate") in (10, 20)
    assert told("--cam-limits=cam_limits.toml") in (10, 20)


@pytest.mark.skipif(pytest.version_tuple < (9, 0), reason="this pytest has no subtests")
@pytest.mark.parametrize("opened", ["subtests.test()", "self.subTest()"])
def test_subtests_that_one_that_failed_left_out_leave_the_checks_after_it_their_limits(project, opened):
    # Each check sees more beside the region than those before it, so that their limits fail it.
    project.write(
        test_suite=LOOKING
        + f"""
        def holds(model, strayed):
            Path("strayed.txt").write_text(str(strayed))
            assert_attention_in_region(model, seen(), LIT, **SEEN)

        class Test{"Old(unittest.TestCase)" if "self" in opened else ""}:
            def test_looks(self{"" if "self" in opened else ", subtests"}):
                model = spotlight()
                with {opened}:
                    assert not Path("broken").exists()
                    with {opened}:
                        holds(model, 0.0)
                    holds(model, 0.1)
                    with {opened}:
                        holds(model, 0.2)
                holds(model, 0.3)
                with {opened}:
                    holds(model, 0.4)
                holds(model, 0.5)
        """
    )
    project.run("--cam-calibrate", "--cam-margin=0.01").assert_outcomes(passed=1)
    calibrated = limits(project)
    held = project.run("--cam-limits=cam_limits.toml")
    (project.path / "broken").touch()

    broken = project.run("--cam-limits=cam_limits.toml")

    assert {key.partition("::test_looks ")[2] for key in calibrated} == {
        "#1 attention in box, skill",
        "#1 attention in box after 1 subtest of subtest 1, skill",
        "#2 attention in box after 1 subtest of subtest 1, skill",
        "#1 attention in box after 1 subtest, skill",
        "#2 attention in box after 1 subtest, skill",
        "#1 attention in box after 2 subtests, skill",
    }
    held.assert_outcomes(passed=1)
    broken.stdout.no_fnmatch_line("*AttentionError*")
    broken.stdout.fnmatch_lines(["E *assert not True"])  # in the first subtest, and nothing else
    assert broken.ret == pytest.ExitCode.TESTS_FAILED


def test_subtest_of_unittest_may_be_a_decorator(pytester):
    pytester.makepyfile(
        """
        import unittest

        from pytest_cam.running import RUNNING

        class Test(unittest.TestCase):
            def test_steps(self):
                @self.subTest("a step")
                def step():
                    return RUNNING.subtests

                assert [step(), step(), RUNNING.subtests] == [[0, 0], [1, 0], [2]]
        """
    )
    pytester.runpytest().assert_outcomes(passed=1)


@pytest.mark.skipif(pytest.version_tuple < (9, 0), reason="this pytest has no subtests")
def test_subtests_of_a_fixture_that_is_asked_for_while_the_test_runs(pytester):
    pytester.makepyfile(
        """
        from pytest_cam.running import RUNNING

        def test_steps(request):
            for _ in range(2):
                with request.getfixturevalue("subtests").test():
                    pass
            assert RUNNING.subtests == [2]
        """
    )
    pytester.runpytest().assert_outcomes(passed=1)


def test_key_is_what_tables_say():
    assert str(Key("a.py::b", 2, "attention in box", "skill")) == "a.py::b #2 attention in box, skill"


@pytest.mark.parametrize(
    ("least", "said"),
    [
        (-7, "LimitError: limits.toml gives at_least = -7 for drop of probability, which is outside its range, 0 to 1"),
        (0, "VacuousError: vacuous: drop of probability at least 0, limit from limits.toml passes whatever *"),
    ],
)
def test_limit_of_the_file_that_nothing_could_fail_is_an_error(project, least, said):
    project.write(
        test_suite="""
        def test_needs(cam, model, photo):
            cam.assert_prediction_needs_region(model, photo, LIT, fill="mean", target=1)
        """
    )
    (project.path / "limits.toml").write_text(
        "format = 1\n[[limit]]\ntest = 'test_suite.py::test_needs'\nnumber = 1\ncheck = 'prediction needs box'\n"
        f"metric = 'drop of probability'\nat_least = {least}\n"
    )
    result = project.run("--cam-limits=limits.toml")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"E *{said}"])
