"""The state of everything that gearman servers know: nodes, pool managers, provider agents.

Servers are asked at the same time, and so are all nodes, each once on one connection; what does
not answer in time is told as that and keeps nothing else waiting.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from libra_common.jobs import AdminClient, GearmanServer, JobError, NoServer, TlsFiles, ask_many

POOL_MANAGER, PROVIDER = "libra_pool_mgm", "libra_octavia"
"""Functions that are no node's: the pool manager's and the provider agent's."""

_QUESTIONS = ("DISCOVER", "STATS")


class Kind(StrEnum):
    """What serves a function."""

    NODE = "node"
    POOL_MANAGER = "pool manager"
    PROVIDER = "provider agent"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One function, over all servers.

    `slots` are the registered ones, `queued` the jobs that wait, `running` those that are done
    now. The others are a node's own words, None where it has none; `nodes_up` of `nodes` are the
    members that get traffic, `error` says why it could not be asked.
    """

    name: str
    kind: Kind
    slots: int
    queued: int
    running: int
    servers: tuple[str, ...] = ()
    release: str | None = None
    lb_status: str | None = None
    generation: int | None = None
    load_balancers: int | None = None
    nodes: int | None = None
    nodes_up: int | None = None
    requests_per_second: float | None = None
    error: str | None = None

    @property
    def well(self) -> bool:
        """Registered, answering, and with a member left for each load balancer that has any."""
        if not self.slots or self.error is not None:
            return False
        return not self.nodes or bool(self.nodes_up) or self.lb_status != "ACTIVE"


@dataclass(frozen=True, kw_only=True)
class Status:
    """All rows by kind and name, and the servers that did not answer, with the reason."""

    rows: tuple[Row, ...]
    away: Mapping[str, str] = field(default_factory=dict)

    @property
    def well(self) -> bool:
        """Every server answers and every row is well."""
        return not self.away and all(row.well for row in self.rows)


def status(
    servers: Sequence[GearmanServer],
    *,
    tls: TlsFiles | None,
    timeout: float,
    names: Iterable[str] = (),
) -> Status:
    """Ask everything; `timeout` seconds for the servers and as many again for the nodes.

    `names` are the functions wanted, none for all; one that no server knows is a row without
    slots.
    """
    wanted = set(names)
    known: dict[str, _Known] = {}
    away: dict[str, str] = {}
    with ThreadPoolExecutor(max(1, len(servers))) as threads:
        looks = [threads.submit(_look, server, tls, timeout) for server in servers]
        for server, look in zip(servers, looks, strict=True):
            try:
                found = look.result()
            except NoServer as error:
                away[str(server)] = str(error)
                continue
            for name, counts in found.items():
                if not wanted or name in wanted:
                    known.setdefault(name, _Known(name)).add(server, counts)
        for name in wanted - known.keys():
            known[name] = _Known(name)
        told = _told(threads, known.values(), tls, timeout)
    rows = [one.row(told.get(name, {})) for name, one in known.items()]
    return Status(rows=tuple(sorted(rows, key=lambda row: (row.kind, row.name))), away=away)


@dataclass(frozen=True)
class _Counts:
    slots: int
    queued: int
    running: int


class _Known:
    """One function as servers know it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.at: dict[GearmanServer, _Counts] = {}

    def add(self, server: GearmanServer, counts: _Counts) -> None:
        self.at[server] = counts

    @property
    def kind(self) -> Kind:
        return {POOL_MANAGER: Kind.POOL_MANAGER, PROVIDER: Kind.PROVIDER}.get(self.name, Kind.NODE)

    @property
    def asked_at(self) -> GearmanServer | None:
        """The first server at which somebody would answer."""
        if self.kind is not Kind.NODE:
            return None
        return next((server for server, counts in self.at.items() if counts.slots), None)

    def row(self, told: Mapping[str, Any]) -> Row:
        return Row(
            name=self.name,
            kind=self.kind,
            slots=sum(counts.slots for counts in self.at.values()),
            queued=sum(counts.queued for counts in self.at.values()),
            running=sum(counts.running for counts in self.at.values()),
            servers=tuple(str(server) for server, counts in self.at.items() if counts.slots),
            **told,
        )


def _look(server: GearmanServer, tls: TlsFiles | None, timeout: float) -> Mapping[str, _Counts]:
    """What a server knows; a function whose workers have all gone is kept while jobs wait."""
    found = AdminClient(server=server, tls=tls, timeout=timeout).status()
    return {
        one.name: _Counts(slots=one.workers, queued=one.total - one.running, running=one.running)
        for one in found
        if one.workers or one.total
    }


def _told(
    threads: ThreadPoolExecutor, known: Iterable[_Known], tls: TlsFiles | None, timeout: float
) -> Mapping[str, Mapping[str, Any]]:
    """What each node says of itself, by name."""
    by_server: dict[GearmanServer, list[str]] = {}
    for one in known:
        if one.asked_at is not None:
            by_server.setdefault(one.asked_at, []).append(one.name)

    def ask(server: GearmanServer, names: list[str]) -> Mapping[str, Mapping[str, Any]]:
        questions = [
            (name, json.dumps({"hpcs_action": action}).encode())
            for name in names
            for action in _QUESTIONS
        ]
        try:
            answers = iter(ask_many(server, questions, tls=tls, timeout=timeout))
        except JobError as error:
            return {name: {"error": str(error)} for name in names}
        return {name: told_by(next(answers), next(answers)) for name in names}

    found: dict[str, Mapping[str, Any]] = {}
    for part in threads.map(ask, by_server.keys(), by_server.values()):
        found |= part
    return found


def told_by(discovered: bytes | JobError, stats: bytes | JobError) -> Mapping[str, Any]:
    """What a node's two answers come to, as fields of its `Row`. Pure."""
    if isinstance(discovered, JobError):
        return {"error": str(discovered)}
    found = _fields(discovered)
    if found is None:
        return {"error": "it does not answer as a node of Libra"}
    told: dict[str, Any] = {
        "release": _text(found.get("release")),
        "lb_status": _text(found.get("lb_status")),
    }
    counted = None if isinstance(stats, JobError) else _fields(stats)
    if counted is None:
        return {**told, "error": str(stats) if isinstance(stats, JobError) else "no STATS"}
    if counted.get("hpcs_response") != "PASS":
        if counted.get("hpcs_error_code") in ("no_load_balancer", "deleted"):
            return told
        return {**told, "error": _text(counted.get("hpcs_error")) or "STATS failed"}
    nodes = [one for one in _list(counted.get("nodes")) if isinstance(one, dict)]
    balancers = [one for one in _list(counted.get("load_balancers")) if isinstance(one, dict)]
    rates = [rate for one in balancers if (rate := _number(one.get("requests_per_second")))]
    generation = counted.get("generation")
    return {
        **told,
        "generation": generation if isinstance(generation, int) else None,
        "load_balancers": len(balancers),
        "nodes": len(nodes),
        "nodes_up": sum(one.get("status") in ("UP", "NOLB") for one in nodes),
        "requests_per_second": float(sum(rates)),
    }


def _fields(answer: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
