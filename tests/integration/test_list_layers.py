"""`--cam-list-layers`: what can be explained in a model, before a test is written."""

from __future__ import annotations

import pytest

MODELS = """
    import pytest
    import torch
    from torch import nn

    def small():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3, padding=1),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3),
        )

    def with_input():
        return small(), torch.rand(1, 1, 16, 24)

    def number():
        return 7

    def three():
        return small(), 1, 2

    def needs(name):
        return small()

    def fails():
        raise ValueError("there are no weights in /weights")

    @pytest.fixture
    def model():
        return small()

    def absent():
        pytest.skip("no weights here")

    def wrong_input():
        return small(), torch.rand(1, 3, 8, 8)

    def narrow():
        return nn.Linear(3, 2)

    network = small()
"""


ACCEPTED = (
    "module:factory, a function without arguments that returns a torch.nn.Module, or (model, input) with an input "
    "(B, C, H, W) that the model takes; or such a module itself"
)


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makepyfile(models=MODELS, broken="1 / 0", test_one="def test_one(): assert False")
    pytester.makepyfile(lacking="import pytest; pytest.importorskip('nowhere')", script="raise SystemExit")
    pytester.syspathinsert()
    return pytester


def test_table_of_a_model(project: pytest.Pytester) -> None:
    result = project.runpytest("--cam-list-layers=models:with_input")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "Sequential, input 1 x 1 x 16 x 24: 4 explainable layers",
            "index  layer  type       grid           channels",
            "-4     0      Conv2d     NCHW, 16 x 24  4",
            "-3     1      ReLU       NCHW, 16 x 24  4",
            "-2     2      MaxPool2d  NCHW, 8 x 12   4",
            "-1     3      Conv2d     NCHW, 8 x 12   6         <- auto",
        ],
        consecutive=True,
    )
    result.stdout.no_fnmatch_line("*test_one*")


def test_model_itself_stands_for_a_function_that_returns_it(project: pytest.Pytester) -> None:
    result = project.runpytest("--cam-list-layers=models:network")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["Sequential, input 1 x 1 x 224 x 224: 4 explainable layers"])


def test_name_that_the_terminal_cannot_show_is_escaped(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.makepyfile(
        named="""
        from torch import nn

        class Größe(nn.Conv2d):
            pass

        network = nn.Sequential(Größe(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        """
    )
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    result = project.runpytest_subprocess("--cam-list-layers=named:network")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["-1     0      Gr?xf6?xdfe  NCHW, 222 x 222  4*"])


def test_without_an_input_one_of_a_usual_size_is_made(project: pytest.Pytester) -> None:
    result = project.runpytest("--cam-list-layers=models:small")
    result.stdout.fnmatch_lines(["Sequential, input 1 x 1 x 224 x 224: 4 explainable layers", "*3 *<- auto"])


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("models", "accepted: module:factory"),
        ("nowhere:small", "nowhere does not import (ModuleNotFoundError: No module named 'nowhere')"),
        ("models.py:small", ". Did you mean models:small, by the name of the module?"),
        ("./networks/models.py:small", ". Did you mean networks.models:small, by the name of the module"),
        (r".\networks\models.py:small", ". Did you mean networks.models:small, by the name of the module"),
        ("models:smal", "models has no callable 'smal'. Did you mean 'small'?"),
        ("models:number", f"models:number returned an int; accepted: {ACCEPTED}"),
        ("models:three", f"models:three returned a tuple; accepted: {ACCEPTED}"),
        ("models:needs", "models:needs() raised TypeError: needs() missing 1 required positional argument: 'name'; "),
        ("models:needs", f"'name'; accepted: {ACCEPTED}"),
        ("models:fails", f"models:fails() raised ValueError: there are no weights in /weights; accepted: {ACCEPTED}"),
        ("models:narrow", "models:narrow does not run on an input 1 x 3 x 224 x 224: RuntimeError: "),
        ("models:narrow", f"multiplied (672x224 and 3x2); accepted: {ACCEPTED}"),
        ("models:wrong_input", "models:wrong_input does not run on an input 1 x 3 x 8 x 8: RuntimeError: "),
        ("models:model", 'models:model() raised Failed: Fixture "model" called directly. '),
        ("models:model", f"; accepted: {ACCEPTED}"),
        ("models:absent", f"models:absent() raised Skipped: no weights here; accepted: {ACCEPTED}"),
        ("broken:small", "broken does not import (ZeroDivisionError: division by zero)"),
        ("lacking:small", "lacking does not import (Skipped: could not import 'nowhere': No module named 'nowhere')"),
        ("script:small", "script does not import (SystemExit: )"),
    ],
)
def test_wrong_place_is_a_usage_error(project: pytest.Pytester, place: str, words: str) -> None:
    result = project.runpytest(f"--cam-list-layers={place}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert words in result.stderr.str()
    result.stderr.no_fnmatch_line("*Traceback*")


def test_index_in_a_test_and_on_the_command_line(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_index="""
        import pytest
        from pytest_cam import attend
        from pytest_cam.errors import LayerError
        from models import with_input

        def test_call():
            model, image = with_input()
            assert attend(model, image, layer=-2).layer == "2"
            assert [found.layer for found in attend(model, image, layer=[-1, 0])] == ["3", "0"]
            with pytest.raises(LayerError, match=r"layer -5 is out of range: the model has 4 explainable layers"):
                attend(model, image, layer=-5)

        def test_command_line(cam):
            assert cam(*with_input()).layer == "1"
        """
    )
    project.runpytest("test_index.py", "--cam-layer=-3").assert_outcomes(passed=2)
