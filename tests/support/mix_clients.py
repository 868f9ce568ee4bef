"""Clients that go on through a whole mix of changes, and know from whom each answer may be."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import itertools
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.support.h2client import H2Client
from tests.support.mix import Truth
from tests.support.need import program

SECONDS = 30.0
"""How long a client waits for anything."""

_SOURCES = itertools.count(1)


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
        _must_be_allowed(self._truth, fetch(self._port), began)


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
        _must_be_allowed(self._truth, place, began)
        _must_stay(self._truth, self._cookie, place, began)
        found = re.match(r"SERVERID=([^;]+)", answer.headers.get("Set-Cookie", ""))
        if found:
            self._cookie = found[1]

    def end(self) -> None:
        self._connection.close()


class KeptH2(Client):
    """Like `Kept`, by HTTP/2 over TLS."""

    def __init__(self, port: int, truth: Truth, context: ssl.SSLContext, *, pause: float) -> None:
        super().__init__(f"kept h2 connection, a request each {pause:g} s", pause=pause)
        self._truth = truth
        self._connect = partial(H2Client, port, context)
        self._connection: H2Client | None = None
        self._cookie = ""
        self._used = 0.0

    def step(self) -> None:
        if self.done % 100 == 0:
            self._cookie = ""
        connection = self._at_hand()
        began = time.monotonic()
        headers = {"cookie": f"SERVERID={self._cookie}"} if self._cookie else {}
        try:
            answer = connection.get(headers=headers)
        except BaseException:
            self.end()
            raise
        if connection.leaving and self._used:
            # An answer of a process that a reload has replaced since the connection was used.
            began = self._used
        self._used = time.monotonic()
        place = answer.body.decode()
        if answer.status != 200:
            raise WrongAnswer(f"{answer.status} {place[:60]!r}")
        _must_be_allowed(self._truth, place, began)
        _must_stay(self._truth, self._cookie, place, began)
        found = re.match(r"SERVERID=([^;]+)", answer.headers.get("set-cookie", ""))
        if found:
            self._cookie = found[1]

    def end(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _at_hand(self) -> H2Client:
        """The connection, or a new one where the server has said good-bye meanwhile."""
        if self._connection is not None:
            try:
                self._connection.listen()
            except EOFError:
                if not self._connection.leaving:
                    raise
            if self._connection.leaving:
                self.end()
        if self._connection is None:
            self._used = 0.0
            self._connection = self._connect()
        return self._connection


class NewH2(Client):
    """A GET by HTTP/2 on a new connection each time, with a handshake of TLS each."""

    def __init__(
        self, port: int, truth: Truth, context: ssl.SSLContext, *, pause: float = 0.02
    ) -> None:
        super().__init__("new h2 connections", pause=pause)
        self._connect, self._truth = partial(H2Client, port, context), truth

    def step(self) -> None:
        began = time.monotonic()
        connection = self._connect()
        try:
            answer = connection.get()
        finally:
            connection.close()
        if answer.status != 200:
            raise WrongAnswer(f"{answer.status} {answer.body[:60]!r}")
        _must_be_allowed(self._truth, answer.body.decode(), began)


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
        _must_be_allowed(self._truth, place, began)


class SteadyWrk:
    """`wrk` at a bounded rate, from the beginning of a `with` block to its end."""

    def __init__(self, port: int, folder: Path, *, keep_alive: bool, scheme: str = "http") -> None:
        self.name = f"wrk, {scheme}, {'kept' if keep_alive else 'new'} connections"
        self.done = 0
        self.failed: list[str] = []
        self.cut: list[str] = []
        script = folder / f"wrk-{keep_alive}.lua"
        script.write_text(_KEPT if keep_alive else _NEW)
        self._command = [
            program("wrk"), "-t1", "-c8", "-d1h", "--timeout", f"{SECONDS:g}s", "-s", str(script),
            f"{scheme}://127.0.0.1:{port}/",
        ]  # fmt: skip
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> SteadyWrk:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        said, _err = self._process.communicate(timeout=60)
        found = re.search(r"(\d+) requests in", said)
        assert found is not None, said
        self.done = int(found[1])
        errors = re.search(r"Socket errors: (.*)", said)
        for kind, count in re.findall(r"(\w+) (\d+)", errors[1] if errors else ""):
            self.cut += [f"{self.name}: {kind}"] * int(count)
        refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
        if refused:
            self.failed += [f"{self.name}: an answer that is not 2xx"] * int(refused[1])


# Each connection of wrk waits a little, else nothing is left of the machine for the changes.
_NEW = """\
wrk.headers["Connection"] = "close"
function delay() return 8 end
"""
_KEPT = """\
local plain, asked = nil, 0
local cookie = ""
function init()
  plain = wrk.format("GET", "/")
end
function delay() return 4 end
function request()
  asked = asked + 1
  if asked % 100 == 0 then cookie = "" end
  if cookie == "" then return plain end
  return wrk.format("GET", "/", {["Host"] = "x", ["Cookie"] = "SERVERID=" .. cookie})
end
function response(status, headers)
  local given = headers["Set-Cookie"] or headers["set-cookie"]
  if given then cookie = string.match(given, "SERVERID=([^;]+)") or "" end
end
"""


@contextlib.contextmanager
def at_work(*clients: Client | SteadyWrk) -> Iterator[None]:
    """Have clients go on inside the block."""
    with contextlib.ExitStack() as stack:
        for client in clients:
            stack.enter_context(client)
        yield


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


def _must_be_allowed(truth: Truth, place: str, began: float) -> None:
    if not truth.may_answer(place, since=began):
        raise WrongAnswer(f"{place!r} answered, which is no member any more, or not yet")


def _must_stay(truth: Truth, cookie: str, place: str, began: float) -> None:
    """A client with the cookie of a member that was there all the time gets its answer."""
    if not cookie:
        return
    number = int(cookie.removeprefix("id-"))
    came_to = int(place.removeprefix("m").partition("-")[0])
    if came_to != number and truth.was_there(number, since=began):
        raise WrongAnswer(f"{place!r} answered a client of {cookie}")
