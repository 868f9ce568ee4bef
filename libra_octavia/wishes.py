"""From a call of the driver to what is recorded of it. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from octavia_lib.api.drivers import data_models

from libra_octavia.inventory import Kind, Operation, Wish
from libra_octavia.objects.fields import Fault, Unsupported, plain

PARENTS: dict[Kind, tuple[Kind, str]] = {
    Kind.LISTENER: (Kind.LOAD_BALANCER, "loadbalancer_id"),
    Kind.POOL: (Kind.LOAD_BALANCER, "loadbalancer_id"),
    Kind.MEMBER: (Kind.POOL, "pool_id"),
    Kind.HEALTH_MONITOR: (Kind.POOL, "pool_id"),
    Kind.L7_POLICY: (Kind.LISTENER, "listener_id"),
    Kind.L7_RULE: (Kind.L7_POLICY, "l7policy_id"),
}
"""What is above each kind, and the field that holds its id."""

_OF_OTHERS = frozenset(
    {
        *("listeners", "pools", "members", "healthmonitor", "default_pool"),
        *("l7policies", "rules", "project_id"),
    }
)


def wish(operation: Operation, kind: Kind, one: object, *, old: object = None) -> Wish:
    """A call about one object; `old` is how an update found it. Raises Unsupported for no id."""
    found, before = plain(one), {} if old is None else plain(old)
    object_id = _id(kind, found)
    owner, parent = _whose(kind, object_id, {**before, **found})
    changed = said(one, kind) if operation is Operation.UPDATE else {}
    return Wish(
        operation=operation,
        kind=kind,
        object_id=object_id,
        load_balancer_id=owner,
        parent=parent,
        changed=changed,
        previous=_as_json({name: before.get(name) for name in changed}),
    )


def batch(pool_id: str, members: Sequence[object]) -> Wish:
    """A call about all members of a pool: those that are not named go."""
    return Wish(
        operation=Operation.BATCH,
        kind=Kind.POOL,
        object_id=pool_id,
        parent=(Kind.POOL, pool_id),
        changed={
            "members": {_id(Kind.MEMBER, plain(one)): said(one, Kind.MEMBER) for one in members}
        },
    )


def said(one: object, kind: Kind) -> dict[str, Any]:
    """The fields that a call sets, null among them; no key and no certificate is kept."""
    values = one if isinstance(one, dict) else vars(one)
    above = PARENTS[kind][1] if kind in PARENTS else ""
    return _as_json(
        {
            name: value
            for name, value in values.items()
            if not isinstance(value, data_models.UnsetType)
            and not name.endswith("container_data")
            and name not in _OF_OTHERS
            and name not in (f"{kind}_id", above)
        }
    )


def _whose(
    kind: Kind, object_id: str, fields: dict[str, Any]
) -> tuple[str | None, tuple[Kind, str]]:
    """The load balancer where it is named, and what to find it by where it is not."""
    if kind is Kind.LOAD_BALANCER:
        return object_id, (kind, object_id)
    above, field = PARENTS[kind]
    name = fields.get(field)
    if not isinstance(name, str) or not name:
        return None, (kind, object_id)
    return (name if above is Kind.LOAD_BALANCER else None), (above, name)


def _id(kind: Kind, fields: dict[str, Any]) -> str:
    found = fields.get(f"{kind}_id")
    if isinstance(found, str) and found:
        return found
    raise Unsupported(kind.value, (Fault(f"{kind}_id", "must be set"),))


def _as_json(values: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = json.loads(json.dumps(values, default=str))
    return kept
