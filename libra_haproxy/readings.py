"""What the answers of HAProxy mean (management guide, 9.3 and 9.4). Pure: text in, values out."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

from libra_haproxy.errors import EngineError

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


@dataclass(frozen=True, kw_only=True)
class Activity:
    """How servers are and what frontends do, at one time.

    `servers` has HAProxy's own word for each (backend, server): `UP`, `DOWN 1/2`, `MAINT`, `no
    check`; `rates` the requests of each frontend in the last second, or connections where those
    are all it sees.
    """

    servers: Mapping[tuple[str, str], str]
    rates: Mapping[str, int]


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


def parse_pid(answer: str) -> int:
    """The process's id, of the answer to `show info`."""
    pid = re.search(r"^Pid: (\d+)$", answer, re.MULTILINE)
    if pid is None:
        raise UnexpectedAnswer(f"show info: {answer[:200]!r}")
    return int(pid[1])


def parse_digest(answer: str) -> str | None:
    """The digest of the process's text, of the answer to `get var`; None where it has none."""
    digest = re.search(r"^proc\.libra: type=str value=<([0-9a-f]+)>$", answer, re.MULTILINE)
    return digest[1] if digest else None


def parse_release(answer: str) -> str:
    """HAProxy's release, of the answer to `show version`, after whatever else was asked for."""
    release = re.findall(r"^(\d\S*)$", answer, re.MULTILINE)
    return release[-1] if release else ""


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


def parse_activity(answer: str) -> Activity:
    """Read what `show stat` says of frontends and servers (management guide, 9.1)."""
    rows = parse_stat(answer)
    frontends = [row for row in rows if row["svname"] == "FRONTEND"]
    return Activity(
        servers={(row["pxname"], row["svname"]): row["status"] for row in rows},
        rates={row["pxname"]: int(row["req_rate"] or row["rate"] or 0) for row in frontends},
    )


def parse_snapshot(pid: int, answer: str) -> Snapshot:
    """Read what the process `pid` says of its variable, servers and frontends, in this order.

    An empty line ends each command's.
    """
    variable, _, rest = answer.partition("\n1\n# be_id")
    servers, _, stat = rest.partition("\n# pxname")
    rows = parse_stat(f"# pxname{stat}")
    return Snapshot(
        pid=pid,
        digest=parse_digest(variable),
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
