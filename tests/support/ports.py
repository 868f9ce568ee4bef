"""Free TCP ports of the loopback, below those that the kernel gives to clients."""

from __future__ import annotations

import itertools
import os
import random
import socket

_FIRST, _EACH = 10_000, 2_500
"""Where the ports of tests begin, and how many each worker of pytest-xdist has to itself."""

_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 6
_NEXT = itertools.count(random.randrange(_EACH))  # other runs may be beside this one


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that nothing listens on at this moment, and not soon the same again."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for number in itertools.islice(_NEXT, _EACH):
        port = _FIRST + _WORKER * _EACH + number % _EACH
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise OSError(f"no port is free at {host}")
