"""What hiding part of an image does to a model's prediction: forward passes, and no map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_cam.attending import placed_on_input, prepared_in
from pytest_cam.engine.black_box import Model, state_of
from pytest_cam.engine.model.requirements import require_device
from pytest_cam.engine.scores.explained import Explained
from pytest_cam.engine.scoring import Version, versions
from pytest_cam.engine.subject import Subject
from pytest_cam.errors import RegionError, is_ours
from pytest_cam.images.batching import stacked
from pytest_cam.images.fills import Fill, require_fill
from pytest_cam.images.frames import Frame, region_in_image
from pytest_cam.images.geometry import Geometry
from pytest_cam.images.hiding import hidden, require_hideable
from pytest_cam.images.loading import RGB, SourceImage
from pytest_cam.images.preprocessing import PreparedImage
from pytest_cam.images.regions import Region
from pytest_cam.running import sendable

__tracebackhide__ = is_ours


@dataclass(frozen=True, eq=False, repr=False)
class Intervention:
    """What a model says of an image, and of the same image with part of it hidden.

    Attributes:
        before: What the model says of the image as it is: the explained score, and its own prediction.
        after: What it says of the image with part of it hidden: the same score, and what it predicts then.
        region: The region, in image pixels.
        covered: The share of what the model saw that the region covers, in (0, 0.9].
        keeps: Whether the region is all that is left, and not what is hidden.
        fill: What stands in place of what is hidden.
        image: The image as it was given.
        perturbed: The image with part of it hidden.
        geometry: Between image pixels and input pixels.
    """

    before: Version
    after: Version
    region: Region
    covered: float
    keeps: bool
    fill: Fill
    image: SourceImage
    perturbed: SourceImage
    geometry: Geometry

    def __repr__(self) -> str:
        how = "all but the region hidden" if self.keeps else "region hidden"
        what = self.before.explained.name
        values = f"{self.value_before:.3g} to {self.value_after:.3g}"
        return sendable(f"<Intervention {how} by {self.fill}, {what} {values}>")

    @property
    def predicted_before(self) -> int | None:
        """The class that the image as it is is predicted as; None where the scores compare no classes."""
        return self.before.explained.predicted

    @property
    def predicted_after(self) -> int | None:
        """The class that the image with part of it hidden is predicted as."""
        return self.after.explained.predicted

    @property
    def probability_before(self) -> float | None:
        """The explained class's probability in the image as it is, in [0, 1]; None for a callable target."""
        return self.before.explained.probability

    @property
    def probability_after(self) -> float | None:
        """The explained class's probability in the image with part of it hidden."""
        return self.after.explained.probability

    @property
    def value_before(self) -> float:
        """What is compared, of the image as it is: the explained class's probability, or the score of a callable."""
        return _value(self.before.explained)

    @property
    def value_after(self) -> float:
        """The same of the image with part of it hidden."""
        return _value(self.after.explained)

    @property
    def drop(self) -> float:
        """By how much hiding lowers that; negative where it rises."""
        return self.value_before - self.value_after

    @property
    def stays(self) -> bool:
        """Whether the explained class is the predicted one before and after."""
        return self.before.explained.is_predicted and self.after.explained.is_predicted

    @property
    def flips(self) -> bool:
        """Whether the explained class is the predicted one before, and another is after."""
        return self.before.explained.is_predicted and not self.after.explained.is_predicted

    def picture(self) -> RGB:
        """Return the image with part of it hidden, as it went into the preprocess, (H, W, 3) uint8."""
        return self.perturbed.rgb(self.image)


def intervene(
    model: Model,
    img: Any,
    region: Any,
    *,
    keep: bool = False,
    fill: Fill = "blur",
    frame: Frame = "image",
    how: Mapping[str, Any],
) -> Intervention:
    """Ask a model of an image as it is and with part of it hidden: one forward pass, or two, see `versions`.

    Args:
        model: The classifier, or any callable; it comes back as it was.
        img: As for `attend`.
        region: A region, or what `as_region` makes one of, in pixels of the image.
        keep: Whether the region is all that is left, and not what is hidden.
        fill: What stands in place of what is hidden.
        frame: "input" where it is in pixels of the model's input instead.
        how: The keywords of `How`; layer and method change nothing.

    Raises:
        CamError: One of its kinds for each thing that can be wrong.
    """
    require_fill(fill)
    preprocess = how.get("preprocess")
    with state_of(model, []) as state:
        require_device(state.device, how.get("device"))
        [prepared] = prepared_in(state, [img], preprocess, frame)
        where = region_in_image(region, frame, prepared.geometry)
        covered = _covered(where, prepared)
        changed = hidden(prepared, where, fill, preprocess, keep=keep)
        subject = Subject(state.model, state, 1, how.get("class_names"), further_of(how))
        before, after = versions(
            subject,
            stacked([prepared, changed]),
            placed_on_input(how.get("target"), prepared),
            ["the image as it is", f"the image with {'all but the region' if keep else 'the region'} hidden"],
        )
    return Intervention(before, after, where, covered, keep, fill, prepared.source, changed.source, prepared.geometry)


def further_of(how: Mapping[str, Any]) -> Any:
    """Return those of the keywords that say how the model is called and how its output is read."""
    return {name: how[name] for name in ("output", "model_args", "model_kwargs") if name in how}


def _value(what: Explained) -> float:
    return what.score if what.probability is None else what.probability


def _covered(region: Region, prepared: PreparedImage) -> float:
    try:
        return require_hideable(region, prepared.geometry)
    except NotImplementedError:
        raise RegionError(
            f"{region.name}: no map is made here, so there are no cells to widen it by. Widen the box itself, in "
            "image pixels"
        ) from None
