"""Talks to a HAProxy process through its sockets: one command, one connection, one deadline.

Two kinds of socket answer differently (management guide, 9.3 and 9.4): a worker closes after one
line; the master keeps the connection open, so `quit` goes along. Every call raises
`HaproxyTimeout` when a living process does not answer in time and `HaproxyDown` when there is
nobody to ask.
"""

from __future__ import annotations

import csv
import re
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

from libra_haproxy.deadline import Deadline
from libra_haproxy.errors import EngineError, HaproxyDown, HaproxyTimeout

ANSWER_SECONDS = 4.0
"""How long a HAProxy may think; a hung one is reported before the caller's five seconds end."""

_REPLACING_SECONDS = 1.0
"""How long a master may be away while it replaces itself."""

_INFO = "show info;get var proc.libra"
_SERVERS = "show servers state"
_EVERYTHING = f"{_INFO};{_SERVERS};show stat -1 1 -1"

_SERVER_COLUMNS = (
    "be_name",
    "srv_name",
    "srv_id",
    "srv_addr",
    "srv_port",
    "srv_uweight",
    "srv_admin_state",
    "srv_op_state",
)

_OWN = "GLOBAL"
"""The frontend of HAProxy's own sockets."""

_SAFE_PAYLOAD = re.compile(r"([A-Za-z0-9+/= -]+\n)+", re.ASCII)  # an empty line would end it

_SAFE_COMMAND = re.compile(r"[A-Za-z0-9_.:/@!|#()\[\], -]+", re.ASCII)


class UnexpectedAnswer(EngineError):
    """HAProxy answered, but not in a form that is understood; the text holds the answer."""

    code = "not_in_force"


@dataclass(frozen=True)
class ServerRow:
    """One server as HAProxy runs it (`show servers state`, management guide 9.3)."""

    backend: str
    name: str
    number: int
    address: str
    port: int
    weight: int
    maintenance: bool
    down: bool = False


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What the serving process says of itself in one answer, at one time.

    `digest` is that of the text it serves, `frontends` has each one's status by its name.
    """

    pid: int
    digest: str | None
    servers: tuple[ServerRow, ...]
    frontends: Mapping[str, str]


@dataclass(frozen=True)
class Process:
    """One process of a master's `show proc`; `reloads` counts those it has outlived."""

    pid: int
    reloads: int


@dataclass(frozen=True)
class Processes:
    """What a master knows: reloads so far, whether the last failed, its workers new and old."""

    master: Process
    failed: int
    workers: tuple[Process, ...]
    old_workers: tuple[Process, ...]


def ask(path: Path, line: str, *, deadline: Deadline, payload: str = "") -> str:
    """Send one line to the socket at `path` and return the whole answer.

    A `payload` is PEM that the command takes (management guide, 9.3 on payloads).
    """
    if not _SAFE_COMMAND.fullmatch(line.replace(";", " ")):
        raise ValueError(f"not a plain runtime command: {line!r}")
    if payload:
        if not _SAFE_PAYLOAD.fullmatch(payload):
            raise ValueError("not a plain payload of a runtime command")
        line = f"{line} <<\n{payload}"
    chunks = []
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(max(deadline.left, 0.001))
            connection.connect(str(path))
            connection.sendall(f"{line}\n".encode("ascii"))
            # The master socket waits for more unless told that there is none.
            connection.shutdown(socket.SHUT_WR)
            while True:
                connection.settimeout(max(deadline.left, 0.001))
                chunk = connection.recv(65536)
                if not chunk:
                    break
                chunks.append(chunk)
    except (TimeoutError, BlockingIOError) as error:
        raise HaproxyTimeout("HAProxy does not answer on its socket") from error
    except OSError as error:
        raise HaproxyDown(f"no HAProxy answers on its socket: {error.strerror}") from error
    return b"".join(chunks).decode("utf-8", "replace")


class Worker:
    """The serving process, through its own socket."""

    def __init__(self, *, socket_path: Path, seconds: float = ANSWER_SECONDS) -> None:
        self._path = socket_path
        self._seconds = seconds

    def _ask(self, line: str) -> str:
        return ask(self._path, line, deadline=Deadline.after(self._seconds))

    def pid_and_digest(self) -> tuple[int, str | None]:
        """Which process answers, and the digest of the text it was started from."""
        return parse_info(self._ask(_INFO))

    def servers(self) -> tuple[ServerRow, ...]:
        """Every server of every backend that is not disabled."""
        return parse_servers(self.server_states())

    def server_states(self) -> str:
        """The same in HAProxy's own words."""
        return self._ask(_SERVERS)

    def change(self, lines: Iterable[str]) -> tuple[str, Snapshot]:
        """Carry out lines of commands, and look; returns what HAProxy said and what it is now.

        Looking goes with the last line: commands of one connection are carried out in order.
        """
        *first, last = lines
        said = self.run(first)
        answer = self._ask(f"{last};{_EVERYTHING}")
        words, _, seen = answer.rpartition("\nName: ")
        said = "; ".join(part for part in (said, *words.splitlines()) if part.strip())
        return said, parse_snapshot(f"Name: {seen}")

    def look(self) -> Snapshot:
        """All there is to know of what it serves, in one answer."""
        return parse_snapshot(self._ask(_EVERYTHING))

    def server_status(self) -> dict[tuple[str, str], str]:
        """HAProxy's own word for each (backend, server): `UP`, `DOWN 1/2`, `MAINT`, `no check`."""
        return {(row["pxname"], row["svname"]): row["status"] for row in self._stat("-1 4 -1")}

    def disable_frontend(self, name: str) -> None:
        """Close a frontend's listeners until the next reload; one that is not there is fine."""
        self._ask(f"disable frontend {name}")

    def run(self, lines: Iterable[str]) -> str:
        """Carry out lines of commands; returns what HAProxy said, for the log: empty is good."""
        return "; ".join(
            said for line in lines for said in self._ask(line).splitlines() if said.strip()
        )

    def _stat(self, what: str) -> Sequence[dict[str, str]]:
        """Rows of `show stat`, by column name, never by position."""
        return parse_stat(self._ask(f"show stat {what}"))


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


def parse_info(answer: str) -> tuple[int, str | None]:
    """The process's id and the digest of its text."""
    pid = re.search(r"^Pid: (\d+)$", answer, re.MULTILINE)
    if pid is None:
        raise UnexpectedAnswer(f"show info: {answer[:200]!r}")
    digest = re.search(r"^proc\.libra: type=str value=<([0-9a-f]+)>$", answer, re.MULTILINE)
    return int(pid[1]), digest[1] if digest else None


def parse_servers(answer: str) -> tuple[ServerRow, ...]:
    """Read `show servers state`: the format's number, a header, one row a server."""
    head, _, rest = answer.partition("# ")
    names, *rows = rest.splitlines() or [""]
    if head.strip() != "1" or not names:
        raise UnexpectedAnswer(f"show servers state: {answer[:200]!r}")
    try:
        pick = itemgetter(*(names.split(" ").index(name) for name in _SERVER_COLUMNS))
        return tuple(_server(*pick(row.split(" "))) for row in rows if row)
    except (ValueError, IndexError) as error:
        raise UnexpectedAnswer(f"show servers state: {answer[:200]!r}") from error


def _server(
    backend: str, name: str, number: str, address: str, port: str, weight: str, admin: str, op: str
) -> ServerRow:
    """One row, its words in the order of `_SERVER_COLUMNS`."""
    return ServerRow(
        backend=backend,
        name=name,
        number=int(number),
        address=address,
        port=int(port),
        weight=int(weight),
        # Bits of srv_admin_state: 0x01 forced, 0x02 inherited, 0x20 by resolution; 0x04 only says
        # that the file had it disabled, which may be long ago.
        maintenance=bool(int(admin) & 0x23),
        down=op == "0",
    )


def parse_stat(answer: str) -> Sequence[dict[str, str]]:
    """Rows of `show stat`, by column name, never by position."""
    if not answer.startswith("# pxname"):
        raise UnexpectedAnswer(f"show stat: {answer[:200]!r}")
    return list(csv.DictReader(line for line in answer[2:].splitlines() if line))


def parse_snapshot(answer: str) -> Snapshot:
    """Read the answer to everything at once; an empty line ends each command's."""
    info, _, rest = answer.partition("\n1\n# be_id")
    servers, _, stat = rest.partition("\n# pxname")
    pid, digest = parse_info(info)
    rows = parse_stat(f"# pxname{stat}")
    return Snapshot(
        pid=pid,
        digest=digest,
        servers=parse_servers(f"1\n# be_id{servers}"),
        frontends={row["pxname"]: row["status"] for row in rows},
    )


def parse_processes(answer: str) -> Processes:
    """Read the answer to `show proc`. Raises UnexpectedAnswer where there is no master in it."""
    section = ""
    master: Process | None = None
    failed = 0
    rows: dict[str, list[Process]] = {}
    for line in answer.splitlines():
        if line.startswith("# "):
            section = line[2:].strip()
            continue
        match = re.match(r"(\d+)\s+(\S+)\s+(\d+)(?:\s+\[failed: (\d+)\])?", line)
        if match is None:
            continue
        process = Process(int(match[1]), int(match[3]))
        if match[2] == "master":
            master, failed = process, int(match[4] or 0)
        elif match[2] == "worker":
            rows.setdefault(section, []).append(process)
    if master is None:
        raise UnexpectedAnswer(f"show proc: {answer[:200]!r}")
    return Processes(
        master, failed, tuple(rows.get("workers", ())), tuple(rows.get("old workers", ()))
    )
