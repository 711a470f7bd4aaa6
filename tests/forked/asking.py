"""What stands for `python` where a fork of the server in `warm.py` is to be one: python asking.py SOCKET ARGUMENTS.

It is started hundreds of times, and imports nothing that takes a while.
"""

from __future__ import annotations

import _socket
import array
import marshal
import os
import sys

SOL_SOCKET, SCM_RIGHTS = _socket.SOL_SOCKET, _socket.SCM_RIGHTS


def ask(path: str, arguments: list[str]) -> int:
    """Have a fork run what Python would with these arguments, and return its exit status."""
    asked = {"arguments": arguments, "environment": dict(os.environ), "directory": os.getcwd()}
    said = marshal.dumps(asked)
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    connection.connect(path)
    standard = array.array("i", [0, 1, 2])
    connection.sendmsg([f"{len(said):<8}".encode()], [(SOL_SOCKET, SCM_RIGHTS, standard)])
    connection.sendall(said)
    # The fork holds what these refer to; xdist sees its end by its own ends of them.
    for descriptor in (0, 1):
        os.close(descriptor)
    answer = connection.recv(1)
    return answer[0] if answer else 1


if __name__ == "__main__":
    sys.exit(ask(sys.argv[1], sys.argv[2:]))
