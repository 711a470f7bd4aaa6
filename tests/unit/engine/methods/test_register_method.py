"""Methods of the user's own: what they get, and what is said when they go wrong."""

from __future__ import annotations

import importlib
import random
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial, wraps
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import pytest_cam.engine.methods as registry
from pytest_cam import attend, attend_batch, register_method
from pytest_cam.errors import LayerError, MethodError, NonFiniteError, ProbabilityWarning


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    before = dict(registry._registered)
    yield
    registry._registered.clear()
    registry._registered.update(before)


def test_a_function_of_activations_and_gradients(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    @register_method("my-gradcam")
    def mine(activations: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
        return (gradients.mean(dim=(2, 3), keepdim=True) * activations).sum(dim=1)  # no relu: below zero counts as zero

    found = attend(classifier, picture, layer="layer", method="my-gradcam", target=1)
    expected = attend(classifier, picture, layer="layer", method="gradcam", target=1)
    np.testing.assert_allclose(found.map, expected.map, rtol=1e-5, atol=1e-9)
    assert found.method == "my-gradcam"


def test_what_is_not_asked_for_is_not_computed(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    asked: list[torch.Tensor] = []

    @register_method("mean")
    def mean(activations: torch.Tensor) -> torch.Tensor:
        asked.append(activations)
        return activations.mean(dim=1)

    # The score does not depend on the layer; without gradients nobody minds.
    classifier.head.weight.data.zero_()
    assert attend(classifier, picture, layer="layer", method="mean").map.shape == (8, 8)
    assert not asked[0].requires_grad


def test_random_numbers_that_a_method_draws_leave_the_global_generators_as_they_were(
    classifier: nn.Sequential, picture: torch.Tensor
) -> None:
    @register_method("noisy")
    def noisy(activations: torch.Tensor) -> torch.Tensor:
        return activations.mean(dim=1).abs() + torch.rand(1) + np.random.rand() + random.random()

    def states() -> list[Any]:
        return [torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()]

    before = states()
    attend(classifier, picture, layer="layer", method="noisy")
    assert states() == before


def test_every_resource_is_what_it_is_said_to_be(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    got: dict[str, Any] = {}

    @register_method("curious")
    def curious(
        activations: torch.Tensor,
        gradients: torch.Tensor,
        curvature: torch.Tensor,
        inputs: torch.Tensor,
        score: float,
        target: int,
        logits: torch.Tensor,
        class_gradients: Callable[[torch.Tensor], torch.Tensor],
        generator: torch.Generator,
        *,
        power: int = 1,
    ) -> torch.Tensor:
        got.update(locals())
        return activations[:, 0]

    attend(classifier, picture, layer="layer", method="curious", target=3, seed=5, method_options={"power": 2})
    logits = classifier(picture).detach()
    assert got["activations"].shape == got["gradients"].shape == got["curvature"].shape == (1, 4, 8, 8)
    assert torch.equal(got["inputs"], picture)
    torch.testing.assert_close(got["logits"], logits)
    assert got["score"] == pytest.approx(float(logits[0, 3]))
    assert (got["target"], got["power"]) == (3, 2)
    assert torch.rand(3, generator=got["generator"]).tolist() == pytest.approx(
        torch.rand(3, generator=torch.Generator().manual_seed(5)).tolist()
    )
    # The tail is linear: no curvature, and the gradient of a sum of logits is that of rows of the head, over 64 cells.
    assert float(got["curvature"].abs().max()) == 0
    weights = torch.tensor([[0.0, 1.0, 0.0, -2.0, 0.0]])
    expected = (classifier.head.weight[1] - 2 * classifier.head.weight[3]).detach() / 64
    torch.testing.assert_close(got["class_gradients"](weights)[0, :, 0, 0], expected)


def test_curvature_is_the_hessian_times_the_activations(picture: torch.Tensor) -> None:
    class Cubed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.look = nn.Identity()

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            total = (self.look(images) ** 3).sum(dim=(1, 2, 3))
            return torch.stack([total, -total], dim=1)

    got: list[torch.Tensor] = []

    @register_method("bent")
    def bent(activations: torch.Tensor, curvature: torch.Tensor) -> torch.Tensor:
        got.append(curvature)
        return activations.sum(dim=1)

    attend(Cubed(), picture, layer="look", method="bent", target=0)
    # The Hessian of the sum of A^3 is 6 A on its diagonal.
    torch.testing.assert_close(got[0], 6 * picture**2)


def wrong_shape(activations: torch.Tensor) -> Any:
    return activations


def too_small(activations: torch.Tensor) -> Any:
    return activations[:, 0, 1:]


def array(activations: torch.Tensor) -> Any:
    return activations[:, 0].numpy()


def one_at_a_time(activations: torch.Tensor, score: float) -> Any:
    return activations[0, 0] * score


def nan(activations: torch.Tensor) -> Any:
    return activations[:, 0] * float("nan")


def sparse(activations: torch.Tensor) -> Any:
    return activations[:, 0].to_sparse()


def imaginary(activations: torch.Tensor) -> Any:
    return activations[:, 0] * 1j


def nested(activations: torch.Tensor) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls it a prototype
        return torch.nested.nested_tensor(list(activations[:, 0]))


def unreal(activations: torch.Tensor) -> Any:
    return activations[:, 0].to("meta")


@pytest.mark.parametrize(
    ("function", "error", "said"),
    [
        (wrong_shape, MethodError, r"returned a tensor \(1, 4, 8, 8\); accepted: a tensor \(1, 8, 8\), one map"),
        (too_small, MethodError, r"returned a tensor \(1, 7, 8\); accepted: a tensor \(1, 8, 8\)"),
        (array, MethodError, r"returned an ndarray; accepted: a tensor \(1, 8, 8\)"),
        (one_at_a_time, MethodError, r"returned a tensor \(8, 8\); accepted: a tensor \(1, 8, 8\)"),
        (
            sparse,
            MethodError,
            r"'wrong' returned a tensor \(1, 8, 8\) of torch\.sparse_coo; accepted: .*dense and of real",
        ),
        (imaginary, MethodError, r"returned a tensor \(1, 8, 8\) of torch\.complex64; accepted: a tensor \(1, 8, 8\)"),
        (nested, MethodError, r"returned a nested tensor; accepted: a tensor \(1, 8, 8\)"),
        (unreal, MethodError, r"returned a tensor \(1, 8, 8\) on the meta device; accepted: a tensor \(1, 8, 8\)"),
        (nan, NonFiniteError, "the method that is registered under this name returned NaN or infinity"),
    ],
)
def test_what_is_no_map_is_named(
    classifier: nn.Sequential, picture: torch.Tensor, function: Any, error: type[Exception], said: str
) -> None:
    register_method("wrong")(function)
    with pytest.raises(error, match=said):
        attend(classifier, picture, layer="layer", method="wrong")


@pytest.mark.parametrize(
    ("method", "dtype"),
    [
        (lambda activations: activations.requires_grad_().sum(dim=1), torch.float32),
        (lambda activations: activations.sum(dim=1) > 0, torch.bool),
        (lambda activations: activations.sum(dim=1).round().long(), torch.int64),
        # The imaginary part of a conjugate keeps its sign for later, which NumPy knows nothing of.
        (lambda activations: torch.complex(activations[:, 0], activations[:, 1]).conj().imag, torch.float32),
    ],
)
@pytest.mark.parametrize("alone", [False, True])
def test_maps_of_any_real_kind_are_read(
    classifier: nn.Sequential, picture: torch.Tensor, method: Any, dtype: torch.dtype, alone: bool
) -> None:
    returned: list[torch.Tensor] = []

    def keeping(activations: torch.Tensor) -> torch.Tensor:
        returned.append(method(activations))
        return returned[-1]

    def keeping_alone(activations: torch.Tensor, score: float) -> torch.Tensor:
        return keeping(activations)

    register_method("real")(keeping_alone if alone else keeping)
    found = attend(classifier, picture, layer="layer", method="real")
    assert returned[0].dtype == dtype
    np.testing.assert_array_equal(found.map, returned[0][0].detach().float().clamp(min=0).resolve_neg().numpy())
    assert found.map.max() > 0


@pytest.mark.parametrize("shape", [(1, 0, 5), (1, 5, 0), (0, 5, 5), (1, 5)])
def test_map_without_cells_of_a_method_without_a_layer(
    classifier: nn.Sequential, picture: torch.Tensor, shape: tuple[int, ...]
) -> None:
    register_method("hollow")(lambda inputs: torch.zeros(shape))
    given = re.escape(f"method 'hollow' returned a tensor {shape}; accepted: a tensor (1, h, w), h and w from 1")
    with pytest.raises(MethodError, match=given):
        attend(classifier, picture, method="hollow")


def test_maps_of_two_sizes_in_one_batch(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    register_method("growing")(lambda inputs, score: torch.ones(1, 2 if inputs.sum() == 0 else 3, 4))
    images = torch.cat([picture, torch.zeros_like(picture)])
    with pytest.raises(
        MethodError, match=r"'growing' returned maps \(3, 4\) and \(2, 4\) for the images of one batch; "
    ):
        attend_batch(classifier, images, method="growing", target=0)


@pytest.mark.parametrize("count", [0, -1, 1.5, None])
@pytest.mark.parametrize("verb", ["score_inputs", "score_activations", "trace_inputs"])
def test_versions_are_counted_from_one(classifier: nn.Sequential, picture: torch.Tensor, verb: str, count: Any) -> None:
    namespace: dict[str, Any] = {"count": count, "torch": torch}
    exec(
        f"def counting(activations, {verb}): return {verb}(count, lambda start, stop: torch.ones(stop - start))",
        namespace,
    )
    register_method("counting")(namespace["counting"])
    said = f"method 'counting' calls {verb} with a count of {count}; accepted: a whole number from 1"
    with pytest.raises(MethodError, match=f"^{re.escape(said)}$"):
        attend(classifier, picture, layer="layer", method="counting")


@pytest.mark.parametrize("count", [np.int64(9), torch.tensor(9)])
def test_versions_may_be_counted_in_whole_numbers_of_any_kind(
    classifier: nn.Sequential, picture: torch.Tensor, count: Any
) -> None:
    @register_method("counting")
    def counting(inputs: torch.Tensor, score_inputs: Callable[..., torch.Tensor]) -> torch.Tensor:
        return score_inputs(count, lambda start, stop: inputs.expand(stop - start, -1, -1, -1)).view(1, 3, 3)

    found = attend(classifier, picture, method="counting", target=lambda row: row[0] ** 2)
    np.testing.assert_allclose(found.map, np.full((3, 3), found.score), rtol=1e-5)


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (torch.zeros(1, 99), r"a tensor \(1, 99\)"),
        (torch.zeros(5), r"a tensor \(5,\)"),
        (torch.zeros(2, 5), r"a tensor \(2, 5\)"),
        ([0.0] * 5, "a list"),
    ],
)
def test_weights_of_classes_that_there_are_not(
    classifier: nn.Sequential, picture: torch.Tensor, weights: Any, said: str
) -> None:
    @register_method("of-classes")
    def of_classes(activations: torch.Tensor, class_gradients: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        return class_gradients(weights).sum(dim=1)

    expected = (
        rf"^method 'of-classes' calls class_gradients with {said}; accepted: weights \(1, 5\), one for each class$"
    )
    with pytest.raises(MethodError, match=expected):
        attend(classifier, picture, layer="layer", method="of-classes")


def forgetful(activations: torch.Tensor) -> Any:
    return activations.grad.sum(1)  # type: ignore[union-attr]


def forgetful_alone(inputs: torch.Tensor, activations: torch.Tensor) -> Any:
    return forgetful(activations)


@pytest.mark.parametrize(
    ("method", "asked"), [(forgetful, "'activations'"), (forgetful_alone, "'activations' and 'inputs'")]
)
def test_an_error_within_a_method_names_what_it_asked_for(
    classifier: nn.Sequential, picture: torch.Tensor, method: Any, asked: str
) -> None:
    register_method("forgetful")(method)
    with pytest.raises(MethodError) as caught:
        attend(classifier, picture, layer="layer", method="forgetful")
    assert str(caught.value) == (
        "method 'forgetful' raised AttributeError: 'NoneType' object has no attribute 'sum'. It gets what its "
        f"parameters name, which is {asked}; accepted: 'activations', 'gradients', 'curvature', 'inputs', 'score', "
        "'target', 'logits', 'class_gradients', 'score_inputs', 'score_activations', 'trace_inputs', "
        "'attention_gradients', 'generator'"
    )
    assert isinstance(caught.value.__cause__, AttributeError)


def test_an_error_without_words_within_a_method(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    @register_method("broken")
    def broken(activations: torch.Tensor) -> torch.Tensor:
        raise ZeroDivisionError

    with pytest.raises(MethodError, match=r"^method 'broken' raised ZeroDivisionError\. It gets what"):
        attend(classifier, picture, layer="layer", method="broken")


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        pytest.skip.Exception("not today"),
        pytest.fail.Exception("of mine"),
        MemoryError("of mine"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        LayerError("of mine"),
        ProbabilityWarning("of mine"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("alone", [False, True])
def test_what_is_no_mistake_of_a_method_passes_through_it(
    classifier: nn.Sequential, picture: torch.Tensor, error: BaseException, alone: bool
) -> None:
    def ending(activations: torch.Tensor) -> torch.Tensor:
        raise error

    register_method("ending")((lambda activations, score: ending(activations)) if alone else ending)
    with pytest.raises(type(error)) as caught:
        attend(classifier, picture, layer="layer", method="ending")
    assert caught.value is error


@pytest.mark.parametrize(
    ("register", "said"),
    [
        (
            lambda: register_method("x")(lambda activations, gradient: activations),
            "method 'x' asks for 'gradient', which there is not. Did you mean 'gradients'",
        ),
        (lambda: register_method("x")(lambda gradients: gradients), "method 'x' asks for gradients; accepted: param"),
        (lambda: register_method("x")(lambda: 1), "asks for nothing; accepted: parameters named 'activations'"),
        (lambda: register_method("x")("gradcam"), "method 'x' is a str; accepted: a function"),  # type: ignore[type-var]
        (lambda: register_method("x")(int), "method 'x' asks for nothing; accepted: parameters named 'activations'"),
        (
            lambda: register_method("x")(lambda activations, /: activations),
            "method 'x' takes 'activations' by position; accepted: parameters that go by their names",
        ),
        (
            lambda: register_method("x")(lambda *activations: activations[0]),
            r"method 'x' takes '\*activations' by position",
        ),
        (lambda: register_method("gradcam")(wrong_shape), "there is a method 'gradcam' already"),
        (lambda: register_method(""), "registered under ''; accepted: a name"),
        (lambda: register_method(wrong_shape), "accepted: a name, as in register_method"),  # type: ignore[arg-type]
    ],
)
def test_wrong_registrations(register: Any, said: str) -> None:
    with pytest.raises(MethodError, match=said.replace("(", r"\(")):
        register()


def test_two_functions_of_one_name_and_one_function_twice() -> None:
    register_method("mine")(wrong_shape)
    register_method("mine")(wrong_shape)  # as a conftest that is imported twice
    with pytest.raises(MethodError, match="there is a method 'mine' already; register yours under another name"):
        register_method("mine")(too_small)


class Instance:
    def __call__(self, activations: torch.Tensor) -> torch.Tensor:
        return activations[:, 0]


@pytest.mark.parametrize("make", [lambda: partial(array), Instance, lambda: lambda activations: activations[:, 0]])
def test_functions_without_a_name_of_their_own(make: Callable[[], Any]) -> None:
    first = register_method("nameless")(make())
    register_method("nameless")(first)
    if isinstance(first, FunctionType):
        register_method("nameless")(make())  # from the same line
        return
    # Nothing says that another one is the same.
    with pytest.raises(MethodError, match="there is a method 'nameless' already"):
        register_method("nameless")(make())


def test_functions_of_one_name_in_two_files_of_one_name(tmp_path: Path) -> None:
    # As the conftests of two directories are, to which pytest gives the same module name.
    for directory in ("one", "two"):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / "conftest.py").write_text("def ours(activations): return activations[:, 0]")

    def loaded(directory: str) -> Any:
        spec = spec_from_file_location("conftest", tmp_path / directory / "conftest.py")
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.ours

    register_method("ours")(loaded("one"))
    register_method("ours")(loaded("one"))
    with pytest.raises(MethodError, match="there is a method 'ours' already"):
        register_method("ours")(loaded("two"))


def channel(number: int) -> Callable[..., torch.Tensor]:
    def ours(activations: torch.Tensor) -> torch.Tensor:
        return activations[:, number]

    return ours


def weighted(weights: torch.Tensor) -> Callable[..., torch.Tensor]:
    def ours(activations: torch.Tensor) -> torch.Tensor:
        return (weights * activations).sum(dim=1)

    return ours


def scaled(by: int) -> Callable[..., torch.Tensor]:
    def ours(activations: torch.Tensor, *, by: int = by) -> torch.Tensor:
        return by * activations[:, 0]

    return ours


class Channel:
    def __init__(self, number: int) -> None:
        self.number = number

    def ours(self, activations: torch.Tensor) -> torch.Tensor:
        return activations[:, self.number]


def halved(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    @wraps(function)
    def half(activations: torch.Tensor) -> torch.Tensor:
        return function(activations) / 2

    return half


def doubled(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    @wraps(function)
    def double(activations: torch.Tensor) -> torch.Tensor:
        return function(activations) * 2

    return double


def times(by: int) -> Callable[..., Any]:
    def decorator(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        @wraps(function)
        def multiplied(activations: torch.Tensor) -> torch.Tensor:
            return function(activations) * by

        return multiplied

    return decorator


def multiplied_by(numbers: list[int]) -> Callable[..., torch.Tensor]:
    def part(by: int) -> Callable[[torch.Tensor], torch.Tensor]:
        return lambda activations: activations * by

    parts = list(map(part, numbers))

    def ours(activations: torch.Tensor) -> torch.Tensor:
        return sum(part(activations) for part in parts).sum(dim=1)

    return ours


def decorated(decorator: Callable[..., Any]) -> Callable[..., torch.Tensor]:
    @decorator
    def ours(activations: torch.Tensor) -> torch.Tensor:
        return activations[:, 0] if len(activations) else ours(activations)

    return ours  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("make", "held", "other"),
    [
        (channel, 0, 1),
        (weighted, torch.ones(4, 1, 1), torch.zeros(4, 1, 1)),
        (scaled, 1, 2),
        (lambda owner: owner.ours, Channel(0), Channel(1)),
        (multiplied_by, [1] * 10, [1] * 9 + [2]),
        (lambda number: Channel(number).ours, 0, 1),
        (decorated, halved, doubled),
        (decorated, halved, lambda function: function),
        (lambda by: decorated(times(by)), 2, 3),
        (lambda mode: decorated(mode()), torch.no_grad, torch.enable_grad),
    ],
)
def test_functions_that_one_function_makes(make: Callable[[Any], Any], held: Any, other: Any) -> None:
    register_method("ours")(make(held))
    register_method("ours")(make(held))  # as by a fixture of each test
    with pytest.raises(MethodError, match="there is a method 'ours' already; register yours under another name"):
        register_method("ours")(make(other))


def test_two_functions_of_one_name_in_one_file() -> None:
    @register_method("ours")
    def ours(activations: torch.Tensor) -> torch.Tensor:
        return activations[:, 0]

    with pytest.raises(MethodError, match="there is a method 'ours' already"):

        @register_method("ours")
        def ours(activations: torch.Tensor) -> torch.Tensor:  # type: ignore[no-redef]
            return activations[:, 1]


def test_a_module_that_is_imported_twice_may_make_its_functions_of_what_it_holds() -> None:
    made = "import torch\ndef make(weights):\n  def ours(activations): return activations * weights\n  return ours\n"
    for _ in range(2):
        namespace: dict[str, Any] = {"__name__": "conftest"}
        exec(compile(f"{made}ours = make(torch.rand(4, 1, 1))", "conftest.py", "exec"), namespace)
        register_method("ours")(namespace["ours"])
    assert registry.method_named("ours").function is namespace["ours"]


def test_notebook_may_change_a_cell() -> None:
    for value in (1, 2):
        namespace: dict[str, Any] = {"__name__": "__main__"}
        lines = "\n" * value
        exec(compile(f"{lines}def ours(activations): return {value}", f"<cell {value}>", "exec"), namespace)
        register_method("ours")(namespace["ours"])
    assert registry.method_named("ours")(activations=None) == 2


def test_unknown_names_suggest_registered_ones(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    register_method("ourcam")(array)
    with pytest.raises(MethodError, match=r"there is no method 'ourcan'\. Did you mean 'ourcam'"):
        attend(classifier, picture, layer="layer", method="ourcan")


def test_class_gradients_of_a_model_without_class_scores(picture: torch.Tensor) -> None:
    @register_method("of-classes")
    def of_classes(activations: torch.Tensor, class_gradients: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        return class_gradients(torch.ones(1, 2)).sum(dim=1)

    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1)).eval()
    with pytest.raises(MethodError, match="'of-classes' asks for the gradients of class scores, and the"):
        attend(model, picture, layer="0", method="of-classes", target=lambda part: part.mean())


def test_logits_of_a_model_without_class_scores(picture: torch.Tensor) -> None:
    @register_method("of-logits")
    def of_logits(gradients: torch.Tensor, activations: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        return (activations * gradients).sum(dim=1) * logits.sum()

    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1)).eval()
    with pytest.raises(MethodError, match="'of-logits' asks for class scores, and the model's output has none"):
        attend(model, picture, layer="0", method="of-logits", target=lambda part: part.mean())


@pytest.mark.parametrize("verb", ["score_inputs", "score_activations", "trace_inputs"])
@pytest.mark.parametrize(
    ("made", "given"), [(None, "None"), (np.zeros((3, 3, 8, 8)), "ndarray"), (torch.zeros(2, 3), r"a tensor \(2, 3\)")]
)
def test_versions_that_are_no_tensor_of_so_many(
    verb: str, made: Any, given: str, classifier: nn.Sequential, picture: torch.Tensor
) -> None:
    calls = f"lambda activations, {verb}: {verb}(3, lambda start, stop: made)"
    register_method("makes")(eval(calls, {"made": made}))
    with pytest.raises(MethodError, match=rf"'makes' calls {verb} with a function that made .*{given} for \(0, 3\)"):
        attend(classifier, picture, layer="layer", method="makes")


ONE = """
from pytest_cam import register_method
{}

@register_method("reloaded")
def ours(activations):
    return activations[:, {}]
"""


def test_a_module_that_is_reloaded_after_it_was_edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "edited.py").write_text(ONE.format("", 0))
    module = importlib.import_module("edited")
    try:
        # Where another line went before it, and where there is another function of its name, at its old line.
        (tmp_path / "edited.py").write_text(ONE.format("import torch\n", 1))
        importlib.reload(module)
        assert registry.method_named("reloaded").function is module.ours
        (tmp_path / "edited.py").write_text(ONE.format("import torch\n", 1) + ONE.format("", 0))
        with pytest.raises(MethodError, match="there is a method 'reloaded' already"):
            importlib.reload(module)
    finally:
        del sys.modules["edited"]


def test_versions_that_take_several_batches_are_as_many_as_are_asked_for(
    classifier: nn.Sequential, picture: torch.Tensor
) -> None:
    asked = []

    def made(start: int, stop: int) -> torch.Tensor:
        asked.append((start, stop))
        return picture.expand(stop - start, -1, -1, -1)

    @register_method("many")
    def many(inputs: torch.Tensor, score_inputs: Any) -> torch.Tensor:
        return score_inputs(600, made).square().mean() * torch.ones(1, 2, 2)  # type: ignore[no-any-return]

    assert attend(classifier, picture, method="many", target=1).map.shape == (2, 2)
    assert len(asked) > 1
    assert (asked[0][0], asked[-1][1]) == (0, 600)
