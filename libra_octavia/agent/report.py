"""The words for Octavia when something was done or cannot be done. Pure.

Octavia's API puts the load balancer and more into PENDING_UPDATE with the object that it changes:
what that is in, and the listeners that lead to its pool (`_get_affected_listener_ids`). It lets
nobody change any of them until each has another status (provider driver guide, "Provisioning
status"). So these are reported each time; all else is only where something was wrong before, since
Octavia writes down what it is told one by one, some 20 ms each.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from octavia_lib.common import constants

from libra_octavia.agent.decide import Decision
from libra_octavia.agent.index import Found, Index
from libra_octavia.inventory import Kind, Operation

Statuses = Mapping[str, list[dict[str, str]]]
"""As octavia-lib's `update_loadbalancer_status` takes it."""

SECTIONS = {
    Kind.LOAD_BALANCER: constants.LOADBALANCERS,
    Kind.LISTENER: constants.LISTENERS,
    Kind.POOL: constants.POOLS,
    Kind.MEMBER: constants.MEMBERS,
    Kind.HEALTH_MONITOR: constants.HEALTHMONITORS,
    Kind.L7_POLICY: constants.L7POLICIES,
    Kind.L7_RULE: constants.L7RULES,
}


_ONLINE, _OFFLINE, _NO_MONITOR = (
    str(word) for word in (constants.ONLINE, constants.OFFLINE, constants.NO_MONITOR)
)


def done(
    decision: Decision, found: Index, *, refused: Collection[str] = (), whole: bool = True
) -> Statuses:
    """What was asked for is in force and ACTIVE, and what went is DELETED.

    With `whole` every object of the tree is told; else those that may be PENDING or that changed.
    The `refused` objects cannot be served and are ERROR with all in them, though all else is.
    """
    not_served = {below for name in refused for below in found.with_all_below(name)}

    def word(name: str) -> str:
        if name in decision.without:
            return str(constants.DELETED)
        return str(constants.ERROR if name in not_served else constants.ACTIVE)

    served = set(_touched(decision, found)) - decision.without - not_served
    told = found.objects if whole or not_served else _may_be_pending(decision, found)
    return _statuses(found, {name: word(name) for name in told}, operating=served)


def _may_be_pending(decision: Decision, found: Index) -> list[str]:
    """What was touched or goes, all that it is in, and the listeners that lead to a pool of it."""
    asked = {intent.object_id for intent in decision.serve}
    if any(name not in found for name in asked):
        # It was told that this is gone, maybe without its end: nobody knows what it was in.
        return list(found.objects)
    wanted = {*asked, *_touched(decision, found), *decision.without}
    for name in tuple(wanted):
        above = found.objects[name].above
        while above is not None and above in found:
            wanted.add(above)
            above = found.objects[above].above
    for name, one in found.objects.items():
        if one.kind is Kind.LISTENER and not wanted.isdisjoint(_leads_to(one, found)):
            wanted.add(name)
    return [name for name in found.objects if name in wanted]


def _leads_to(listener: Found, found: Index) -> Iterator[str]:
    """The pools of a listener: its own, and those of its policies."""
    for fields, name in (
        (listener.fields, "default_pool_id"),
        *((found.objects[one].fields, "redirect_pool_id") for one in listener.below),
    ):
        pool = fields.get(name)
        if isinstance(pool, str):
            yield pool


def failed(decision: Decision, found: Index) -> Statuses:
    """It cannot be done: what was asked for is ERROR, and all else serves on as it was.

    With the load balancer itself what is in it is ERROR too where it was to be made or to go.
    Where nobody asked for a change there is nothing to say: Octavia would let nobody change a
    load balancer that is ERROR.
    """
    if all(intent.operation is Operation.SYNC for intent in decision.serve):
        return {}
    touched = set(_touched(decision, found)) | decision.without
    return _statuses(
        found,
        {name: constants.ERROR if name in touched else constants.ACTIVE for name in found.objects},
        operating=(),
    )


def worded(statuses: Statuses) -> frozenset[str]:
    """The ids of the objects of which a report says how they work."""
    return frozenset(
        row[constants.ID]
        for rows in statuses.values()
        for row in rows
        if constants.OPERATING_STATUS in row
    )


def _touched(decision: Decision, found: Index) -> Iterable[str]:
    """The objects that were made or changed."""
    for intent in decision.serve:
        match intent.operation:
            case Operation.CREATE:
                yield from found.with_all_below(intent.object_id)
            case Operation.BATCH:
                yield from (name for name in intent.changed["members"] if name in found)
            case Operation.SYNC:
                # How an object works that nobody has changed is for its device to say.
                pass
            case _:
                yield from (name for name in (intent.object_id,) if name in found)


def _statuses(
    found: Index, provisioning: Mapping[str, str], *, operating: Iterable[str]
) -> Statuses:
    statuses: dict[str, list[dict[str, str]]] = {}
    known = set(operating)
    for name, status in provisioning.items():
        row = {constants.ID: name, constants.PROVISIONING_STATUS: status}
        word = _operating(name, found) if name in known else None
        if word is not None:
            row[constants.OPERATING_STATUS] = word
        statuses.setdefault(SECTIONS[found.objects[name].kind], []).append(row)
    return statuses


def _operating(name: str, found: Index) -> str | None:
    """What an object's own fields say of how it works; None where only its device can tell."""
    one = found.objects[name]
    if not _up(one.fields):
        return _OFFLINE
    if one.kind is Kind.MEMBER:
        pool = found.objects[one.above or ""]
        monitor = next(
            (
                found.objects[other].fields
                for other in pool.below
                if found.objects[other].kind is Kind.HEALTH_MONITOR
            ),
            None,
        )
        watched = monitor is not None and _up(monitor)
        return None if watched else _NO_MONITOR
    return _ONLINE


def _up(fields: Mapping[str, Any]) -> bool:
    return fields.get("admin_state_up", True) is not False
