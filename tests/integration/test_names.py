"""Folder names: one for each test, whatever its id."""

from __future__ import annotations

IDS = ["a/b", "a:b", "ab", "a-b", "AB", "", "x" * 300, "x" * 299 + "y", "größe", "大きさ", "..", "a b", "\\n"]


def test_ids_that_look_alike_or_are_too_long_have_folders_of_their_own(project):
    project.write(
        test_ids=f"""
        @pytest.mark.parametrize("number", range({len(IDS)}), ids={IDS!r})
        def test_id(cam, model, photo, number):
            cam.assert_attention_in_region(model, photo, DARK, at_least=1 - number / 100)
        """
    )

    result = project.run_with_artifacts()

    result.assert_outcomes(failed=len(IDS))
    documents = project.documents()
    limits = [found["measurements"][0]["at_least"] for (found,) in documents.values()]
    assert sorted(limits, reverse=True) == [1 - number / 100 for number in range(len(IDS))]
    folders = [folder.name for folder in project.directory.iterdir()]
    assert len(folders) == len({folder.lower() for folder in folders}) == len(IDS)
    assert all(folder.isascii() and len(folder) < 100 for folder in folders)


def test_name_that_is_no_utf_8_ends_no_run_where_a_plain_assert_shows_it(project):
    # As of an image whose file was named in another encoding.
    project.write(
        test_asserts="""
        def test_asserts(cam, model, photo):
            attention = cam(model, photo, class_names=["dark", "caf\\udce9"])
            assert attention.skill_in(DARK) > 0.9
        """
    )

    result = project.run("--showlocals")

    assert result.ret == 1
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*<Attention gradcam++ 0 8 x 8, caf?udce9, input tensor>*"])


def test_tests_outside_of_the_root_that_pytest_names_alike_are_told_apart(project):
    (project.path / "shared").mkdir()
    (project.path / "shared" / "pytest.ini").write_text("[pytest]\n")
    looks = """
        def test_looks(cam):
            cam.assert_attention_in_region(spotlight(), make_photo(), {}, "0")
        """
    project.write(test_one=looks.format("DARK"), test_other=looks.format("DARK"))
    both = "-c", "shared/pytest.ini", "test_one.py", "test_other.py"

    failing = project.run_with_artifacts(*both)
    saved = sorted(document["test"] for found in project.documents().values() for document in found)
    project.write(test_one=looks.format("LIT"))
    mended = project.run_with_artifacts(*both)
    calibrating = project.run("--cam-calibrate", *both)

    failing.assert_outcomes(failed=2)
    failing.stdout.fnmatch_lines(["pictures of 2 failed checks in *"])
    assert saved == ["../test_one.py::test_looks", "../test_other.py::test_looks"]
    mended.stdout.fnmatch_lines(
        ["pictures of 1 failed check in *", "removed 1 artifact of earlier runs of these tests"]
    )
    (left,) = project.documents()["test_looks"]
    assert left["test"] == "../test_other.py::test_looks"
    calibrating.stdout.fnmatch_lines(
        ["../test_one.py::test_looks #1 attention in box, skill *", "../test_other.py::test_looks #1 attention in box*"]
    )
