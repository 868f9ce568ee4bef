"""Clients of a mix that stream over TCP to an echo."""

from __future__ import annotations

import hashlib
import itertools
import os
import socket
import time

from tests.support.mix import Truth
from tests.support.mix_clients import SECONDS, Client, WrongAnswer, must_be_allowed

_SOURCES = itertools.count(1)


class Stream(Client):
    """One TCP connection that never pauses for long; all of it is hashed on both ways."""

    def __init__(self, port: int, *, pause: float = 0.01) -> None:
        self._connection = _connect(port)
        self.place = _line(self._connection)
        super().__init__(f"stream to {self.place}", pause=pause)
        self._sent, self._received = hashlib.sha256(), hashlib.sha256()

    def step(self) -> None:
        chunk = os.urandom(16_384)
        try:
            self._connection.sendall(chunk)
            self._sent.update(chunk)
            self._received.update(_exactly(self._connection, len(chunk)))
        except BaseException:
            self._end.set()  # a stream is cut once
            raise

    def end(self) -> None:
        self._connection.close()
        if not self.cut and self._sent.digest() != self._received.digest():
            self.failed.append(f"{self.name}: other bytes came back than were sent")


class NewStreams(Client):
    """A short TCP connection from a new source each time."""

    def __init__(self, port: int, truth: Truth, *, pause: float = 0.005) -> None:
        super().__init__("new streams", pause=pause)
        self._port, self._truth = port, truth

    def step(self) -> None:
        began = time.monotonic()
        with _connect(self._port) as connection:
            place = _line(connection)
            chunk = os.urandom(4096)
            connection.sendall(chunk)
            if _exactly(connection, len(chunk)) != chunk:
                raise WrongAnswer("other bytes came back than were sent")
        must_be_allowed(self._truth, place, began)


def greet(port: int) -> str:
    """Who takes one new TCP connection. Raises OSError or EOFError."""
    with _connect(port) as connection:
        return _line(connection)


def _connect(port: int) -> socket.socket:
    """Connect from an address of its own, which sticks to nobody yet."""
    number = next(_SOURCES)
    source = f"127.{1 + number // 62_500 % 250}.{number // 250 % 250}.{1 + number % 250}"
    return socket.create_connection(
        ("127.0.0.1", port), timeout=SECONDS, source_address=(source, 0)
    )


def _line(connection: socket.socket) -> str:
    found = b""
    while not found.endswith(b"\n"):
        found += _exactly(connection, 1)
    return found.decode().strip()


def _exactly(connection: socket.socket, size: int) -> bytes:
    got = bytearray()
    while len(got) < size:
        chunk = connection.recv(size - len(got))
        if not chunk:
            raise EOFError(f"closed after {len(got)} of {size} bytes")
        got += chunk
    return bytes(got)
