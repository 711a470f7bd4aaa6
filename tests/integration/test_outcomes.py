"""Every way in which pytest lets a test fail, or not."""

from __future__ import annotations

import sys

import pytest


def outcomes(project) -> dict[str, list[str]]:
    return {name: [found["outcome"] for found in documents] for name, documents in project.documents().items()}


def test_expected_failures_are_saved_as_such_and_the_run_stays_green(project):
    project.write(
        test_expected="""
        @pytest.mark.xfail
        def test_expected(cam, model, photo):
            cam.assert_attention_in_region(model, photo, DARK)

        @pytest.mark.xfail(strict=True)
        def test_strictly_expected(cam, model, photo):
            assert cam(model, photo).skill_in(DARK) > 0.9

        def test_given_up(cam, model, photo):
            try:
                cam.assert_attention_in_region(model, photo, DARK)
            except AttentionError:
                pytest.xfail("known")

        @pytest.mark.xfail
        def test_passes_unexpectedly(cam, model, photo):
            cam.assert_attention_in_region(model, photo, LIT)
        """
    )

    result = project.run_with_artifacts("--xfail-tb", "-rx")

    assert result.ret == pytest.ExitCode.OK
    result.assert_outcomes(xfailed=3, xpassed=1)
    result.stdout.fnmatch_lines(["*- pytest-cam: pictures (xfailed) -*"])
    assert outcomes(project) == {
        "test_expected": ["xfailed"],
        "test_strictly_expected": ["xfailed"],
        "test_given_up": ["xfailed"],
    }


def test_each_kind_of_failure_is_saved(project):
    project.write(
        test_kinds="""
        def look(cam):
            cam.assert_attention_in_region(spotlight(), make_photo(), DARK, "0")

        @pytest.fixture
        def fails_in_setup(cam):
            look(cam)

        @pytest.fixture
        def fails_in_teardown(cam):
            yield
            look(cam)

        @pytest.fixture
        def asserts_in_setup(cam):
            assert cam(spotlight(), make_photo()).skill_in(DARK) > 0.9

        def test_setup(fails_in_setup):
            pass

        def test_setup_with_a_plain_assert(asserts_in_setup):
            pass

        def test_teardown(fails_in_teardown):
            pass

        class TestCase(unittest.TestCase):
            def test_method(self):
                assert_attention_in_region(spotlight(), make_photo(), DARK, "0")

        @pytest.mark.xfail(strict=True)
        def test_passes_although_it_must_not(cam):
            cam.assert_attention_in_region(spotlight(), make_photo(), LIT, "0")

        @pytest.mark.xfail(raises=ZeroDivisionError)
        def test_fails_in_another_way_than_expected(cam):
            look(cam)
        """
    )

    result = project.run_with_artifacts()

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=1, failed=3, errors=3)
    assert outcomes(project) == {
        "test_setup": ["failed"],
        "test_setup_with_a_plain_assert": ["failed"],
        "test_teardown": ["failed"],
        "TestCase::test_method": ["failed"],
        "test_fails_in_another_way_than_expected": ["failed"],
    }
    documents = project.documents()
    assert documents["test_setup"][0]["phase"] == "setup"
    assert documents["test_setup_with_a_plain_assert"][0]["phase"] == "setup"
    assert documents["test_teardown"][0]["phase"] == "teardown"


def test_evidence_is_found_wherever_an_exception_carries_it(project):
    project.write(
        test_carried="""
        import sys

        def failure(region, method="gradcam"):
            with pytest.raises(AttentionError) as caught:
                assert_attention_in_region(spotlight(), make_photo(), region, "0", method)
            return caught.value

        def test_cause():
            raise RuntimeError("of another kind") from failure(DARK)

        def test_context():
            try:
                raise failure(DARK)
            except AttentionError:
                raise RuntimeError("while that was handled")

        def test_suppressed_context():
            try:
                raise failure(DARK)
            except AttentionError:
                raise RuntimeError("it is said to be of no interest") from None

        @pytest.mark.skipif(sys.version_info < (3, 11), reason="has no exception groups")
        def test_group():
            both = [failure(DARK, "gradcam"), ValueError(), failure(DARK, "hirescam")]
            raise ExceptionGroup("outer", [ExceptionGroup("inner", both), KeyError()])

        def test_exceptions_attribute_that_is_none_of_a_group():
            error = failure(DARK)
            error.exceptions = None
            raise error
        """
    )

    result = project.run_with_artifacts()

    groups = sys.version_info >= (3, 11)
    result.assert_outcomes(failed=4 + groups, skipped=1 - groups)
    result.stdout.no_fnmatch_line("*artifacts failed*")
    saved = {name: [found["method"] for found in documents] for name, documents in project.documents().items()}
    if groups:
        assert saved.pop("test_group") == ["gradcam", "hirescam"]
    assert saved == {
        "test_cause": ["gradcam"],
        "test_context": ["gradcam"],
        "test_exceptions_attribute_that_is_none_of_a_group": ["gradcam"],
    }


@pytest.mark.parametrize("more", [(), ("--doctest-continue-on-failure",)])
def test_doctests_are_saved(project, more):
    project.write(
        documented="""
        def documented():
            '''
            >>> _ = assert_attention_in_region(spotlight(), make_photo(), DARK, "0", "gradcam")
            >>> _ = assert_attention_in_region(spotlight(), make_photo(), DARK, "0", "hirescam")
            >>> 1 + 1
            3
            '''
        """
    )

    result = project.run_with_artifacts("--doctest-modules", "documented.py", *more)

    result.assert_outcomes(failed=1)
    (documents,) = project.documents().values()
    assert [found["method"] for found in documents] == (["gradcam", "hirescam"] if more else ["gradcam"])
    result.stdout.fnmatch_lines([f"*pictures of {len(documents)} failed check* in *"])


@pytest.mark.skipif(pytest.version_tuple < (9, 0), reason="this pytest has no subtests")
def test_subtests_are_saved_each_for_itself(project):
    project.write(
        test_parts="""
        CORNERS = [(0, 0, 1, 8), LIT, DARK, (5, 0, 8, 4)]

        def test_checks(cam, model, photo, subtests):
            for box in CORNERS:
                with subtests.test(box=box):
                    cam.assert_attention_in_region(model, photo, box)

        def test_plain_asserts(cam, model, photo, subtests):
            for box in CORNERS:
                with subtests.test(box=box):
                    assert cam(model, photo).skill_in(box) > 0.9

        def test_plain_asserts_on_one_map(cam, model, photo, subtests):
            attention = cam(model, photo)
            for box in CORNERS:
                with subtests.test(box=box):
                    assert attention.skill_in(box) > 0.9

        class TestCase(unittest.TestCase):
            def test_method(self):
                for box in CORNERS:
                    with self.subTest(box=box):
                        assert_attention_in_region(spotlight(), make_photo(), box)
        """
    )

    result = project.run_with_artifacts()

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    # Three of the four boxes fail in each test. A plain assert that fails saves what is new since the last one, and
    # the passing second box computed a map, too.
    assert {name: len(documents) for name, documents in project.documents().items()} == {
        "test_checks": 3,
        "test_plain_asserts": 4,
        "test_plain_asserts_on_one_map": 3,
        "TestCase::test_method": 3,
    }
    # That one is of no check that failed.
    result.stdout.fnmatch_lines(["*pictures of 12 failed checks in *"])


def test_failures_in_a_thread_of_its_own_are_told_by_pytest(project):
    project.write(
        test_thread="""
        from threading import Thread

        def test_thread(cam, model, photo):
            thread = Thread(target=cam.assert_attention_in_region, args=(model, photo, DARK))
            thread.start()
            thread.join()
        """
    )

    told = project.run("-W", "default::pytest.PytestUnhandledThreadExceptionWarning")
    told.assert_outcomes(passed=1, warnings=1)
    told.stdout.fnmatch_lines(["*PytestUnhandledThreadExceptionWarning: *", "*AttentionError: attention in box: *"])
    project.run("-W", "error::pytest.PytestUnhandledThreadExceptionWarning").assert_outcomes(failed=1)


@pytest.mark.skipif(pytest.version_tuple < (9, 0), reason="this pytest has no subtests")
@pytest.mark.parametrize("plugin_args", [("-p", "no:xdist"), ("-n0",)], ids=["plain", "n0"])
def test_test_in_which_the_run_is_stopped_loses_nothing_of_earlier_runs(project, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    project.write(
        test_parts="""
        from pathlib import Path

        def test_parts(cam, model, photo, subtests):
            for box in (LIT, (1, 1, 5, 4)):
                with subtests.test():
                    cam.assert_attention_in_region(model, photo, box)
                if Path("stop").exists():
                    pytest.exit("enough")

        def test_dark(cam, model, photo, subtests):
            for box in (DARK, (5, 4, 8, 8)):
                with subtests.test():
                    cam.assert_attention_in_region(model, photo, box)
                if Path("stop").exists():
                    pytest.exit("enough")
        """
    )
    parts, dark, limits = "test_parts.py::test_parts", "test_parts.py::test_dark", project.path / "cam_limits.toml"
    project.run("--cam-calibrate", parts)
    project.run_with_artifacts(dark)
    whole = limits.read_text()
    (project.path / "stop").touch()

    asking = project.run("--cam-limits=cam_limits.toml", parts)
    project.run("--cam-calibrate", parts)
    looking = project.run_with_artifacts(dark)

    assert whole.count("[[limit]]") == 2
    asking.stdout.no_fnmatch_line("no check asked for *")
    assert limits.read_text() == whole
    looking.stdout.no_fnmatch_line("removed *")
    assert len(project.documents()["test_dark"]) == 2
