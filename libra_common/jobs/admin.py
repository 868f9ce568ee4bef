"""Asking a gearman server about itself, by its text protocol: for diagnostics and tests."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass

from libra_common.jobs.dial import CONNECT_TIMEOUT, dial
from libra_common.jobs.errors import NoServer
from libra_common.jobs.servers import GearmanServer, TlsFiles

_REFUSAL = b"ERR "
_ANSWER_LIMIT = 16 * 1024 * 1024  # bytes; 100,000 workers' lines are half of it


class AdminRefused(NoServer):
    """The server, or the gate before it, does not answer this question to us."""


@dataclass(frozen=True, slots=True)
class FunctionStatus:
    """One function's queue; `total` includes the running jobs."""

    name: str
    total: int
    running: int
    workers: int


@dataclass(frozen=True, slots=True)
class WorkerLine:
    """One connection to the server; `client_id` is "-" for one that gave none."""

    address: str
    client_id: str
    functions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminClient:
    """Questions to one server, each on its own connection, within `timeout` seconds.

    Every method raises NoServer, with the reason, when the server cannot be reached, does not
    answer in time or answers something else.
    """

    server: GearmanServer
    tls: TlsFiles | None = None
    timeout: float = CONNECT_TIMEOUT

    def version(self) -> str:
        """Return the server's version."""
        word, _, version = self._ask("version", b"\n").strip().partition(" ")
        if word != "OK":
            raise NoServer(f"{self.server} does not answer as a gearman server: {word[:80]!r}")
        return version

    def status(self) -> tuple[FunctionStatus, ...]:
        """List the functions that the server has heard of; they stay when their workers leave."""
        found = []
        for line in self._listing("status"):
            name, *counts = line.split("\t")
            try:
                total, running, workers = map(int, counts)
            except ValueError:
                raise self._strange(line) from None
            found.append(FunctionStatus(name, total, running, workers))
        return tuple(found)

    def workers(self) -> tuple[WorkerLine, ...]:
        """List the connections, with the functions that each one serves."""
        found = []
        for line in self._listing("workers"):
            head, colon, functions = line.partition(" :")
            words = head.split(" ")
            if not colon or len(words) != 3:
                raise self._strange(line)
            found.append(WorkerLine(words[1], words[2], tuple(functions.split())))
        return tuple(found)

    def _listing(self, command: str) -> list[str]:
        return self._ask(command, b".\n").removesuffix(".\n").splitlines()

    def _ask(self, command: str, end: bytes) -> str:
        deadline = time.monotonic() + self.timeout
        try:
            with dial(self.server, tls=self.tls, timeout=self.timeout) as opened:
                opened.settimeout(max(0.001, deadline - time.monotonic()))
                opened.sendall(command.encode() + b"\n")
                answer = _until(opened, end, deadline).decode("utf-8", "replace")
        except OSError as error:
            raise NoServer(f"gearman server {self.server}: {error}") from error
        if answer.startswith(_REFUSAL.decode()):
            raise AdminRefused(f"gearman server {self.server}: {answer.strip()}")
        return answer

    def _strange(self, line: str) -> NoServer:
        return NoServer(f"gearman server {self.server} answers strangely: {line[:80]!r}")


def probe(
    server: GearmanServer, tls: TlsFiles | None = None, timeout: float = CONNECT_TIMEOUT
) -> str:
    """Return the version of a server that answers within `timeout` seconds; raises NoServer."""
    return AdminClient(server=server, tls=tls, timeout=timeout).version()


def _until(opened: socket.socket, end: bytes, deadline: float) -> bytes:
    """Read up to `end`, at the start of a line when it is a dot; raises OSError."""
    answer = bytearray()
    while not (_refused(answer) or _ended(answer, end)):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("it does not answer in time")
        opened.settimeout(left)
        chunk = opened.recv(65536)
        if not chunk:
            raise ConnectionResetError("it closed the connection before its answer was whole")
        answer += chunk
        if len(answer) > _ANSWER_LIMIT:
            raise ConnectionAbortedError("its answer does not end")
    return bytes(answer)


def _ended(answer: bytearray, end: bytes) -> bool:
    return answer.endswith(b"\n" + end) or answer == end or (end == b"\n" and b"\n" in answer)


def _refused(answer: bytearray) -> bool:
    return answer.startswith(_REFUSAL) and answer.endswith(b"\n")
