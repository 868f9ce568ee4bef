"""Every object of a tree by its id, with its fields and with what is below it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from libra_octavia.inventory import Kind
from libra_octavia.objects.fields import is_set, plain
from libra_octavia.translate import pools_of

_BELOW: Mapping[Kind, tuple[tuple[str, Kind], ...]] = {
    Kind.LISTENER: (("l7policies", Kind.L7_POLICY),),
    Kind.POOL: (("members", Kind.MEMBER), ("healthmonitor", Kind.HEALTH_MONITOR)),
    Kind.L7_POLICY: (("rules", Kind.L7_RULE),),
}


@dataclass(frozen=True)
class Found:
    """An object of a tree; `above` is the id of what it is in, `below` the ids of what is in it."""

    kind: Kind
    fields: Mapping[str, Any]
    above: str | None
    below: tuple[str, ...] = ()


@dataclass(frozen=True)
class Index:
    """The objects of one tree; none at all where Octavia has no such load balancer."""

    objects: Mapping[str, Found] = field(default_factory=dict)

    def __contains__(self, name: object) -> bool:
        return name in self.objects

    def with_all_below(self, name: str) -> Iterator[str]:
        """An object of the tree and everything in it; nothing where it is not in the tree."""
        found = self.objects.get(name)
        if found is not None:
            yield name
            for one in found.below:
                yield from self.with_all_below(one)

    def members(self, pool: str) -> Collection[str]:
        """The members of a pool."""
        return [name for name in self.objects[pool].below if self.objects[name].kind is Kind.MEMBER]


def index(tree: object) -> Index:
    """Every object of a tree, as octavia-lib's `get_loadbalancer` gives it; None for none."""
    if tree is None:
        return Index()
    objects: dict[str, Found] = {}
    top = plain(tree)
    name = str(top["loadbalancer_id"])
    below = [
        *_put(objects, Kind.LISTENER, top.get("listeners", ()), name),
        *_put(objects, Kind.POOL, pools_of(tree), name),
    ]
    objects[name] = Found(Kind.LOAD_BALANCER, top, None, tuple(below))
    return Index(objects)


def _put(objects: dict[str, Found], kind: Kind, many: Any, above: str) -> Iterator[str]:
    for one in many:
        fields = plain(one)
        name = str(fields[f"{kind}_id"])
        inside: list[str] = []
        for field_name, inner in _BELOW.get(kind, ()):
            value = fields.get(field_name)
            if is_set(value) and value:
                inside += _put(objects, inner, value if isinstance(value, list) else [value], name)
        objects[name] = Found(kind, fields, above, tuple(inside))
        yield name
