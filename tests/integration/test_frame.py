"""frame="input" through the `cam` fixture: boxes in pixels of the model's input."""

from __future__ import annotations

from PIL import Image

# The spotlight's photo as a PIL image, 2 pixels to the right of where the model sees it, or upside down besides.
SHOWN = """
        import numpy as np
        import torch
        from PIL import Image

        def shown():
            pixels = np.zeros((8, 12, 3), np.uint8)
            pixels[1:5, 3:7] = 255
            return Image.fromarray(pixels)

        def cropped(array):
            return torch.from_numpy(array[:, 2:10, :1] / np.float32(255)).permute(2, 0, 1)

        def warped(array):
            there = np.array([0, 1, 2, 3, 4, 6, 7, 5])
            return cropped(array[there ** 2 % 8])

        def everything(cam, model, box, **settings):
            settings = dict(layer="0", method="gradcam", frame="input", **settings)
            return cam.assert_attention_in_region(model, shown(), box, **settings)
"""


def drawn_size(document: dict) -> tuple[int, int]:
    with Image.open(document["folder"] / "original.png") as picture:
        return picture.size


def test_boxes_are_carried_to_the_photo_and_drawn_on_it(project):
    project.write(
        test_frame=SHOWN
        + """
        def test_lit(cam, model):
            attention = everything(cam, model, LIT, preprocess=cropped)
            assert attention.energy_in(LIT, frame="input") == pytest.approx(1)
            cam.assert_attention_not_in_region(
                model, shown(), (6, 6, 8, 8), layer="0", preprocess=cropped, frame="input")

        def test_dark(cam, model):
            everything(cam, model, DARK, preprocess=cropped)

        def test_other(cam, model):
            with pytest.raises(ValueError, match="frame is 'model'; accepted: 'image' .* or 'input'"):
                cam(model, shown(), preprocess=cropped, frame="model")
        """
    )

    result = project.run_with_artifacts()

    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*region     (7, 5, 10, 8)"])
    (document,) = project.documents()["test_dark"]
    assert drawn_size(document) == (12, 8)


def test_input_is_drawn_where_the_photo_cannot_be_followed(project):
    project.write(
        test_frame=SHOWN
        + """
        def test_followed(cam, model):
            with pytest.raises(ValueError, match="not affine.*frame='input'"):
                cam(model, shown(), preprocess=warped)

        def test_dark(cam, model):
            (attention,) = cam.batch(model, [shown()], preprocess=warped, layer="0", frame="input")
            assert attention.map.shape == (8, 8)
            everything(cam, model, (6, 0, 8, 4), preprocess=warped)
        """
    )

    result = project.run_with_artifacts()

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*region     (6, 0, 8, 4)"])
    documents = project.documents()["test_dark"]
    assert {drawn_size(document) for document in documents} == {(8, 8)}
