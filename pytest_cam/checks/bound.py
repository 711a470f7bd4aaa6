"""The verbs with a test's settings bound: what the `cam` fixture is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, overload

import torch
from torch import nn

from pytest_cam import options
from pytest_cam.attending import attend, attend_batch, require_one
from pytest_cam.attention import Attention
from pytest_cam.checks.faithful import assert_attention_faithful
from pytest_cam.checks.hook_watch import BoundHooks, ModelWatch
from pytest_cam.checks.how import How
from pytest_cam.checks.in_region import assert_attention_in_region
from pytest_cam.checks.journal import Journal
from pytest_cam.checks.needs_region import assert_prediction_needs_region
from pytest_cam.checks.not_in_region import assert_attention_not_in_region
from pytest_cam.checks.ranking_curves import Faithfulness
from pytest_cam.checks.region_suffices import assert_region_suffices
from pytest_cam.engine.black_box import Model
from pytest_cam.engine.further import Further, require_known
from pytest_cam.engine.layers import LayerLike, LayersLike
from pytest_cam.engine.targets import Target, Targets
from pytest_cam.errors import is_ours
from pytest_cam.images.fills import Fill
from pytest_cam.images.frames import Frame
from pytest_cam.images.geometry import Preprocess
from pytest_cam.intervention import Intervention

if TYPE_CHECKING:
    from typing_extensions import Unpack

__tracebackhide__ = is_ours


class Cam:
    """The verbs of pytest-cam with the test's settings bound; the `cam` fixture returns one.

    Calling it is `attend`. A setting comes from the call, else from the closest `@pytest.mark.cam(...)`, else from the
    command line, else from the ini file or the project's fixture, else it is the built-in one.

    Attributes:
        hooks: `cam.hooks.add(model, layer, function)` places a hook that leaves with the test.
    """

    def __init__(self, settings: Callable[[str, Any], Any]) -> None:
        self._settings = settings
        self.journal = Journal()
        self.watch = ModelWatch()
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
        **settings: Any,
    ) -> Attention:
        """Fail unless the attention lies in a region: `pytest_cam.assert_attention_in_region`, same arguments."""
        require_known(settings, assert_attention_in_region)
        require_one("assert_attention_in_region", layer, method, settings.get("target"))
        attention: Attention = self(model, img, layer=layer, method=method, frame=frame, **settings)
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
        **settings: Any,
    ) -> Attention:
        """Fail if the attention lies in a region: `pytest_cam.assert_attention_not_in_region`, same arguments."""
        require_known(settings, assert_attention_not_in_region)
        require_one("assert_attention_not_in_region", layer, method, settings.get("target"))
        attention: Attention = self(model, img, layer=layer, method=method, frame=frame, **settings)
        attention.assert_not_in_region(box, metric=metric, at_most=at_most, frame=frame)
        return attention

    def assert_prediction_needs_region(
        self, model: Model, img: Any, region: Any, *, fill: Fill | None = None, **how: Any
    ) -> Intervention:
        """Fail unless hiding a region changes the prediction: `pytest_cam.assert_prediction_needs_region`."""
        found: Intervention = self._ask(assert_prediction_needs_region, model, img, region, fill=fill, **how)
        return found

    def assert_region_suffices(
        self, model: Model, img: Any, region: Any, *, fill: Fill | None = None, **how: Any
    ) -> Intervention:
        """Fail unless a region alone leaves the prediction: `pytest_cam.assert_region_suffices`, same arguments."""
        found: Intervention = self._ask(assert_region_suffices, model, img, region, fill=fill, **how)
        return found

    def assert_attention_faithful(self, model: Model, img: Any, **how: Any) -> Faithfulness:
        """Fail unless the map ranks pixels better than chance: `pytest_cam.assert_attention_faithful`."""
        found: Faithfulness = self._ask(assert_attention_faithful, model, img, **how)
        return found

    def _ask(self, verb: Callable[..., Any], model: Any, img: Any, *args: Any, **given: Any) -> Any:
        """Call a verb with the test's settings in place of what was not given."""
        self.watch.see(model)
        how = {name: self._settings(name, None) for name in How.__annotations__ if name in options.MARKER_KEYS}
        bound = {
            name: self._settings(name, value) if name in options.MARKER_KEYS else value for name, value in given.items()
        }
        return verb(model, img, *args, **{name: value for name, value in (how | bound).items() if value is not None})

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
        # Those of the further keywords that are in the table of settings may be set by a marker, too.
        given |= {name: None for name in Further.__annotations__ if name in options.MARKER_KEYS} | further
        return {
            name: self._settings(name, value) if name in options.MARKER_KEYS else value for name, value in given.items()
        }
