"""How each object of a load balancer works, from what its devices say. Pure.

The words and rules are those of Octavia's own controller (`UpdateHealthDb`) and API reference.
Where its controller looks at the word that it told before, which no driver can see, the object's
own fields decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

from libra_octavia.agent.index import Found, Index
from libra_octavia.health.message import Backend, Words
from libra_octavia.inventory import Kind


class Status(StrEnum):
    """Octavia's operating statuses."""

    ONLINE = "ONLINE"
    OFFLINE = "OFFLINE"
    DEGRADED = "DEGRADED"
    ERROR = "ERROR"
    NO_MONITOR = "NO_MONITOR"
    DRAINING = "DRAINING"


_WORST = (Status.ERROR, Status.DRAINING, Status.OFFLINE, Status.NO_MONITOR, Status.ONLINE)
"""Of a member whom several listeners or devices see differently."""


def operating(found: Index, said: Sequence[Words], *, silent: int = 0) -> dict[str, Status]:
    """The operating status of the objects of a tree, by id.

    `said` is what each device that was heard says, `silent` how many were not. Where none was
    heard only the load balancer's word is given: nobody knows of the others. An object whose word
    cannot be told now is left out.
    """
    (balancer,) = (name for name, one in found.objects.items() if one.kind is Kind.LOAD_BALANCER)
    if not said:
        return {balancer: Status.ERROR}
    up = _up(found.objects[balancer].fields)
    words = dict(_listeners(found, said, up=up))
    for name, one in found.objects.items():
        if one.kind is Kind.POOL:
            words |= _pool(name, one, found, said)
        elif one.kind in _TOLD_BY_THEMSELVES:
            words[name] = Status.ONLINE if _up(one.fields) else Status.OFFLINE
    if not up:
        words[balancer] = Status.OFFLINE
    else:
        words[balancer] = _balancer(found, words, silent=silent)
    return words


_TOLD_BY_THEMSELVES = (Kind.HEALTH_MONITOR, Kind.L7_POLICY, Kind.L7_RULE)


def _listeners(found: Index, said: Sequence[Words], *, up: bool) -> Iterator[tuple[str, Status]]:
    for name, one in found.objects.items():
        if one.kind is not Kind.LISTENER:
            continue
        heard = [words.listeners[name] for words in said if name in words.listeners]
        if not up or not _up(one.fields):
            yield name, Status.OFFLINE
        elif not any(word in ("OPEN", "FULL") for word in heard):
            yield name, Status.ERROR
        else:
            yield name, Status.DEGRADED if "FULL" in heard else Status.ONLINE


def _pool(name: str, pool: Found, found: Index, said: Sequence[Words]) -> dict[str, Status]:
    """The words of a pool and of its members."""
    backends = [one for words in said for one in words.backends if one.pool == name]
    watched = any(
        found.objects[one].kind is Kind.HEALTH_MONITOR and _up(found.objects[one].fields)
        for one in pool.below
    )
    words: dict[str, Status] = {}
    for member in found.members(name):
        word = _member(member, found.objects[member].fields, backends, watched=watched)
        if word is not None:
            words[member] = word
    down = [one.status == "DOWN" for one in backends]
    if not backends or not _up(pool.fields):
        # No listener that serves leads to it.
        words[name] = Status.OFFLINE
    elif all(down):
        words[name] = Status.ERROR
    elif any(down) or any(words.get(one) is Status.ERROR for one in found.members(name)):
        words[name] = Status.DEGRADED
    else:
        words[name] = Status.ONLINE
    return words


def _member(
    name: str, fields: Mapping[str, Any], backends: Iterable[Backend], *, watched: bool
) -> Status | None:
    """The word of a member; None while HAProxy itself does not know it yet."""
    if not _up(fields):
        return Status.OFFLINE
    heard = [one.members[name] for one in backends if name in one.members]
    if not heard:
        return Status.OFFLINE if watched else Status.NO_MONITOR
    known = {word for word in map(_word, heard) if word is not None}
    return next((word for word in _WORST if word in known), None)


def _word(haproxys: str) -> Status | None:
    """Octavia's word for HAProxy's of a server, with its `UP 1/2` and `MAINT (via x)`."""
    for beginning, word in (
        ("UP", Status.ONLINE),
        ("DOWN", Status.ERROR),
        ("DRAIN", Status.DRAINING),
        ("NOLB", Status.DRAINING),
        ("MAINT", Status.OFFLINE),
        ("no check", Status.NO_MONITOR),
    ):
        if haproxys.startswith(beginning):
            return word
    return None


def _balancer(found: Index, words: Mapping[str, Status], *, silent: int) -> Status:
    """The load balancer's: a pool without a member that serves is an error of the whole."""
    kinds = {name: one.kind for name, one in found.objects.items()}
    pools = {words[name] for name in words if kinds[name] is Kind.POOL}
    listeners = {words[name] for name in words if kinds[name] is Kind.LISTENER}
    if Status.ERROR in pools:
        return Status.ERROR
    worse = (pools | listeners) & {Status.DEGRADED, Status.ERROR}
    return Status.DEGRADED if worse or silent else Status.ONLINE


def _up(fields: Mapping[str, Any]) -> bool:
    return fields.get("admin_state_up", True) is not False
