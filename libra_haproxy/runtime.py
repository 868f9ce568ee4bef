"""Talks to a HAProxy process through its sockets: one command, one connection, one deadline.

Two kinds of socket answer differently (management guide, 9.3 and 9.4): a worker closes after one
line; the master keeps the connection open, so `quit` goes along. Every call raises
`HaproxyTimeout` when a living process does not answer in time and `HaproxyDown` when there is
nobody to ask.
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from libra_haproxy.deadline import Deadline
from libra_haproxy.errors import HaproxyDown, HaproxyTimeout
from libra_haproxy.readings import (
    Activity,
    Processes,
    ServerRow,
    Snapshot,
    parse_activity,
    parse_digest,
    parse_pid,
    parse_processes,
    parse_release,
    parse_servers,
    parse_snapshot,
)

ANSWER_SECONDS = 4.0
"""How long a HAProxy may think; a hung one is reported before the caller's five seconds end."""

_REPLACING_SECONDS = 1.0
"""How long a master may be away while it replaces itself."""

_DIGEST = "get var proc.libra"
_SERVERS = "show servers state"
_EVERYTHING = f"{_DIGEST};{_SERVERS};show stat -1 1 -1"

_HANDING_OVER_SECONDS = 0.005
"""After this a process that is being replaced may have left its socket."""

_OWN = "GLOBAL"
"""The frontend of HAProxy's own sockets."""

_SAFE_PAYLOAD = re.compile(r"([A-Za-z0-9+/= -]+\n)+", re.ASCII)  # an empty line would end it

_SAFE_COMMAND = re.compile(r"[A-Za-z0-9_.:/@!|#()\[\], -]+", re.ASCII)


class Asked:
    """One line that is on its way to the socket at `path`; `answer` is to be called once.

    So that something else can be done while HAProxy thinks. A `payload` is PEM that the command
    takes (management guide, 9.3 on payloads).
    """

    def __init__(self, path: Path, line: str, *, deadline: Deadline, payload: str = "") -> None:
        if not _SAFE_COMMAND.fullmatch(line.replace(";", " ")):
            raise ValueError(f"not a plain runtime command: {line!r}")
        if payload:
            if not _SAFE_PAYLOAD.fullmatch(payload):
                raise ValueError("not a plain payload of a runtime command")
            line = f"{line} <<\n{payload}"
        self._connection = socket.socket(socket.AF_UNIX)
        with self._in_our_words():
            self._within(socket.SO_SNDTIMEO, deadline)
            self._connection.connect(str(path))
            self._connection.sendall(f"{line}\n".encode("ascii"))
            # The master socket waits for more unless told that there is none.
            self._connection.shutdown(socket.SHUT_WR)

    def answer(self, *, deadline: Deadline) -> str:
        """Wait for all of it."""
        chunks = []
        with self._in_our_words(), self._connection:
            while True:
                self._within(socket.SO_RCVTIMEO, deadline)
                chunk = self._connection.recv(65536)
                if not chunk:
                    break
                chunks.append(chunk)
        return b"".join(chunks).decode("utf-8", "replace")

    def _within(self, option: int, deadline: Deadline) -> None:
        """Bound what waits; by the kernel, since Python would poll before each call.

        Every call that may wait lets other threads go first.
        """
        left = max(deadline.left, 0.001)
        time_value = struct.pack("@ll", int(left), int(left % 1 * 1_000_000))
        self._connection.setsockopt(socket.SOL_SOCKET, option, time_value)

    @contextlib.contextmanager
    def _in_our_words(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._connection.close()
            if isinstance(error, TimeoutError | BlockingIOError):
                raise HaproxyTimeout("HAProxy does not answer on its socket") from error
            raise HaproxyDown(f"no HAProxy answers on its socket: {error.strerror}") from error


def ask(path: Path, line: str, *, deadline: Deadline, payload: str = "") -> str:
    """Send one line to the socket at `path` and return the whole answer; else as `Asked`."""
    return Asked(path, line, payload=payload, deadline=deadline).answer(deadline=deadline)


class Worker:
    """The serving process, through its own socket.

    One that was replaced goes on answering there for a moment. So each line asks who answers, and
    what a replaced process says of itself, or has done, counts for nothing: it is asked again.
    """

    def __init__(self, *, socket_path: Path, seconds: float = ANSWER_SECONDS) -> None:
        self._path = socket_path
        self._seconds = seconds
        self._replaced: int | None = None

    def replaced(self, pid: int) -> None:
        """From now on another process than `pid` serves."""
        self._replaced = pid

    def ask(self, line: str, *, payload: str = "") -> str:
        """Have one line of commands, which must bear repeating, carried out; gives the answer."""
        return self._ask(line, payload=payload)()[1]

    def _ask(
        self, line: str, *, payload: str = "", seconds: float | None = None
    ) -> Callable[[], tuple[int, str]]:
        """Send a line; what this gives waits for the answer, and for who gave it."""
        question = f"show info;{line}"
        patience = self._seconds if seconds is None else seconds

        def sent() -> Asked:
            deadline = Deadline.after(patience)
            return Asked(self._path, question, payload=payload, deadline=deadline)

        asked = sent()

        def answered() -> tuple[int, str]:
            nonlocal asked
            # From now on: what was done meanwhile is not HAProxy's fault.
            deadline = Deadline.after(patience)
            while True:
                who, _, said = asked.answer(deadline=deadline).partition("\n\n")
                pid = parse_pid(who)
                if pid != self._replaced:
                    return pid, said
                if deadline.passed:
                    raise HaproxyTimeout(f"process {pid} was replaced and stays on its socket")
                time.sleep(_HANDING_OVER_SECONDS)
                asked = sent()

        return answered

    def pid_and_digest(self) -> tuple[int, str | None]:
        """Which process answers, and the digest of the text it was started from."""
        return self.pid_and_digest_soon()()

    def pid_and_digest_soon(self) -> Callable[[], tuple[int, str | None]]:
        """Ask for them now; what this gives waits for the answer."""
        asked = self._ask(_DIGEST)

        def answered() -> tuple[int, str | None]:
            pid, said = asked()
            return pid, parse_digest(said)

        return answered

    def glance(self, *, seconds: float) -> tuple[str | None, str]:
        """The digest of the text it was started from, and its release; asked within `seconds`."""
        _, said = self._ask(f"{_DIGEST};show version", seconds=seconds)()
        return parse_digest(said), parse_release(said)

    def servers(self) -> tuple[ServerRow, ...]:
        """Every server of every backend that is not disabled."""
        return parse_servers(self.server_states())

    def server_states(self) -> str:
        """The same in HAProxy's own words."""
        return self.ask(_SERVERS)

    def change(self, lines: Iterable[str]) -> tuple[str, Snapshot]:
        """Carry out lines of commands, and look; returns what HAProxy said and what it is now."""
        return self.change_soon(lines)()

    def change_soon(self, lines: Iterable[str]) -> Callable[[], tuple[str, Snapshot]]:
        """Send them all now; what this gives waits until they are carried out, and looks.

        Looking goes with the last line: commands of one connection are carried out in order.
        """
        *first, last = lines
        before = self.run(first)
        asked = self._ask(f"{last};{_EVERYTHING}")

        def answered() -> tuple[str, Snapshot]:
            pid, answer = asked()
            words, mark, seen = answer.rpartition("proc.libra: ")
            said = "; ".join(part for part in (before, *words.splitlines()) if part.strip())
            return said, parse_snapshot(pid, mark + seen)

        return answered

    def look(self) -> Snapshot:
        """All there is to know of what it serves, in one answer."""
        return parse_snapshot(*self._ask(_EVERYTHING)())

    def activity(self) -> Activity:
        """How each server is, and what each frontend does."""
        return parse_activity(self.ask("show stat -1 5 -1"))

    def disable_frontend(self, name: str) -> None:
        """Close a frontend's listeners until the next reload; one that is not there is fine."""
        self.ask(f"disable frontend {name}")

    def run(self, lines: Iterable[str]) -> str:
        """Carry out lines of commands; returns what HAProxy said, for the log: empty is good."""
        return "; ".join(
            said for line in lines for said in self.ask(line).splitlines() if said.strip()
        )


class Master:
    """The parent of all workers, through the master socket."""

    def __init__(self, *, socket_path: Path, seconds: float = ANSWER_SECONDS) -> None:
        self._path = socket_path
        self._seconds = seconds

    def _ask(self, line: str, *, says_something: bool = False) -> str:
        """Ask; a master replaces itself at each start and reload, and is away meanwhile.

        A question that `says_something` is asked again while nothing comes back.
        """
        deadline = Deadline.after(self._seconds)
        patience = Deadline.after(min(self._seconds, _REPLACING_SECONDS))
        while True:
            try:
                answer = ask(self._path, f"{line};quit", deadline=deadline)
                if answer or not says_something or patience.passed:
                    return answer
            except HaproxyDown:
                if patience.passed:
                    raise
            time.sleep(0.02)

    def reload(self) -> str:
        """Ask for a reload; 2.6 answers nothing, 2.7 and later with a verdict and its reasons."""
        return ask(self._path, "reload", deadline=Deadline.after(self._seconds))

    def processes(self) -> Processes:
        """The process table (`show proc`, management guide 9.4)."""
        return parse_processes(self._ask("show proc", says_something=True))

    def end_sessions(self, pid: int, *, frontends: Sequence[str] | None = None) -> int:
        """Cut every session of `frontends`, or of all, in the worker `pid`; returns their number.

        Those of HAProxy's own sockets go on: the keeper reads the process by one.
        """
        sessions = self._ask(f"@!{pid} show sess")
        found = re.findall(r"^(0x[0-9a-f]+): .*? fe=([A-Za-z0-9_.-]+) ", sessions, re.MULTILINE)
        ours = [
            session
            for session, frontend in found
            if (frontend != _OWN if frontends is None else frontend in frontends)
        ]
        for session in ours:
            self._ask(f"@!{pid} shutdown session {session}")
        return len(ours)
