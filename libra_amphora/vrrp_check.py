"""Does every HAProxy of this node serve? What keepalived asks again and again. Standard library.

A program of its own, so that a node whose agent is down still keeps or gives up its addresses by
what HAProxy does. Its one argument is a file with the path of an admin socket on each line, as
the agent keeps it; one that does not answer in time means no. No file, or an empty one, means
that there is nothing to serve, which is fine.
"""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path

SECONDS = 2.0
"""How long all answers together may take."""


def serves(admin_socket: str, *, until: float) -> bool:
    """Whether the HAProxy behind a socket answers before the monotonic moment `until`."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(max(0.01, until - time.monotonic()))
            connection.connect(admin_socket)
            connection.sendall(b"show info\n")
            return bool(connection.recv(1))
    except OSError:
        return False


def main(arguments: list[str]) -> int:
    """0 when all serve, 1 when one does not."""
    try:
        sockets = Path(arguments[0]).read_text().split("\n")
    except FileNotFoundError:
        return 0
    until = time.monotonic() + SECONDS
    return 0 if all(serves(path, until=until) for path in sockets if path) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
