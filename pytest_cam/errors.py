"""Every exception of the package, and words that their messages share. Standard library only."""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Iterable
from types import FrameType
from typing import Any

# So many names are listed where none is close to the given one.
_MOST_NAMES = 24


class CamError(Exception):
    """The base of every error that pytest-cam raises.

    Attributes:
        evidence: What is needed to draw and explain the failure, where a map was computed before it: a
            `pytest_cam.verdicts.evidence.Evidence`, else None.
    """

    def __init__(self, message: str, evidence: Any = None) -> None:
        # A path may hold bytes that are no UTF-8, and a report with such a text ends an xdist worker: exit status 0.
        super().__init__(message.encode("utf-8", "backslashreplace").decode())
        self.evidence = evidence


class AttentionError(CamError, AssertionError):
    """The model does not look where the test says: the verdict of a check that ran and failed."""


class CollectedAttentionError(AttentionError):
    """Several checks of one soft block failed.

    Attributes:
        exceptions: What each of them would have raised, in the order in which they ran; each carries its own evidence.
    """

    # Another process makes it of the message alone, and then sets its attributes.
    def __init__(self, message: str, exceptions: Iterable[CamError] = ()) -> None:
        super().__init__(message)
        self.exceptions = tuple(exceptions)


class ImageError(CamError, ValueError):
    """The image cannot be used: unreadable, truncated, of the wrong type, or too large."""


class PreprocessError(CamError, ValueError):
    """There is no preprocess for this image, or it returns something that is no model input."""


class GeometryError(PreprocessError):
    """The preprocess moves pixels in a way that image coordinates cannot be carried through."""


class NotAffineError(GeometryError):
    """The preprocess has no affine map between image and input; regions in input pixels can be used with it."""


class RegionError(CamError, ValueError):
    """The region is malformed, or lies outside the image or outside what the model saw."""


class ModelError(CamError, TypeError):
    """The model is not something that can be explained."""


class OutputError(CamError, ValueError):
    """The model's output has no class scores where they are looked for."""


class LayerError(CamError, ValueError):
    """The layer is unknown, never ran, or has no spatial extent."""


class TargetError(CamError, ValueError):
    """The target does not name one score of the model."""


class IndependentScoreError(CamError, ValueError):
    """The explained score does not depend on the layer, so no map of it exists."""


class NonFiniteError(CamError, ArithmeticError):
    """Activations, gradients or scores contain NaN or infinity."""


class EmptyMapError(CamError, ValueError):
    """The map is zero everywhere: nothing at this layer speaks for the target."""


class FlatMapError(CamError, ValueError):
    """The map is the same everywhere: it has no pattern that another could have or lack."""


class MapError(CamError, ValueError):
    """What is given as a map is none: not two-dimensional, or negative."""


class MethodError(CamError, ValueError):
    """The CAM method is unknown, cannot be used so, or returned something that is no map."""


class PerturbationError(CamError, ValueError):
    """A perturbation is unknown, random, or makes something else than an image of the same kind and size."""


class MetricError(CamError, ValueError):
    """The metric is unknown, or cannot be used in this check."""


class LimitError(CamError, ValueError):
    """A limit is missing, contradictory, or outside the metric's range."""


class UnattainableError(LimitError):
    """No map of this resolution can meet the limit in this region."""


class VacuousError(LimitError):
    """The check could not fail in a way that means anything."""


class MemoryShortError(CamError, MemoryError):
    """Not even one sample at a time fits into memory."""


class HookLeakError(CamError):
    """A test left a hook behind on a model."""


class DependencyError(CamError, ImportError):
    """A library that this call needs does not import."""


class KeywordError(CamError, TypeError):
    """A verb has no such keyword, or its value is of the wrong kind."""


class SettingError(CamError, ValueError):
    """A setting is unknown or has a value that it cannot have."""


class ArtifactError(CamError, OSError):
    """The artifacts directory cannot be used, or an artifact cannot be written."""


class BaselineError(CamError, ValueError):
    """There is no baseline to compare with: missing, damaged, of something else, claimed twice, or not writable."""


class NewerBaselineError(BaselineError):
    """The baseline was written by a later version of this package, which an earlier one must not overwrite."""


class CamWarning(UserWarning):
    """The base of every warning that pytest-cam gives."""


class ProbabilityWarning(CamWarning):
    """What is explained looks like a probability, where a logit says more."""


class TargetIgnoredWarning(CamWarning):
    """A target is given to a method whose map is the same for every target."""


# What users read in a summary line is the public name, not the file it lives in.
for _error in list(globals().values()):
    if isinstance(_error, type) and issubclass(_error, (CamError, CamWarning)):
        _error.__module__ = "pytest_cam"


def is_ours(excinfo: Any) -> bool:
    """Return whether an error, or a warning that is raised as one, is one of this package's own.

    A module that says `__tracebackhide__ = is_ours` has its frames left out of pytest's traceback of such errors, so
    that the user's line stands above the message. Other errors, which would be our mistakes, keep every frame.

    Args:
        excinfo: The `pytest.ExceptionInfo` of the error.
    """
    return bool(excinfo.errisinstance((CamError, CamWarning)))


__tracebackhide__ = is_ours


def end_at_users_line(excinfo: Any, longrepr: Any) -> None:
    """Let the traceback of an error of this package's own end at the user's line: a debugger stops where it ends.

    Where there is no such line, as in a test that is torn down, the frames that pytest offers to show say nothing.

    Args:
        excinfo: The `pytest.ExceptionInfo` of an error that has been reported.
        longrepr: How pytest shows it.
    """
    shown: Any = getattr(longrepr, "reprtraceback", None)
    if is_ours(excinfo) and str(getattr(shown, "extraline", "")).startswith("All traceback entries are hidden"):
        shown.extraline = None
    entry, last = excinfo.tb, None
    while entry is not None:
        if entry.tb_frame.f_globals.get("__tracebackhide__") is not is_ours:
            last = entry
        entry = entry.tb_next
    if last is not None and is_ours(excinfo):
        last.tb_next = None
        # What is left out holds images, and pytest-rerunfailures keeps this object of each failure until the run ends.
        excinfo.traceback = type(excinfo.traceback)(excinfo.tb)


def warn(text: str, category: type[CamWarning]) -> None:
    """Give a warning at the line of the user that called this package."""
    _, ours = _callers(sys._getframe(1))
    warnings.warn(text, category, stacklevel=ours + 2)


def users_frame() -> FrameType:
    """Return the frame of the user's line that called this package."""
    return _callers(sys._getframe(1))[0]


def _callers(frame: FrameType) -> tuple[FrameType, int]:
    """Return the nearest frame that is not of this package, and how many of its frames lie before it."""
    ours = 0
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(f"{__package__}."):
        frame, ours = frame.f_back, ours + 1
    return frame, ours


def kind_of(value: object) -> str:
    """Return what a value is, as a message names it: "an int", "None", "the class ResNet"."""
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return with_article(type(value).__name__)


def with_article(name: str) -> str:
    """Return the name of a type after "a" or "an"."""
    return f"{'an' if name.startswith(('nd', *'aeioAEIO')) else 'a'} {name}"


def percent_over(share: float, limit: float) -> str:
    """Return a share in percent, with as many digits as it takes to tell it from the limit that it exceeds."""
    # As it is written: 0.505 rounded to two digits is 0.51, and in percent 50.5, of which formats make 50.
    digits = next((digits for digits in range(4) if round(share * 100, digits) > limit * 100), 4)
    return f"{share:.{digits}%}"


def nearest(given: object, accepted: Iterable[str]) -> str:
    """Return "Did you mean ...?" with the three names closest to the given one, or all of them if none is close.

    Args:
        given: What the user wrote.
        accepted: Every name that would have been valid.

    Returns:
        One sentence, or an empty string where nothing is accepted at all.
    """
    names = list(accepted)
    # Case, hyphens and blanks are what is mistaken most often.
    plain = {_plain(name): name for name in reversed(names)}
    same = plain.get(_plain(str(given)))
    close = [same] if same is not None else difflib.get_close_matches(str(given), names, cutoff=0.6)
    if not close:
        close = [plain[each] for each in difflib.get_close_matches(_plain(str(given)), plain, cutoff=0.6)]
    if close:
        return f"Did you mean {' or '.join(repr(name) for name in close)}?"
    if not names:
        return ""
    shown = ", ".join(repr(name) for name in names[:_MOST_NAMES])
    return f"Accepted: {shown}{', and others' if len(names) > _MOST_NAMES else ''}."


def _plain(name: str) -> str:
    return "".join(character for character in name.casefold() if character not in " -_.")
