"""The verbs that hand all they are told on to a function, with a test's settings bound."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_cam.attention import Attention
from pytest_cam.checks.agrees import assert_attention_agrees
from pytest_cam.checks.class_discriminative import assert_attention_class_discriminative
from pytest_cam.checks.depends_on_weights import WeightDependence, assert_attention_depends_on_weights
from pytest_cam.checks.faithful import assert_attention_faithful
from pytest_cam.checks.hook_watch import ModelWatch
from pytest_cam.checks.how import How, require_how
from pytest_cam.checks.journal import Journal
from pytest_cam.checks.matches_baseline import assert_attention_matches_baseline
from pytest_cam.checks.needs_region import assert_prediction_needs_region
from pytest_cam.checks.ranking_curves import By, Faithfulness
from pytest_cam.checks.region_suffices import assert_region_suffices
from pytest_cam.checks.soft import Soft
from pytest_cam.checks.stable import Stability, assert_attention_stable
from pytest_cam.comparison import Comparison
from pytest_cam.engine.black_box import Model
from pytest_cam.engine.layers import LayerLike
from pytest_cam.engine.scores.targets import Target
from pytest_cam.errors import is_ours
from pytest_cam.images.fills import Fill
from pytest_cam.images.frames import Frame
from pytest_cam.images.geometry import Preprocess
from pytest_cam.intervention import Intervention
from pytest_cam.verdicts.likeness import Mode

if TYPE_CHECKING:
    from typing_extensions import Unpack

__tracebackhide__ = is_ours

Found = TypeVar("Found")


class BoundVerbs:
    """What is asked of a model and an image by a function of its own.

    Args:
        settings: Returns what holds in this test, now, for each of `options.MARKER_KEYS` that the call does not give.
    """

    def __init__(self, settings: Callable[[], Mapping[str, Any]]) -> None:
        self._settings = settings
        self.journal = Journal()
        self.watch = ModelWatch()

    def assert_attention_agrees(
        self,
        model: Model,
        reference: Model,
        img: Any,
        *,
        mode: Mode = "retrained",
        cosine: float | None = None,
        max_difference: float | None = None,
        emd: float | None = None,
        pearson: float | None = None,
        reference_layer: LayerLike = None,
        reference_preprocess: Preprocess | None = None,
        **how: Unpack[How],
    ) -> Comparison:
        """Fail unless two models look at the same place: `pytest_cam.assert_attention_agrees`, same arguments."""
        self.watch.see(reference)
        return self._ask(
            assert_attention_agrees,
            model,
            reference,
            img,
            mode=mode,
            cosine=cosine,
            max_difference=max_difference,
            emd=emd,
            pearson=pearson,
            reference_layer=reference_layer,
            reference_preprocess=reference_preprocess,
            **how,
        )

    def assert_prediction_needs_region(
        self,
        model: Model,
        img: Any,
        region: Any,
        *,
        drop_at_least: float | None = None,
        fill: Fill | None = None,
        frame: Frame = "image",
        **how: Unpack[How],
    ) -> Intervention:
        """Fail unless hiding a region changes the prediction: `pytest_cam.assert_prediction_needs_region`."""
        verb = assert_prediction_needs_region
        return self._ask(verb, model, img, region, drop_at_least=drop_at_least, fill=fill, frame=frame, **how)

    def assert_region_suffices(
        self,
        model: Model,
        img: Any,
        region: Any,
        *,
        at_least: float | None = None,
        fill: Fill | None = None,
        frame: Frame = "image",
        **how: Unpack[How],
    ) -> Intervention:
        """Fail unless a region alone leaves the prediction: `pytest_cam.assert_region_suffices`, same arguments."""
        verb = assert_region_suffices
        return self._ask(verb, model, img, region, at_least=at_least, fill=fill, frame=frame, **how)

    def assert_attention_matches_baseline(
        self,
        model: Model,
        img: Any,
        name: str | None = None,
        *,
        mode: Mode | None = None,
        frame: Frame = "image",
        **how: Unpack[How],
    ) -> Attention:
        """Fail unless the map is like the one kept beside the test: `pytest_cam.assert_attention_matches_baseline`."""
        require_how(how, assert_attention_matches_baseline)
        verb = assert_attention_matches_baseline
        return self.journal.watch(self._ask(verb, model, img, name, mode=mode, frame=frame, **how))

    def soft(self) -> Soft:
        """Collect failures of several checks and raise them together: `pytest_cam.soft`."""
        return Soft()

    def assert_attention_depends_on_weights(
        self, model: Model, img: Any, *, at_most: float | None = None, **how: Unpack[How]
    ) -> WeightDependence:
        """Fail unless the map falls apart with random weights: `pytest_cam.assert_attention_depends_on_weights`."""
        return self._ask(assert_attention_depends_on_weights, model, img, at_most=at_most, **how)

    def assert_attention_class_discriminative(
        self,
        model: Model,
        img: Any,
        targets: Sequence[Target],
        regions: Sequence[Any] | None = None,
        *,
        at_most: float | None = None,
        at_least: float | None = None,
        frame: Frame = "image",
        **how: Unpack[How],
    ) -> list[Attention]:
        """Fail unless the maps of several classes differ: `pytest_cam.assert_attention_class_discriminative`."""
        verb = assert_attention_class_discriminative
        own: dict[str, Any] = {"at_most": at_most, "at_least": at_least, "frame": frame}
        return self._ask(verb, model, img, targets, regions, without=("target",), **own, **how)

    def assert_attention_stable(
        self,
        model: Model,
        img: Any,
        under: Sequence[Any] | str | None = None,
        *,
        at_least: float | None = None,
        **how: Unpack[How],
    ) -> Stability:
        """Fail unless the map moves with the image: `pytest_cam.assert_attention_stable`, same arguments."""
        return self._ask(assert_attention_stable, model, img, under, at_least=at_least, **how)

    def assert_attention_faithful(
        self,
        model: Model,
        img: Any,
        *,
        by: By = "insertion",
        at_least: float | None = None,
        steps: int = 10,
        rankings: int = 19,
        frame: Frame = "image",
        **how: Unpack[How],
    ) -> Faithfulness:
        """Fail unless the map ranks pixels better than chance: `pytest_cam.assert_attention_faithful`."""
        own: dict[str, Any] = {"by": by, "at_least": at_least, "steps": steps, "rankings": rankings, "frame": frame}
        return self._ask(assert_attention_faithful, model, img, **own, **how)

    def _ask(
        self, verb: Callable[..., Found], model: Any, img: Any, *args: Any, without: Sequence[str] = (), **given: Any
    ) -> Found:
        """Call a verb with the test's settings in place of what was not given, but for those that it does not take."""
        self.watch.see(model)
        names = How.__annotations__.keys() - set(without)
        bound = {name: value for name, value in self._settings().items() if name in names or name in given}
        bound |= {name: value for name, value in given.items() if value is not None}
        return verb(model, img, *args, **{name: value for name, value in bound.items() if value is not None})
