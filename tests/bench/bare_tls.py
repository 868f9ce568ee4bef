"""The least that a request with a handshake costs here: HAProxy, answering with a fixed text.

It has the agents' certificate and asks for the callers', by one thread, as each agent has one
that serves. What it needs is TLS and hardly anything else, and no agent can need less.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.need import program
from tests.support.ports import free_port
from tests.support.wait import until

_CONFIG = """\
global
    nbthread 1
    httpclient.ssl.verify none
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend in
    bind 127.0.0.1:{port} ssl crt {certificate} ca-file {callers} verify required
    http-request return status 200 content-type application/json string []
"""


@contextlib.contextmanager
def bare_tls(*, folder: Path, certificate: Path, callers: Path) -> Iterator[int]:
    """Serve with `certificate` whoever `callers` have signed; gives the port."""
    port = free_port()
    config = folder / "bare.cfg"
    config.write_text(_CONFIG.format(port=port, certificate=certificate, callers=callers))
    process = subprocess.Popen([program("haproxy"), "-db", "-f", str(config)])
    try:
        until(lambda: _listens(port), "HAProxy listens")
        yield port
    finally:
        process.kill()
        process.wait(10)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
        return True
    return False
