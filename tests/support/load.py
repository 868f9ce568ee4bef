"""Clients that go on all the time and count what went wrong."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import socket
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.need import program


@dataclass
class Tally:
    """What came of a load: `done` requests, and a text for each kind of failure."""

    done: int = 0
    failures: list[str] = field(default_factory=list)


class Wrk:
    """`wrk -c32` on the load balancer, for a number of seconds."""

    def __init__(self, port: int, *, seconds: float, keep_alive: bool) -> None:
        close = [] if keep_alive else ["-H", "Connection: close"]
        self._process = subprocess.Popen(
            [
                program("wrk"),
                "-t1",
                "-c32",
                f"-d{seconds:.0f}s",
                *close,
                f"http://127.0.0.1:{port}/",
            ],
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def tally(self) -> Tally:
        """Wait for its end and read what it says."""
        said, _ = self._process.communicate()
        done = re.search(r"(\d+) requests in", said)
        assert done is not None, said
        failures = re.findall(r"Socket errors:.*|Non-2xx or 3xx responses:.*", said)
        return Tally(int(done[1]), failures)


class _Thread:
    """A client in a thread, from the beginning of a `with` block to its end."""

    def __init__(self, step: Callable[[], None]) -> None:
        self.tally = Tally()
        self._step = step
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> _Thread:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), "a client hangs"

    def _run(self) -> None:
        while not self._end.is_set():
            try:
                self._step()
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self.tally.failures.append(repr(error))
                return
            self.tally.done += 1


def getting(port: int, bodies: set[bytes]) -> _Thread:
    """GET on a new connection each time; any of `bodies` is a good answer."""

    def step() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            connection.request("GET", "/", headers={"Connection": "close"})
            answer = connection.getresponse().read()
            assert answer in bodies, answer[:80]
        finally:
            connection.close()

    return _Thread(step)


def posting(port: int, size: int) -> _Thread:
    """POST bodies of `size` bytes to an echo, on a connection that is kept while it may be."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

    def step() -> None:
        body = os.urandom(size)
        connection.request("POST", "/", body=body)
        answer = connection.getresponse().read()
        assert hashlib.sha256(answer).digest() == hashlib.sha256(body).digest(), len(answer)

    return _Thread(step)


class Stream:
    """One TCP connection to an echo that never pauses; what comes back is hashed."""

    def __init__(self, port: int) -> None:
        self.sent, self.received = hashlib.sha256(), hashlib.sha256()
        self.bytes = 0
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._running = _Thread(self._step)

    def _step(self) -> None:
        chunk = os.urandom(20_000)
        self._connection.sendall(chunk)
        self.sent.update(chunk)
        left = len(chunk)
        while left:
            back = self._connection.recv(left)
            assert back, "the stream was cut"
            self.received.update(back)
            left -= len(back)
        self.bytes += len(chunk)

    def __enter__(self) -> Stream:
        self._running.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._running.__exit__(*exception)
        self._connection.close()

    @property
    def failures(self) -> list[str]:
        return self._running.tally.failures
