"""Runs of pytest with workers, started in a moment: forks of a process that has torch and pytest imported.

An import of torch takes seconds, and the tests here start hundreds of workers. The workers are real ones, in processes
of their own; only how an interpreter comes up differs:

* `python warm.py DESCRIPTOR` imports torch and pytest once, and forks itself for whoever connects to that socket;
* `python asking.py SOCKET ... -c CODE`, or `... -m pytest ARGS`, has such a fork run that in its place;
* as a plugin of a run (`-p warm`) this file has execnet start workers by the latter.
"""

from __future__ import annotations

import array
import gc
import io
import marshal
import os
import runpy
import shlex
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any

SOCKET = "WARM_WORKERS_SOCKET"  # in the environment of a run: the server's socket
THREADS = "1"  # torch's, in what the server forks
# What a test of this package imports, as a rule.
WARM = """
import pytest_cam.checks.bound
import pytest_cam.reporting.artifacts
from pytest_cam import attend, assert_attention_in_region

def test_warm(cam):
    pass
"""


def command(path: str) -> list[str]:
    """Return what stands for `python` where a fork of the server at that socket is to be one."""
    return [sys.executable, "-S", str(Path(__file__).with_name("asking.py")), path]


def workers(path: str) -> tuple[list[str], dict[str, str]]:
    """Return the arguments and the environment with which a run of pytest has its workers forked at that socket."""
    if not path:
        return [], {}
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    return ["-p", "warm"], {SOCKET: path, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def pytest_xdist_setupnodes(specs: list[Any]) -> None:
    for spec in specs:
        spec.python = shlex.join(command(os.environ[SOCKET]))


@contextmanager
def server(directory: Path) -> Iterator[str]:
    """Run the server, and return the path of its socket."""
    path = str(directory / "socket")  # short: a socket's path has 104 characters at most
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(16)  # so that who comes early waits until torch is imported
        process = subprocess.Popen(
            [sys.executable, __file__, str(listening.fileno())],
            env=os.environ | {"OMP_NUM_THREADS": THREADS},
            pass_fds=[listening.fileno()],
            stdin=subprocess.DEVNULL,
        )
    try:
        yield path
    finally:
        process.kill()
        process.wait()


def serve(descriptor: int) -> None:
    import signal

    import cv2  # noqa: F401  (so that a fork has it)
    import numpy.random  # noqa: F401
    import PIL.Image  # noqa: F401
    import pytest
    import scipy.optimize  # noqa: F401
    import torch  # noqa: F401
    import torchvision.transforms.v2  # noqa: F401

    # The plugins, too, by a run: pytest warns of those that it finds imported in another way than its own.
    with tempfile.TemporaryDirectory() as directory, redirect_stdout(io.StringIO()):
        (Path(directory) / "test_warm.py").write_text(WARM)
        pytest.main([directory, f"--rootdir={directory}", "-p", "no:hypothesispytest", "-p", "no:anyio"])
        sys.modules.pop("test_warm", None)
        import xdist.dsession  # noqa: F401  (which pytest imports when it starts workers)

        # Forks have distributions of their own.
        sys.modules["pytest_cam.engine.methods.entry_points"].entry_points.cache_clear()
        sys.path[:] = [path for path in sys.path if path != directory]
    gc.freeze()  # the collector would write to what is shared with the forks
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how a fork ended
    listening = socket.socket(fileno=descriptor)
    while True:
        connection, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            try:
                run(connection)
            except BaseException:
                traceback.print_exc()
            os._exit(1)
        connection.close()


def run(connection: socket.socket) -> None:
    """Become what a client asks for."""
    size = 3 * array.array("i").itemsize
    head, ancillary, *_ = connection.recvmsg(8, socket.CMSG_SPACE(size))
    files = array.array("i", ancillary[0][2][:size])
    said = b""
    while len(said) < int(head):
        said += connection.recv(65536)
    asked = marshal.loads(said)
    for standard, given in enumerate(files):
        os.dup2(given, standard)
        os.close(given)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115  (open as long as it runs)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["directory"])
    sys.path[:0] = ["", *filter(None, asked["environment"].get("PYTHONPATH", "").split(os.pathsep))]
    status = 0
    try:
        if asked["arguments"][0] == "-m":
            sys.argv = asked["arguments"][1:]
            runpy.run_module(sys.argv[0], run_name="__main__")
        else:
            sys.argv = ["-c"]
            exec(asked["arguments"][-1], {"__name__": "__main__"})
    except SystemExit as left:
        status = left.code if isinstance(left.code, int) else int(left.code is not None)
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
    connection.sendall(bytes([status & 255]))
    os._exit(status)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
