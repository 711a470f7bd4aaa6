"""Whether what is kept of a model keeps the model alive, which then nobody would ever let go of.

A weak reference from the model to what is kept of it is no help there: what a user hangs on a model, be it a closure, a
hook or an object, is held by what is kept, and may lead back to the model, also when it came after the last call.
"""

from __future__ import annotations

import gc
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from pytest_cam.engine.model.named import INSTALLED, is_from

# How many objects are looked at: a settings object may lead to everything that there is.
_MOST = 200_000


@dataclass(eq=False)
class Idleness:
    """When to look whether a model that is not used any more is kept alive.

    Time is counted by the caller, such as in tests. A first look is due two steps after the last use, and further ones
    each time that the wait has doubled, since a model may be changed while it is not used.

    Attributes:
        used: When the model was last used.
        due: When to look next.
    """

    used: int = 0
    due: int = 2

    def note_use(self, now: int) -> None:
        """Note that the model is used."""
        self.used, self.due = now, now + 2

    def is_due(self, now: int) -> bool:
        """Return whether to look now, and then put the next look off."""
        if now < self.due:
            return False
        self.due = 2 * now - self.used
        return True


def leads_to(kept: Any, model: Any) -> bool:
    """Return whether an object is held by another one, or by what that holds; also where that is too much to tell.

    Args:
        kept: Where to begin.
        model: What is looked for.
    """
    # What lies in a module is there for good, and leads to all that was ever imported.
    seen = {id(sys.modules), *(id(getattr(module, "__dict__", None)) for module in list(sys.modules.values()))}
    level = [kept]
    while level:
        inner = []
        for value in gc.get_referents(*level):
            if value is model:
                return True
            if id(value) not in seen and gc.is_tracked(value):
                seen.add(id(value))
                if not _is_there_for_good(value):
                    inner.append(value)
        if len(seen) > _MOST:
            return True
        level = inner
    return False


def _is_there_for_good(value: Any) -> bool:
    # By its type, since a mock or proxy may say that it is something else.
    kind = type(value)
    return issubclass(kind, ModuleType) or (issubclass(kind, type) and is_from(INSTALLED, value))
