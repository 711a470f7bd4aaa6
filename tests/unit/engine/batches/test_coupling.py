"""Models whose images change one another's scores in a batch: explained as each image alone is."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from pytest_cam import attend, attend_batch
from pytest_cam.engine.batches import perturbing
from pytest_cam.errors import ModelError
from pytest_cam.intervention import intervene

PERTURBING = ("scorecam", "ablationcam", "smoothgradcam++", "rise", "occlusion")
OPTIONS: dict[str, dict[str, Any]] = {"rise": {"masks": 24}}


@pytest.fixture
def picture() -> torch.Tensor:
    return torch.randn(3, 24, 24, generator=torch.Generator().manual_seed(1))


class Net(nn.Module):
    """Mixes the images of a batch by a function of its features, and counts its passes by their sizes."""

    def __init__(self, mix: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.last, self.head = nn.Conv2d(3, 12, 3, 2), nn.Conv2d(12, 16, 3), nn.Linear(16, 5)
        self.mix, self.share = mix, 0.0
        self.sizes: list[int] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(images))
        seen = self.mix(self.last(self.stem(images).relu()))
        return self.head(seen.relu().mean(dim=(2, 3)))


MIXES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "batch norm of its own statistics": lambda seen: nn.functional.batch_norm(seen, None, None, training=True),
    "norm of the batch": lambda seen: seen / seen.norm() * 10,
    "the image before": lambda seen: seen + seen.roll(1, 0),
    # The first image is as it is alone.
    "all images before": lambda seen: seen.cumsum(0),
    "the mean with those before": lambda seen: _over_those_before(seen),
    # Little, as one scale for all images of a batch does.
    "a hundredth of the mean": lambda seen: 0.99 * seen + 0.01 * seen.mean(0, keepdim=True),
}


def _over_those_before(seen: torch.Tensor) -> torch.Tensor:
    """Return each image's mean with those before it, which of equal images is that image."""
    return torch.stack([seen[: index + 1].mean(0) for index in range(len(seen))])


def hiding(model: nn.Module, image: torch.Tensor, box: tuple[int, ...]) -> list[float]:
    """Return how probable class 1 is before and after a box of the image has its mean colour."""
    found = intervene(model, image, box, fill="mean", how={"target": 1})
    return [found.value_before, found.value_after]


def mapped(model: nn.Module, picture: torch.Tensor, method: str) -> Any:
    """Return the map of a method, at the last layer where it takes one."""
    given: dict[str, Any] = {} if method in ("rise", "occlusion") else {"layer": "last"}
    return attend(model, picture, method=method, target=1, method_options=OPTIONS.get(method), **given).map


@pytest.mark.parametrize("method", PERTURBING)
@pytest.mark.parametrize("mix", MIXES)
def test_images_that_mix_are_run_alone(
    mix: str, method: str, picture: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Net(MIXES[mix]).eval()
    found = mapped(model, picture, method)
    monkeypatch.setattr(perturbing, "batch_size", lambda *_: 1)
    np.testing.assert_allclose(found, mapped(model, picture, method), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("method", PERTURBING)
@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_images_that_do_not_mix_stay_together(method: str, kind: torch.dtype, picture: torch.Tensor) -> None:
    model = Net(lambda seen: seen).eval().to(kind)
    mapped(model, picture, method)
    assert model.sizes.count(1) <= 12  # one for the scores, a few where it is seen how the model behaves
    assert max(model.sizes) >= 8


def _normalising() -> nn.Module:
    torch.manual_seed(0)
    layers = OrderedDict(
        conv1=nn.Conv2d(3, 8, 3, stride=2),
        bn1=nn.BatchNorm2d(8, track_running_stats=False),
        relu=nn.ReLU(),
        layer3=nn.Conv2d(8, 24, 3),
        bn3=nn.BatchNorm2d(24, track_running_stats=False),
        relu3=nn.ReLU(),
        pool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        fc=nn.Linear(24, 5),
    )
    return nn.Sequential(layers).eval()


@pytest.mark.parametrize("method", ["ablationcam", "occlusion"])
def test_a_known_model_that_normalises_over_the_batch_is_run_alone(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, image = _normalising(), torch.rand(3, 48, 48)
    given: dict[str, Any] = {"layer": "layer3"} if method == "ablationcam" else {}
    found = attend(model, image, method=method, target=1, **given).map
    monkeypatch.setattr(perturbing, "batch_size", lambda *_: 1)
    np.testing.assert_allclose(found, attend(model, image, method=method, target=1, **given).map, rtol=1e-3, atol=1e-6)


def test_a_batch_for_a_model_that_normalises_over_it_is_refused() -> None:
    model, images = _normalising(), torch.rand(2, 3, 48, 48)
    with pytest.raises(ModelError, match=r"BatchNorm2d 'bn1' keeps no running statistics.*the 2 images.*attend\(model"):
        attend_batch(model, images, layer="layer3")
    with pytest.raises(ModelError, match="the 2 images"):
        attend_batch(model, images, method="occlusion")
    assert attend_batch(model, images[:1], layer="layer3")[0].map.any()


@pytest.mark.parametrize("mix", list(MIXES)[1:-1])
@pytest.mark.parametrize("method", ["gradcam", "occlusion"])
def test_a_batch_whose_images_change_one_another_is_refused(mix: str, method: str, picture: torch.Tensor) -> None:
    model, images = Net(MIXES[mix]).eval(), torch.stack([picture, 3 * picture, -picture])
    given: dict[str, Any] = {"layer": "last"} if method == "gradcam" else {}
    with pytest.raises(ModelError, match=r"change one another.s scores: that of class 1 for image 2.* runs alone"):
        attend_batch(model, images, method=method, target=1, **given)
    assert attend_batch(model, images[:1], method=method, target=1, **given)[0].map.any()


def test_a_batch_is_compared_with_one_image_once_for_each_model(picture: torch.Tensor) -> None:
    model = Net(lambda seen: seen).eval()
    images = torch.stack([picture, -picture])
    for _ in range(2):
        attend_batch(model, images, layer="last")
    assert model.sizes == [2, 1, 2]


def test_a_model_that_was_set_otherwise_since_is_compared_again(picture: torch.Tensor) -> None:
    model = Net(lambda seen: seen - model.share * seen.mean(0)).eval()
    images = torch.stack([picture, -picture])
    model.share = 0.0
    attend_batch(model, images, layer="last")
    model.share = 0.5
    with pytest.raises(ModelError, match="change one another"):
        attend_batch(model, images, layer="last")


@pytest.mark.parametrize("mix", ["batch norm", *MIXES])
def test_versions_of_an_image_do_not_change_one_another(mix: str) -> None:
    model = _normalising() if mix == "batch norm" else Net(MIXES[mix]).eval()
    image, box = torch.rand(3, 48, 48), (8, 8, 24, 24)
    hidden = image.clone()
    hidden[:, 8:24, 8:24] = image.mean(dim=(1, 2), keepdim=True)
    with torch.no_grad():
        alone = [model(each[None]).softmax(1)[0, 1].item() for each in (image, hidden)]
    assert hiding(model, image, box) == pytest.approx(alone, rel=1e-5)


def test_versions_of_an_image_share_the_pass_of_a_model_that_cannot_mix_them(run_on: list[torch.Tensor]) -> None:
    hiding(torchvision.models.resnet18(num_classes=5).eval(), torch.rand(3, 48, 48), (8, 8, 24, 24))
    assert list(map(len, run_on)) == [2]


class OneImage(nn.Module):
    """A network that takes one image at a time, as a module or in a wrapper of the user."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Net(lambda seen: seen)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if len(images) != 1:
            raise ValueError(f"expected one image, got {len(images)}")
        found: torch.Tensor = self.net(images)
        return found


@pytest.mark.parametrize("method", PERTURBING)
def test_a_model_that_takes_no_batch_is_run_image_by_image(method: str, picture: torch.Tensor) -> None:
    model = OneImage().eval()
    layer: dict[str, Any] = {} if method in ("rise", "occlusion") else {"layer": "net.last"}
    found = attend(model, picture, method=method, target=1, method_options=OPTIONS.get(method), **layer).map
    np.testing.assert_allclose(found, mapped(model.net, picture, method), rtol=1e-3, atol=1e-6)
    assert hiding(model, picture, (4, 4, 12, 12)) == pytest.approx(hiding(model.net, picture, (4, 4, 12, 12)))


def test_a_module_that_torch_export_made_for_one_image_is_explained(picture: torch.Tensor) -> None:
    model = Net(lambda seen: seen).eval()
    exported = torch.export.export(model, (picture[None],)).module()
    with pytest.raises((AssertionError, RuntimeError), match=r"Guard failed|Expected input at"):
        exported(torch.stack([picture, picture]))
    np.testing.assert_allclose(mapped(exported, picture, "occlusion"), mapped(model, picture, "occlusion"), atol=1e-6)


def test_an_error_that_one_image_raises_too_stays_what_it_is(picture: torch.Tensor) -> None:
    class Dark(OneImage):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if bool((images == 0).all(dim=1).any()):
                raise ArithmeticError("a black pixel")
            found: torch.Tensor = self.net(images)
            return found

    with pytest.raises(ArithmeticError, match="a black pixel"):
        attend(Dark().eval(), picture, method="occlusion", target=1)


def _transformer() -> nn.Sequential:
    """Return torch's own modules, of which one takes the first axis for the sequence, unless it is told otherwise."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 6, 6),
        nn.Flatten(2),
        torchvision.ops.Permute([0, 2, 1]),
        nn.TransformerEncoderLayer(8, 2, 16),
        nn.Flatten(1),
        nn.Linear(128, 5),
    ).eval()


def _hooked() -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)).eval()
    model[0].register_forward_hook(lambda _, args, output: output / (1 + output.abs().amax(0, keepdim=True)))
    return model


def _unbatched() -> nn.Sequential:
    torch.manual_seed(0)
    parts = (
        nn.Conv2d(3, 8, 3),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(0),
        nn.Linear(8, 5),
        nn.Unflatten(0, (1, 5)),
    )
    return nn.Sequential(*parts).eval()


@pytest.mark.parametrize("make", [_transformer, _hooked, _unbatched])
@pytest.mark.parametrize("method", ["occlusion", "rise"])
def test_models_of_torchs_own_modules_that_mix_or_take_one_image_are_run_alone(
    make: Callable[[], nn.Module], method: str, picture: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make()
    found = mapped(model, picture, method)
    with torch.no_grad():
        alone = model(picture[None]).softmax(1)[0, 1].item()
    assert hiding(model, picture, (4, 4, 12, 12))[0] == pytest.approx(alone, rel=1e-5)
    monkeypatch.setattr(perturbing, "batch_size", lambda *_: 1)
    np.testing.assert_allclose(found, mapped(model, picture, method), rtol=1e-3, atol=1e-6)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_layers_quantised_as_they_run_share_one_scale_and_are_run_alone(picture: torch.Tensor) -> None:
    from torch.ao.nn.quantized import dynamic

    torch.manual_seed(2)
    head = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 5))
    model = nn.Sequential(nn.Conv2d(3, 16, 8, 8), nn.Flatten(2), torchvision.ops.Permute([0, 2, 1]), head, _Mean())
    for index in (0, 2, 4):
        head[index] = dynamic.Linear.from_float(_to_quantise(head[index]))
    sizes: list[int] = []
    model.register_forward_hook(lambda _, args, __: sizes.append(len(args[0])))
    assert attend(model.eval(), picture, method="occlusion", target=1).map.any()
    assert set(sizes) == {1}


class _Mean(nn.Module):
    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens.mean(1)


def _to_quantise(linear: nn.Module) -> nn.Module:
    from torch.ao.quantization import default_dynamic_qconfig

    linear.qconfig = default_dynamic_qconfig
    return linear


def _first_only(net: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda images: net(images[:1]).detach()


def _up_to_four(net: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    def call(images: torch.Tensor) -> torch.Tensor:
        if len(images) > 4:
            raise ValueError("at most four")
        found: torch.Tensor = net(images).detach()
        return found

    return call


@pytest.mark.parametrize("wrap", [_first_only, _up_to_four])
def test_callables_that_look_at_a_few_images_only_are_asked_of_each(
    wrap: Callable[[nn.Module], Callable[[torch.Tensor], torch.Tensor]], picture: torch.Tensor
) -> None:
    net = Net(lambda seen: seen).eval()
    found = attend(wrap(net), picture, method="occlusion", target=1).map
    np.testing.assert_allclose(found, mapped(net, picture, "occlusion"), rtol=1e-3, atol=1e-6)


def _buffered() -> Callable[[torch.Tensor], np.ndarray[Any, Any]]:
    """Return a model of the right half that writes what it returns into one buffer, and takes one image."""
    scores = np.zeros((1, 2), np.float32)

    def run(images: torch.Tensor) -> np.ndarray[Any, Any]:
        assert len(images) == 1
        right = float(images[..., 12:].sum())
        scores[:] = right, -right
        return scores

    return run


class Buffered(nn.Module):
    """Writes what it returns into a buffer."""

    def __init__(self, *, registers: bool) -> None:
        super().__init__()
        self.last = nn.Conv2d(3, 4, 3)
        if registers:
            self.register_buffer("out", torch.zeros(64, 4))
        else:
            self.out = torch.zeros(64, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        seen = self.last(images).mean(dim=(2, 3))
        return seen if torch.is_grad_enabled() else self.out[: len(seen)].copy_(seen)


@pytest.mark.parametrize("method", ["rise", "occlusion"])
def test_model_that_returns_one_buffer_each_time_is_explained(picture: torch.Tensor, method: str) -> None:
    run = _buffered()
    found, expected = (
        attend(model, picture, method=method, target=0, method_options=OPTIONS.get(method)).map
        for model in (run, lambda images: run(images).copy())
    )
    np.testing.assert_array_equal(found, expected)
    assert found.max() > 0


@pytest.mark.parametrize("method", PERTURBING)
@pytest.mark.parametrize("registers", [False, True])
def test_module_that_returns_one_buffer_each_time_is_explained(
    picture: torch.Tensor, method: str, registers: bool
) -> None:
    model = Buffered(registers=registers).eval()
    plain = nn.Sequential(OrderedDict(last=model.last, pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten())).eval()
    np.testing.assert_allclose(mapped(model, picture, method), mapped(plain, picture, method), rtol=1e-3, atol=1e-6)


class Weighted(nn.Module):
    """Class scores (B, 3) times weights, of all classes or of each image, less the mean image where that is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Identity()

    def forward(self, images: torch.Tensor, weights: torch.Tensor, center: bool = False) -> torch.Tensor:
        seen = self.last(images).mean(dim=(2, 3)) * weights
        return seen - 0.5 * seen.mean(0) if center else seen


@pytest.mark.parametrize("method", ["gradcam", *PERTURBING])
@pytest.mark.parametrize("target", [1, 2])
def test_argument_of_all_images_that_is_as_long_as_the_batch_stays_whole(
    method: str, target: int, picture: torch.Tensor
) -> None:
    images = torch.stack([picture, 2 * picture.roll(5, 2), 3 * picture.flip(1)]) + 1
    how: dict[str, Any] = {"method": method, "target": target, "method_options": OPTIONS.get(method)}
    how["model_args"] = (torch.tensor([1.0, 2.0, 30.0]),)
    for together, image in zip(attend_batch(Weighted(), images, **how), images, strict=True):
        alone = attend(Weighted(), image, **how)
        np.testing.assert_allclose(together.map, alone.map, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("method", ["gradcam", "occlusion"])
def test_argument_that_neither_all_images_nor_each_has_is_named(method: str, picture: torch.Tensor) -> None:
    images = torch.stack([picture, 2 * picture.roll(5, 2), 3 * picture.flip(1)]) + 1
    how: dict[str, Any] = {"method": method, "target": 1, "model_kwargs": {"weights": torch.tensor([1.0, 2.0, 30.0])}}
    how["model_kwargs"]["center"] = True
    with pytest.raises(ModelError, match=r"rows of model_kwargs\['weights'\], as many as images, are not one"):
        attend_batch(Weighted(), images, **how)


def test_images_that_an_argument_mixes_are_seen_after_a_call_without_it(picture: torch.Tensor) -> None:
    model, images = Weighted(), torch.stack([picture, picture.flip(1) * 2])
    attend_batch(model, images, target=1, model_args=(1.0,))
    with pytest.raises(ModelError, match="change one another"):
        attend_batch(model, images, target=1, model_args=(1.0,), model_kwargs={"center": True})


class Matching(nn.Module):
    """How well each image matches each prompt, (B, P), and how many images each pass has had."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Identity()
        self.sizes: list[int] = []

    def forward(self, images: torch.Tensor, prompts: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(images))
        return self.last(images).mean(dim=(2, 3)) @ prompts.T


class Conditioned(Matching):
    """The same, of one prompt alone."""

    def forward(self, images: torch.Tensor, prompts: torch.Tensor) -> torch.Tensor:
        (prompt,) = prompts
        return super().forward(images, prompt[None])


@pytest.mark.parametrize("kind", [Matching, Conditioned])
@pytest.mark.parametrize("method", PERTURBING)
@pytest.mark.parametrize("target", [0, 1])
def test_one_prompt_for_all_versions_of_an_image_stays_one(
    kind: type[Matching], method: str, target: int, picture: torch.Tensor
) -> None:
    model, prompt = kind().eval(), torch.tensor([[1.0, 2.0, -1.0]])
    how: dict[str, Any] = {"method": method, "target": target, "method_options": OPTIONS.get(method)}
    found = attend(model, picture, model_args=(prompt,), **how)
    assert model.sizes[-1] > 1, "its versions run together"

    class Alone(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.model(images, prompt)  # type: ignore[no-any-return]

    np.testing.assert_allclose(found.map, attend(Alone(), picture, **how).map, rtol=1e-3, atol=1e-6)
