"""Requests a second of an HTTPS server that asks for a certificate: callers side by side.

Two at once, so that the server always has something to do and its own speed is what is seen. They
do as little as they can: what a caller costs counts against whoever is asked, the faster the more.
"""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from dataclasses import dataclass

CALLERS = 2

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_TIMEOUT = 30.0


class NotAnswered(AssertionError):
    """Something else than a whole answer with status 200."""


@dataclass(frozen=True)
class Server:
    """Where to ask, whom to expect there, and with what certificate."""

    port: int
    name: str
    context: ssl.SSLContext

    def connect(self) -> ssl.SSLSocket:
        """A connection after its handshake, which is never resumed from an earlier one."""
        raw = socket.create_connection(("127.0.0.1", self.port), _TIMEOUT)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.context.wrap_socket(raw, server_hostname=self.name)

    def rate(self, path: str, *, seconds: float, kept: bool = False) -> float:
        """GETs of `path` a second, each on a connection of its own, or `kept` on one a caller."""
        request = f"GET {path} HTTP/1.1\r\nHost: {self.name}\r\n\r\n".encode()
        counts: list[int] = []
        failures: list[Exception] = []
        begin = time.perf_counter()

        def call() -> None:
            count, connection = 0, None
            try:
                while time.perf_counter() - begin < seconds:
                    connection = connection or self.connect()
                    _ask(connection, request)
                    count += 1
                    if not kept:
                        connection.close()
                        connection = None
            except (OSError, NotAnswered) as error:
                failures.append(error)
            finally:
                counts.append(count)
                if connection is not None:
                    connection.close()

        callers = [threading.Thread(target=call) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        took = time.perf_counter() - begin
        if failures:
            raise failures[0]
        return sum(counts) / took


def _ask(connection: ssl.SSLSocket, request: bytes) -> None:
    connection.sendall(request)
    seen = b""
    while not complete(seen):
        more = connection.recv(65536)
        if not more:
            raise NotAnswered(f"the connection ended after {seen!r}")
        seen += more


def complete(seen: bytes) -> bool:
    """Whether this is a whole answer. Raises NotAnswered for another one than 200."""
    head, blank, body = seen.partition(b"\r\n\r\n")
    if not blank:
        return False
    if not re.match(rb"HTTP/1\.[01] 200 ", head):
        raise NotAnswered(repr(head))
    length = _LENGTH.search(head + b"\r\n")
    if length is None:
        raise NotAnswered(f"no length: {head!r}")
    return len(body) >= int(length[1])
