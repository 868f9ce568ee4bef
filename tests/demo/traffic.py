"""The clients of the load balancer: single requests, and a load that goes on."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from tests.demo.faults import Wrong
from tests.support.wait import until

_SECONDS = 5.0  # for any one answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where clients turn to: `entered` puts their thread into the network that `host` is in."""

    host: str
    port: int
    entered: Callable[[], AbstractContextManager[None]]

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def connect(self) -> socket.socket:
        """A new connection; raises OSError."""
        with self.entered():
            return socket.create_connection((self.host, self.port), timeout=_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answered request: which web server it came from, and the cookie that was set.

    `opened` and `started` say when its connection and the request itself began; `kept` whether
    the connection had carried a request before.
    """

    web: str
    cookie: str
    opened: float
    started: float
    kept: bool


class Browser:
    """One client; with `keep`, its requests share a connection as long as HAProxy lets them."""

    def __init__(self, target: Target, *, keep: bool) -> None:
        self._target = target
        self._connection = http.client.HTTPConnection(target.host, target.port, timeout=_SECONDS)
        self._headers = {} if keep else {"Connection": "close"}
        self._opened = 0.0

    def get(self, cookie: str = "") -> Answer:
        """Request once. Raises Wrong when the answer is not a good one, OSError when none is."""
        started = time.monotonic()
        kept = self._connection.sock is not None
        if not kept:
            self._opened = started
        try:
            if not kept:
                self._connection.sock = self._target.connect()
            headers = self._headers | ({"Cookie": cookie} if cookie else {})
            self._connection.request("GET", "/", headers=headers)
            response = self._connection.getresponse()
            body = response.read().decode()
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        if response.status != http.client.OK:
            raise Wrong(f"answered {response.status} {response.reason}")
        return Answer(
            web=body,
            cookie=(response.getheader("Set-Cookie") or "").partition(";")[0],
            opened=self._opened,
            started=started,
            kept=kept,
        )

    def close(self) -> None:
        """Close the connection, if there is one."""
        self._connection.close()


def ask(target: Target, times: int, cookie: str = "") -> list[Answer]:
    """Request `times` times, each on its own connection."""
    browser = Browser(target, keep=False)
    return [browser.get(cookie) for _ in range(times)]


def refused(target: Target, times: int) -> int:
    """How many of `times` connections are refused; Wrong for one that fails in another way."""
    count = 0
    for _ in range(times):
        try:
            target.connect().close()
        except ConnectionRefusedError:
            count += 1
        except OSError as error:
            raise Wrong(f"a connection was not refused but failed: {error}") from error
    return count


class Load:
    """Clients that request without a pause while the `with` block runs.

    `keepers` of them keep their connections, `openers` open a new one for each request.
    """

    def __init__(self, target: Target, *, keepers: int, openers: int) -> None:
        self.answers: list[Answer] = []
        self.failures: list[str] = []
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(Browser(target, keep=keep),), daemon=True)
            for keep in [True] * keepers + [False] * openers
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(2 * _SECONDS)

    def wait_for(self, more: int) -> None:
        """Return when `more` further requests are done."""
        goal = self._done() + more
        until(lambda: self._done() >= goal, f"{more} more requests under load")

    def _done(self) -> int:
        return len(self.answers) + len(self.failures)

    def _run(self, browser: Browser) -> None:
        while not self._over.is_set():
            try:
                self.answers.append(browser.get())
            except (OSError, http.client.HTTPException, Wrong) as error:
                self.failures.append(f"{type(error).__name__}: {error}")
        browser.close()
