"""What is to be done now for a load balancer, from what was asked for and what Octavia shows. Pure.

The driver is called before Octavia commits, so an intent is served only once the tree shows it.
One that is never shown was rolled back. Deletes show in no tree and are known from intents alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from libra_octavia.agent.index import Index
from libra_octavia.inventory import Intent, Kind, Operation

_DELETES = (Operation.DELETE, Operation.CASCADE)

_FAILOVER_SECONDS = 5.0
"""How old a failover must be: it shows in no tree, and Octavia writes its PENDING_UPDATE only when
it commits. What is reported before that would be overwritten, or on SQLite make the call fail."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What to do.

    `serve` is to be made so now; `drop` was rolled back and is forgotten without a word; `wait`
    is not shown yet. `without` are the objects of the tree that go; `gone` is True where that is
    the load balancer itself; `failover` asks for another device.
    """

    serve: tuple[Intent, ...] = ()
    drop: tuple[Intent, ...] = ()
    wait: tuple[Intent, ...] = ()
    without: frozenset[str] = frozenset()
    gone: bool = False
    failover: bool = False


def decide(intents: Sequence[Intent], found: Index, *, commit_timeout: float) -> Decision:
    """Tell what to do, given the intents of one load balancer, the oldest first, and its tree.

    `commit_timeout` is how many seconds Octavia may take from its call to its commit.
    """
    last = {(i.kind, i.object_id): i.number for i in intents if i.operation in _DELETES}
    serve, drop, wait, overdue = [], [], [], []
    for intent in intents:
        if intent.operation is Operation.SYNC and intent.object_id in found:
            overdue.append(intent)
            continue
        deleted_later = last.get((intent.kind, intent.object_id), 0) > intent.number
        if intent.operation in _DELETES or deleted_later or shown(intent, intents, found):
            serve.append(intent)
        elif intent.age <= commit_timeout:
            wait.append(intent)
        elif _is_there(intent, found):
            # Rolled back, or shown in other words than it was asked for: what the tree shows
            # is served, which is right in both cases.
            overdue.append(intent)
        else:
            drop.append(intent)
    # The objects of another call that is about to be committed must not be reported meanwhile.
    (wait or serve).extend(overdue)
    serve.sort(key=lambda intent: intent.number)
    return Decision(
        serve=tuple(serve),
        drop=tuple(drop),
        wait=tuple(wait),
        without=frozenset(_leaving(serve, intents, found)),
        gone=any(i.operation in _DELETES and i.kind is Kind.LOAD_BALANCER for i in serve),
        failover=any(i.operation is Operation.FAILOVER for i in serve),
    )


def shown(intent: Intent, intents: Sequence[Intent], found: Index) -> bool:
    """Whether the tree shows that Octavia committed what was asked for."""
    if intent.object_id not in found:
        return False
    if intent.operation is Operation.FAILOVER:
        return intent.age >= _FAILOVER_SECONDS
    if intent.operation is Operation.UPDATE:
        fields = found.objects[intent.object_id].fields
        later = {
            name
            for other in intents
            if other.number > intent.number and other.object_id == intent.object_id
            for name in other.changed
        }
        return all(
            name in later or _changed(name, fields.get(name), value, intent.previous.get(name))
            for name, value in _asked(intent, found).items()
        )
    if intent.operation is Operation.BATCH:
        return all(
            name in found
            and all(_same(found.objects[name].fields.get(f), v, None) for f, v in fields.items())
            for name, fields in _members_of(intent).items()
        )
    return True


def _asked(intent: Intent, found: Index) -> Mapping[str, Any]:
    """What an update sets, where a position beyond the end of the list is the end of it."""
    position = intent.changed.get("position")
    above = found.objects[intent.object_id].above
    if not isinstance(position, int) or above is None:
        return intent.changed
    places = (found.objects[one].fields.get("position") for one in found.objects[above].below)
    last = max((place for place in places if isinstance(place, int)), default=position)
    return {**intent.changed, "position": min(position, last)}


def _changed(name: str, there: Any, asked: Any, before: Any) -> bool:
    """Whether a field of this name is as it was asked for."""
    if name == "position" and asked is not None:
        # Octavia moves the others along.
        return bool(there == asked or there != before)
    if name == "insert_headers":
        # What is not asked for any more must be gone.
        return bool((there or {}) == (asked or {}))
    if name in _SETS and isinstance(asked, list) and isinstance(there, list):
        return sorted(there) == sorted(asked)
    return _same(there, asked, before)


_SETS = ("sni_container_refs", "allowed_cidrs", "tls_versions")
"""Lists whose order means nothing, which Octavia may show in another one."""


def _same(there: Any, asked: Any, before: Any) -> bool:
    """Whether a field is as it was asked for; null asks for whatever the default is.

    What was there `before` is not always known: Octavia's old objects lack some of their fields.
    """
    if asked is None:
        return not there or (before is not None and not _same(there, before, None))
    if isinstance(asked, Mapping) and isinstance(there, Mapping):
        return all(there.get(name) == value for name, value in asked.items() if value is not None)
    if not asked and not there:
        # Octavia shows what is empty as null.
        return not isinstance(asked, bool | int) or there is asked or there == asked
    return bool(there == asked)


def _is_there(intent: Intent, found: Index) -> bool:
    if intent.operation is Operation.BATCH:
        return intent.object_id in found and all(name in found for name in _members_of(intent))
    return intent.object_id in found


def _leaving(serve: Sequence[Intent], intents: Sequence[Intent], found: Index) -> set[str]:
    leaving: set[str] = set()
    for intent in serve:
        if intent.operation in _DELETES:
            leaving.update(found.with_all_below(intent.object_id))
        elif intent.operation is Operation.BATCH and intent.object_id in found:
            newer = {i.object_id for i in intents if i.number > intent.number}
            newer |= {
                name
                for other in intents
                if other.number > intent.number and other.operation is Operation.BATCH
                for name in _members_of(other)
            }
            kept = newer | set(_members_of(intent))
            leaving.update(set(found.members(intent.object_id)) - kept)
    return leaving


def _members_of(intent: Intent) -> Mapping[str, Mapping[str, Any]]:
    members: Mapping[str, Mapping[str, Any]] = intent.changed["members"]
    return members
