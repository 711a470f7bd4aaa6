"""The verbs with a test's settings bound: what the `cam` fixture is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast, overload

import torch
from torch import nn

from pytest_cam.attending import attend, attend_batch, require_one
from pytest_cam.attention import Attention
from pytest_cam.checks.bound_verbs import BoundVerbs
from pytest_cam.checks.hook_watch import BoundHooks
from pytest_cam.checks.how import Request
from pytest_cam.checks.in_region import assert_attention_in_region
from pytest_cam.checks.not_in_region import assert_attention_not_in_region
from pytest_cam.engine.black_box import Model
from pytest_cam.engine.further import Further, require_known
from pytest_cam.engine.layers import LayerLike, LayersLike
from pytest_cam.engine.scores.targets import Target, Targets
from pytest_cam.errors import is_ours
from pytest_cam.images.frames import Frame
from pytest_cam.images.geometry import Preprocess

if TYPE_CHECKING:
    from typing_extensions import Unpack

__tracebackhide__ = is_ours


class Cam(BoundVerbs):
    """The verbs of pytest-cam with the test's settings bound; the `cam` fixture returns one.

    Calling it is `attend`. A setting comes from the call, else from the closest `@pytest.mark.cam(...)`, else from the
    project's fixture, else from the command line, else from the ini file, else it is the built-in one.

    Attributes:
        hooks: `cam.hooks.add(model, layer, function)` places a hook that leaves with the test.
    """

    def __init__(self, settings: Callable[[], Mapping[str, Any]]) -> None:
        super().__init__(settings)
        self.hooks = BoundHooks(self.watch)

    @overload
    def __call__(
        self,
        model: Model,
        img: Any,
        *,
        layer: LayerLike = None,
        method: str | None = ...,
        target: Target = ...,
        preprocess: Preprocess | None = ...,
        class_names: Any = ...,
        device: str | torch.device | None = ...,
        frame: Frame = ...,
        **further: Unpack[Further],
    ) -> Attention: ...

    @overload
    def __call__(
        self,
        model: Model,
        img: Any,
        *,
        layer: list[str | int | nn.Module],
        method: str | list[str] | None = ...,
        target: Target | list[Target] = ...,
        preprocess: Preprocess | None = ...,
        class_names: Any = ...,
        device: str | torch.device | None = ...,
        frame: Frame = ...,
        **further: Unpack[Further],
    ) -> list[Attention]: ...

    @overload
    def __call__(
        self,
        model: Model,
        img: Any,
        *,
        layer: LayerLike = None,
        method: list[str],
        target: Target | list[Target] = ...,
        preprocess: Preprocess | None = ...,
        class_names: Any = ...,
        device: str | torch.device | None = ...,
        frame: Frame = ...,
        **further: Unpack[Further],
    ) -> list[Attention]: ...

    @overload
    def __call__(
        self,
        model: Model,
        img: Any,
        *,
        layer: LayerLike = None,
        method: str | None = ...,
        target: list[Target],
        preprocess: Preprocess | None = ...,
        class_names: Any = ...,
        device: str | torch.device | None = ...,
        frame: Frame = ...,
        **further: Unpack[Further],
    ) -> list[Attention]: ...

    def __call__(
        self,
        model: Model,
        img: Any,
        *,
        layer: LayersLike = None,
        method: str | Sequence[str] | None = None,
        target: Targets = None,
        preprocess: Preprocess | None = None,
        class_names: Any = None,
        device: str | torch.device | None = None,
        frame: Frame = "image",
        **further: Unpack[Further],
    ) -> Attention | list[Attention]:
        """Compute the attention of one image: `pytest_cam.attend` with the test's settings."""
        require_known(further, attend)
        self.watch.see(model)
        bound = self._bound(layer, method, target, preprocess, class_names, device, further)
        found: Attention | list[Attention] = attend(model, img, frame=frame, **bound)
        return [self.journal.watch(item) for item in found] if isinstance(found, list) else self.journal.watch(found)

    def batch(
        self,
        model: Model,
        images: Sequence[Any] | torch.Tensor,
        *,
        layer: LayerLike = None,
        method: str | None = None,
        target: Targets = None,
        preprocess: Preprocess | None = None,
        class_names: Any = None,
        device: str | torch.device | None = None,
        frame: Frame = "image",
        **further: Unpack[Further],
    ) -> list[Attention]:
        """Compute the attentions of B images in one pass: `pytest_cam.attend_batch` with the test's settings."""
        require_known(further, attend_batch)
        self.watch.see(model)
        bound = self._bound(layer, method, target, preprocess, class_names, device, further)
        return [self.journal.watch(attention) for attention in attend_batch(model, images, frame=frame, **bound)]

    def assert_attention_in_region(
        self,
        model: Model,
        img: Any,
        box: Any,
        layer: LayerLike = None,
        method: str | None = None,
        *,
        metric: str = "skill",
        at_least: float | None = None,
        at_most: float | None = None,
        frame: Frame = "image",
        **settings: Unpack[Request],
    ) -> Attention:
        """Fail unless the attention lies in a region: `pytest_cam.assert_attention_in_region`, same arguments."""
        require_known(settings, assert_attention_in_region)
        require_one("assert_attention_in_region", layer, method, settings.get("target"))
        found = self(model, img, layer=layer, method=method, frame=frame, **settings)
        attention = self._only("assert_attention_in_region", found)
        attention.assert_in_region(box, metric=metric, at_least=at_least, at_most=at_most, frame=frame)
        return attention

    def assert_attention_not_in_region(
        self,
        model: Model,
        img: Any,
        box: Any,
        layer: LayerLike = None,
        method: str | None = None,
        *,
        metric: str = "lift",
        at_most: float | None = None,
        frame: Frame = "image",
        **settings: Unpack[Request],
    ) -> Attention:
        """Fail if the attention lies in a region: `pytest_cam.assert_attention_not_in_region`, same arguments."""
        require_known(settings, assert_attention_not_in_region)
        require_one("assert_attention_not_in_region", layer, method, settings.get("target"))
        found = self(model, img, layer=layer, method=method, frame=frame, **settings)
        attention = self._only("assert_attention_not_in_region", found)
        attention.assert_not_in_region(box, metric=metric, at_most=at_most, frame=frame)
        return attention

    def _only(self, verb: str, found: Attention | list[Attention]) -> Attention:
        """Return what a verb is about; a marker may give a list, too."""
        if isinstance(found, list):
            require_one(verb, *map(self._settings().get, ("layer", "method", "target")))
        return cast("Attention", found)

    def _bound(
        self,
        layer: LayersLike,
        method: str | Sequence[str] | None,
        target: Any,
        preprocess: Preprocess | None,
        class_names: Any,
        device: str | torch.device | None,
        further: Further,
    ) -> dict[str, Any]:
        given: dict[str, Any] = {
            "layer": layer,
            "method": method,
            "target": target,
            "preprocess": preprocess,
            "class_names": class_names,
            "device": device,
        }
        settings = self._settings()
        # Those of the further keywords that are in the table of settings may be set by a marker, too.
        given |= {name: None for name in Further.__annotations__ if name in settings} | further
        return {name: settings.get(name) if value is None else value for name, value in given.items()}
