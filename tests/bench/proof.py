"""When a change is served, by what a client gets."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable

from tests.bench.members import Wanted
from tests.bench.systems import System

_PATIENCE = 10.0
_REQUEST = b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"


def fetch(port: int) -> bytes:
    """The body of one request on a new connection; empty when there is no answer."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(_REQUEST)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
    except OSError:
        return b""
    return _body(answer)


def _body(answer: bytes) -> bytes:
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        return b""
    if b"chunked" in head.lower():
        return b"".join(body.split(b"\r\n")[1:2])
    return body


def seen(system: System, body: bytes, members: int, *, first: float = 0.0) -> float:
    """The moment at which the first answer with `body` was complete, for so many clients at once.

    One client after the other would mostly be told the time that the other members take. They
    begin to ask at the moment `first`; all are on the performance counter.
    """
    time.sleep(max(0.0, first - time.perf_counter()))
    return _until(lambda: _first(system.port, body, members))


def _first(port: int, body: bytes, clients: int) -> float | None:
    """Bare sockets, all asking before any is read: what the client takes is not the answer's."""
    with contextlib.ExitStack() as stack:
        answers: dict[int, tuple[socket.socket, bytearray]] = {}
        waiting = select.poll()
        for _ in range(clients):
            asking = stack.enter_context(socket.socket())
            asking.settimeout(5)
            try:
                asking.connect(("127.0.0.1", port))
                asking.sendall(_REQUEST)
            except OSError:
                return None
            answers[asking.fileno()] = asking, bytearray()
            waiting.register(asking, select.POLLIN)
        while answers:
            ready = waiting.poll(5000)
            if not ready:
                return None
            for descriptor, _ in ready:
                asking, answer = answers[descriptor]
                ended = _ended(asking, answer)
                if _body(bytes(answer)) == body:
                    return time.perf_counter()
                if ended:
                    waiting.unregister(descriptor)
                    del answers[descriptor]
    return None


def _ended(connection: socket.socket, answer: bytearray) -> bool:
    try:
        more = connection.recv(65536)
    except OSError:
        return True
    answer += more
    return not more


def not_seen(system: System, body: bytes, requests: int) -> float:
    """The moment from which `requests` requests in a row were answered, none with `body`."""

    def clean() -> float | None:
        began = time.perf_counter()
        for _ in range(requests):
            if fetch(system.port) in (b"", body):
                return None
        return began

    return _until(clean)


def weighs(system: System, number: int, wanted: Wanted) -> float:
    """The moment at which the member's weight is in force: read back, or shown by its share."""
    weight = next(one.weight for one in wanted.members if one.number == number)
    body = f"m{number}".encode()
    around = sum(one.weight for one in wanted.members)
    # A light member takes two rounds, else its share of before would look right by chance.
    rounds = 1 if weight > 1 else 2

    def told() -> float | None:
        return time.perf_counter() if system.weight_of(number) == weight else None

    def shared() -> float | None:
        began = time.perf_counter()
        got = [fetch(system.port) for _ in range(around * rounds)]
        return began if got.count(body) == weight * rounds and b"" not in got else None

    found = system.weight_of(number)
    if found == weight:
        return time.perf_counter()
    return _until(shared if found is None else told)


def _until(look: Callable[[], float | None]) -> float:
    began = time.perf_counter()
    while (moment := look()) is None:
        if time.perf_counter() - began > _PATIENCE:
            raise AssertionError(f"not served within {_PATIENCE:g} s")
    return moment
