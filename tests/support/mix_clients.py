"""Clients that go on through a whole mix of changes, and know from whom each answer may be."""

from __future__ import annotations

import http.client
import re
import socket
import threading
import time
from abc import ABC, abstractmethod

from tests.support.mix import Truth

SECONDS = 30.0
"""How long a client waits for anything."""


class WrongAnswer(Exception):
    """A request got an answer that it should not have got, or none that is one."""


class Client(ABC):
    """A client in a thread; a request that goes wrong is told and the next one is made.

    `cut` are connections that ended under a request or a stream, or were not taken.
    """

    def __init__(self, name: str, *, pause: float) -> None:
        self.name = name
        self.done = 0
        self.failed: list[str] = []
        self.cut: list[str] = []
        self._pause = pause
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Client:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(2 * SECONDS)
        assert not self._thread.is_alive(), f"{self.name} hangs"
        self.end()

    @abstractmethod
    def step(self) -> None:
        """One request. Raises WrongAnswer, or OSError and the like where the connection ends."""

    def end(self) -> None:  # noqa: B027 - most keep nothing
        """Give up what is kept open."""

    def _run(self) -> None:
        while not self._end.wait(self._pause):
            try:
                self.step()
                self.done += 1
            except WrongAnswer as error:
                self.failed.append(f"{self.name}: {error}")
            except Exception as error:  # noqa: BLE001 - whatever it is, the answer did not come
                self.cut.append(f"{self.name}: {error!r}")


class NewConnections(Client):
    """A GET on a new connection each time, without a cookie."""

    def __init__(self, port: int, truth: Truth, *, pause: float = 0.005) -> None:
        super().__init__("new connections", pause=pause)
        self._port, self._truth = port, truth

    def step(self) -> None:
        began = time.monotonic()
        must_be_allowed(self._truth, fetch(self._port), began)


class Kept(Client):
    """GETs on a connection that is kept, with the cookie of the member that answered last.

    The member with the cookie must answer as long as it is there. Each hundred requests the
    cookie is forgotten, so that the client comes to others. A connection that was idle over a
    reload gets one answer more from the process that is leaving, which says that it is the last.
    """

    def __init__(self, port: int, truth: Truth, *, pause: float) -> None:
        super().__init__(f"kept connection, a request each {pause:g} s", pause=pause)
        self._truth = truth
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        self._cookie = ""
        self._steps = 0
        self._used = 0.0

    def step(self) -> None:
        self._steps += 1
        if self._steps % 100 == 0:
            self._cookie = ""
        began, before = time.monotonic(), self._used
        headers = {"Cookie": f"SERVERID={self._cookie}"} if self._cookie else {}
        try:
            self._connection.request("GET", "/", headers=headers)
            answer = self._connection.getresponse()
            place = answer.read().decode()
        except BaseException:
            self._connection.close()
            raise
        self._used = time.monotonic()
        if answer.status != 200:
            raise WrongAnswer(f"{answer.status} {place[:60]!r}")
        if answer.will_close and before:
            # The last answer on it, of a process that a reload has replaced since it was used.
            began = before
        must_be_allowed(self._truth, place, began)
        must_stay(self._truth, self._cookie, place, began)
        found = re.match(r"SERVERID=([^;]+)", answer.headers.get("Set-Cookie", ""))
        if found:
            self._cookie = found[1]

    def end(self) -> None:
        self._connection.close()


def fetch(port: int) -> str:
    """The body of one request on a new connection. Raises WrongAnswer or OSError."""
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    if not answer:
        raise EOFError("closed without an answer")
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise WrongAnswer(f"{answer[:60]!r}")
    return body.decode()


def must_be_allowed(truth: Truth, place: str, began: float) -> None:
    """Only who may be there has answered what began then. Raises WrongAnswer."""
    if not truth.may_answer(place, since=began):
        raise WrongAnswer(f"{place!r} answered, which is no member any more, or not yet")


def must_stay(truth: Truth, cookie: str, place: str, began: float) -> None:
    """A client with the cookie of a member that was there all the time gets its answer."""
    if not cookie:
        return
    number = int(cookie.removeprefix("id-"))
    came_to = int(place.removeprefix("m").partition("-")[0])
    if came_to != number and truth.was_there(number, since=began):
        raise WrongAnswer(f"{place!r} answered a client of {cookie}")
