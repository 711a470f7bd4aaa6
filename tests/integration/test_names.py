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
