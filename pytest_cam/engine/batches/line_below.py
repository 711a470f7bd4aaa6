"""The line below the one that pytest is writing, for what comes and goes while a test runs."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any, BinaryIO

# Where a terminal does not say how wide it is.
_COLUMNS = 80


class LineBelow:
    """A stream to a terminal itself, whatever pytest captures, that leaves the cursor where it was.

    Nothing of the capturing is touched: that would undo what a test itself has put in the place of `sys.stdout`.

    Args:
        path: The terminal's.
        writer: What pytest writes to it with, a `TerminalWriter`, which knows how far its line has come.
    """

    def __init__(self, path: str, writer: Any) -> None:
        self._path, self._writer = path, writer

    @property
    def columns(self) -> int:
        """How many characters a line takes."""
        with suppress(OSError), self._opened() as file:
            return _columns_of(file) - 1
        return _COLUMNS - 1

    def write(self, text: str) -> None:
        """Write to the line; nothing where the terminal does not let this process."""
        with suppress(OSError), self._opened() as file:
            columns = _columns_of(file)
            column = self._writer.width_of_current_line % columns
            back = "\r\x1b[A" + (f"\x1b[{column}C" if column else "")
            file.write(f"\n{text[:columns]}{back}".encode("ascii", "replace"))

    def flush(self) -> None:
        """Do nothing: all is written at once."""

    def _opened(self) -> BinaryIO:
        return open(self._path, "wb", opener=_of_others)


def _of_others(path: str, _: int) -> int:
    # Opening a terminal must not make it the one that controls this process.
    return os.open(path, os.O_WRONLY | os.O_NOCTTY)


def _columns_of(file: BinaryIO) -> int:
    # pytest asks the descriptor of stdout, which is a file while it is captured.
    return os.get_terminal_size(file.fileno()).columns or _COLUMNS
