"""What load balancers consist of, as it was when this process last served them.

Octavia's driver-agent reads a whole load balancer each time that it is asked for one, which takes
seconds for a big one. Whoever tells of health right after a change need not ask again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection

from libra_octavia.agent.index import Found, Index

_MOST = 256
"""Load balancers; of more, those that were served longest ago are asked for again."""

_KEPT = "admin_state_up"


class Latest:
    """Kept by load balancer and fence: who claims one later may change it. For several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[int, Index]] = OrderedDict()

    def keep(self, name: str, found: Index, *, fence: int, without: Collection[str]) -> None:
        """Keep a tree without what went; of fields only whether an object is up, and no key."""
        slim = Index(
            {
                one: Found(
                    kind=it.kind,
                    fields={field: it.fields[field] for field in (_KEPT,) if field in it.fields},
                    above=it.above,
                    below=tuple(below for below in it.below if below not in without),
                )
                for one, it in found.objects.items()
                if one not in without
            }
        )
        with self._lock:
            self._known.pop(name, None)
            self._known[name] = (fence, slim)
            while len(self._known) > _MOST:
                self._known.popitem(last=False)

    def of(self, name: str, *, fence: int) -> Index | None:
        """The load balancer, where nobody has claimed it since; None where somebody has."""
        with self._lock:
            kept, found = self._known.get(name, (None, None))
        return found if kept == fence else None
