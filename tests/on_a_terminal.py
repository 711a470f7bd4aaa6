"""A process that writes to a terminal, for tests of what only a terminal is shown."""

from __future__ import annotations

import os
import struct
import subprocess
from typing import Any

import pytest


def run_on_a_terminal(command: list[str], *, columns: int = 80, **how: Any) -> tuple[str, str]:
    """Run a command to its successful end with a terminal of 24 rows as its stderr, and as its stdout unless told.

    Args:
        command: The program and its arguments.
        columns: How wide the terminal is.
        **how: As for `subprocess.Popen`; stdout=subprocess.PIPE reads that apart.

    Returns:
        What it wrote to a stdout of its own, and to the terminal.
    """
    pty, fcntl, termios = map(pytest.importorskip, ("pty", "fcntl", "termios"))
    ours, theirs = pty.openpty()
    # A new terminal has no rows and no columns, and tqdm finds no place in it.
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(command, **{"stdout": theirs, **how}, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # Linux says so that the other side is closed
                break
            if not piece:
                break
            shown += piece
        said = b"" if process.stdout is None else process.stdout.read()
    os.close(ours)
    assert process.returncode == 0, shown
    return said.decode(), shown.decode()
