"""`with cam.soft():` as pytest runs it: what fails, what is drawn, what is counted."""

from __future__ import annotations

import pytest


def checks_of(project) -> dict[str, list[str]]:
    return {name: [found["check"] for found in documents] for name, documents in project.documents().items()}


def test_failures_are_told_and_drawn_together(project):
    project.write(
        test_soft="""
        from pytest_cam import soft

        def test_two_of_three(cam, model, photo):
            with cam.soft():
                cam.assert_attention_in_region(model, photo, DARK)
                cam.assert_attention_in_region(model, photo, LIT)
                cam.assert_attention_not_in_region(model, photo, LIT)

        def test_one(cam, model, photo):
            with cam.soft():
                cam.assert_attention_in_region(model, photo, DARK)  # here
                cam.assert_attention_in_region(model, photo, LIT)

        def test_plain_functions(model, photo):
            with soft():
                assert_attention_in_region(model, photo, DARK, "0")
                attend(model, photo, layer="0").assert_not_in_region(LIT)

        def test_none(cam, model, photo):
            with cam.soft():
                cam.assert_attention_in_region(model, photo, LIT)

        def test_no_check(cam):
            with cam.soft():
                pass
        """
    )

    result = project.run_with_artifacts()

    result.assert_outcomes(passed=1, failed=4)
    result.stdout.fnmatch_lines(
        [
            "E   *CollectedAttentionError: 2 of 3 attention checks failed: attention in box: skill *; attention not *",
            "E   *(1) test_soft.py:13: attention in box: skill *",
            "E   *(2) test_soft.py:15: attention not in box: lift *",
        ]
    )
    result.stdout.fnmatch_lines([">*assert_attention_in_region(model, photo, DARK)  # here"])
    result.stdout.fnmatch_lines(["*VacuousError: vacuous: no attention check ran in this soft block*"])
    result.stdout.fnmatch_lines(["*pictures of 5 failed checks in *"])
    result.stdout.no_fnmatch_line("*collecting.py*")
    result.stdout.no_fnmatch_line("*checks/soft.py*")
    both = ["attention in box", "attention not in box"]
    assert checks_of(project) == {
        "test_two_of_three": both,
        "test_one": both[:1],
        "test_plain_functions": both,
    }


def test_what_leaves_nothing_to_measure_is_told_and_drawn_with_the_others(project):
    project.write(
        test_nothing="""
        from concurrent.futures import ThreadPoolExecutor

        def test_goes_on(cam, model, photo):
            with cam.soft():
                cam.assert_attention_in_region(model, photo * 0, LIT, target=1)
                cam.assert_attention_matches_baseline(model, photo, name="one")
                cam.assert_attention_matches_baseline(model, photo, name="two")
                cam.assert_prediction_needs_region(model, photo, DARK)

        def test_threads(cam, model, photo):
            with cam.soft(), ThreadPoolExecutor(1) as executor:
                executor.submit(cam.assert_attention_in_region, model, photo, LIT).result()
        """
    )

    result = project.run_with_artifacts()

    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "E *CollectedAttentionError: 4 of 4 attention checks failed: no positive evidence for *; there is no base*",
            "E *(1) test_nothing.py:13: no positive evidence *",
            "E *(2) test_nothing.py:14: there is no baseline *",
            "E *(3) test_nothing.py:15: there is no baseline *",
            "E *(4) test_nothing.py:16: prediction needs box: *",
        ]
    )
    result.stdout.fnmatch_lines(["*VacuousError: vacuous: no attention check ran *; those in a thread *copy_context*"])
    baselines = ["attention matches baseline"] * 2
    assert checks_of(project) == {"test_goes_on": ["attention", *baselines, "prediction needs box"]}


def test_whatever_else_ends_the_block_the_failures_are_drawn(project):
    project.write(
        test_ends="""
        def test_assert(cam, model, photo):
            with cam.soft():
                cam.assert_attention_in_region(model, photo, DARK)
                assert 1 == 2

        def test_skip(cam, model, photo):
            with cam.soft():
                cam.assert_attention_in_region(model, photo, DARK)
                pytest.skip("not today")

        def test_imperative_xfail(cam, model, photo):
            with cam.soft():
                cam.assert_attention_in_region(model, photo, DARK)
                pytest.xfail("known")

        @pytest.mark.xfail(strict=True)
        def test_marked_xfail(cam, model, photo):
            with cam.soft():
                cam.assert_attention_in_region(model, photo, DARK)
                cam.assert_attention_not_in_region(model, photo, LIT)

        def test_misuse(cam, model, photo):
            with cam.soft():
                cam.assert_attention_in_region(model, photo, DARK)
                cam.assert_attention_in_region(model, photo, (0, 0, 99, 99))

        def test_expected(cam, model, photo):
            with pytest.raises(AttentionError, match="^2 of 2"):
                with cam.soft():
                    cam.assert_attention_in_region(model, photo, DARK)
                    cam.assert_attention_not_in_region(model, photo, LIT)
        """
    )

    result = project.run_with_artifacts()

    result.assert_outcomes(passed=1, failed=3, xfailed=2)
    result.stdout.fnmatch_lines(["E * assert 1 == 2"])
    result.stdout.fnmatch_lines(["*AttentionError: attention in box: skill*"])
    one = ["attention in box"]
    assert checks_of(project) == {
        "test_assert": one,
        "test_skip": one,
        "test_imperative_xfail": one,
        "test_marked_xfail": [*one, "attention not in box"],
        "test_misuse": one,
    }


def test_block_around_a_test_or_in_its_subtests(project):
    project.write(
        test_around="""
        @pytest.fixture
        def softly(cam):
            with cam.soft():
                yield

        def test_goes_on(softly, cam, model, photo):
            cam.assert_attention_in_region(model, photo, DARK)
            cam.assert_attention_not_in_region(model, photo, LIT)

        class TestParts(unittest.TestCase):
            def test_parts(self):
                for part in (DARK, LIT):
                    from pytest_cam import soft
                    with self.subTest(part=part), soft():
                        assert_attention_in_region(spotlight(), make_photo(), part, "0")
        """
    )

    result = project.run_with_artifacts()

    # The fixture's block ends after the test, as an error of its teardown.
    outcomes = result.parseoutcomes()
    assert outcomes["errors"] == 1
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert checks_of(project)["test_goes_on"] == ["attention in box", "attention not in box"]
    assert checks_of(project)["TestParts::test_parts"] == ["attention in box"]
