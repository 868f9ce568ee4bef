"""A client that asks a load balancer all along, as its users do, and says when it saw something.

A process of its own, so that it waits for nobody: `python -m tests.bench.onlooker PORT` takes a
body a line, asks until it gets that body, and answers with the moment, in seconds of the clock
that all processes of a machine share.
"""

from __future__ import annotations

import functools
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Self

from tests.bench.proof import fetch

_PAUSE = 0.0005
"""Between two requests, in seconds: who asks without one takes the machine from whom it watches."""
_PATIENCE = 10.0


class Onlooker:
    """Watches `port` from a process of its own."""

    def __init__(self, port: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.onlooker", str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._asked = self._answered = 0

    def __enter__(self) -> Self:
        self.wait_for(b"")()  # until it has started
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            self._process.terminate()

    def wait_for(self, body: bytes) -> Callable[[], float]:
        """Have it ask from now on; what this gives waits, and tells the moment of `body`.

        That raises AssertionError where the body is not served within ten seconds.
        """
        self._asked += 1
        assert self._process.stdin
        self._process.stdin.write(f"{body.decode()}\n")
        self._process.stdin.flush()
        return functools.partial(self._told, self._asked)

    def _told(self, asked: int) -> float:
        assert self._process.stdout
        while self._answered < asked:  # nobody heard the answers to those before
            moment = self._process.stdout.readline().strip()
            self._answered += 1
        if not moment:
            raise AssertionError(f"not served within {_PATIENCE:g} s")
        return float(moment)


def _watch(port: int) -> None:
    for line in sys.stdin:
        body = line.strip().encode()
        moment = _seen(port, body) if body else time.perf_counter()
        print("" if moment is None else repr(moment), flush=True)


def _seen(port: int, body: bytes) -> float | None:
    began = time.perf_counter()
    while time.perf_counter() - began < _PATIENCE:
        if fetch(port) == body:
            return time.perf_counter()
        time.sleep(_PAUSE)
    return None


if __name__ == "__main__":
    _watch(int(sys.argv[1]))
