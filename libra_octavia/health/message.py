"""What a heartbeat says, read strictly: sizes, types and names. Pure.

Octavia's forms, by `ver`: below 2 the pools are inside of their listeners; 2 has totals; 3 has
what came since the heartbeat before. Libra's own agents send 2, and `boot`, which grows with each
start of the agent.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from libra_octavia.health.envelope import BadDatagram
from libra_octavia.health.order import Place
from libra_octavia.inventory import Counts

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
_WORD = re.compile(r"[ -~]{0,40}", re.ASCII)
_MOST = 2**63 - 1
_NEWEST = 3
_FIELDS = {
    "active_connections": "conns",
    "bytes_in": "rx",
    "bytes_out": "tx",
    "request_errors": "ereq",
    "total_connections": "totconns",
}


@dataclass(frozen=True, kw_only=True)
class Backend:
    """A pool as one listener uses it: HAProxy's word for it, and for each member by its id."""

    pool: str
    listener: str
    status: str
    members: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Words:
    """HAProxy's words for listeners, by id, and for backends."""

    listeners: Mapping[str, str]
    backends: tuple[Backend, ...] = ()

    def text(self) -> str:
        """The same words, always as the same text."""
        backends = [
            [one.pool, one.listener, one.status, dict(sorted(one.members.items()))]
            for one in sorted(self.backends, key=lambda one: (one.pool, one.listener))
        ]
        return json.dumps([dict(sorted(self.listeners.items())), backends], separators=(",", ":"))

    @staticmethod
    def of(text: str) -> Words:
        """The words that `text` gave."""
        listeners, backends = json.loads(text)
        return Words(
            listeners=listeners,
            backends=tuple(
                Backend(pool=pool, listener=listener, status=status, members=members)
                for pool, listener, status, members in backends
            ),
        )


@dataclass(frozen=True, kw_only=True)
class Beat:
    """One heartbeat. `counts` are of listeners by id, totals unless `deltas`."""

    amphora_id: str
    place: Place
    words: Words
    counts: Mapping[str, Counts]
    deltas: bool = False

    @property
    def digest(self) -> str:
        """The SHA-256 of the words."""
        return hashlib.sha256(self.words.text().encode()).hexdigest()


def read(payload: bytes) -> Beat:
    """The heartbeat that JSON holds. Raises BadDatagram."""
    try:
        said = json.loads(payload)
    except (ValueError, RecursionError):
        raise BadDatagram("holds no JSON") from None
    top = _object(said, "the whole")
    version = _number(top.get("ver", 0), "ver")
    if version > _NEWEST:
        raise BadDatagram(f"is of version {version}, and {_NEWEST} is the newest known")
    listeners = _named(top.get("listeners", {}), "listeners")
    boot = top.get("boot")
    return Beat(
        amphora_id=_id(top.get("id"), "id"),
        place=Place(
            boot=None if boot is None else _number(boot, "boot"),
            sequence=_number(top.get("seq", 0), "seq"),
        ),
        words=Words(
            listeners={name: _word(one.get("status")) for name, one in listeners.items()},
            backends=tuple(_backends(top, listeners, inside=version < 2)),
        ),
        counts={name: _counts(one.get("stats", {})) for name, one in listeners.items()},
        deltas=version >= 3,
    )


def _backends(
    top: Mapping[str, Any], listeners: Mapping[str, Mapping[str, Any]], *, inside: bool
) -> Iterator[Backend]:
    """The pools, wherever this version has them; `<pool>:<listener>` is how each is called."""
    if not inside:
        yield from _of("", top.get("pools", {}))
        return
    for name, listener in listeners.items():
        yield from _of(name, listener.get("pools", {}))


def _of(listener: str, pools: object) -> Iterator[Backend]:
    for key, value in _object(pools, "pools").items():
        one = _object(value, "a pool")
        pool, _, named = key.rpartition(":") if ":" in key else (key, "", listener)
        members = _object(one.get("members", {}), "members")
        yield Backend(
            pool=_id(pool, "a pool"),
            listener=_id(named, "a listener") if named else "",
            status=_word(one.get("status")),
            members={_id(name, "a member"): _word(word) for name, word in members.items()},
        )


def _named(value: object, what: str) -> dict[str, Mapping[str, Any]]:
    return {_id(name, what): _object(one, what) for name, one in _object(value, what).items()}


def _object(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BadDatagram(f"has no object for {what}")
    return value


def _id(value: object, what: str) -> str:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise BadDatagram(f"has no id for {what}")
    return value


def _word(value: object) -> str:
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise BadDatagram("has a status that is no word")
    return value


def _number(value: object, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST:
        raise BadDatagram(f"has no number for {what}")
    return value


def _counts(value: object) -> Counts:
    said = _object(value, "stats")
    return Counts(**{ours: _number(said.get(name, 0), name) for ours, name in _FIELDS.items()})
