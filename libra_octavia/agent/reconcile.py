"""Serves one load balancer once: claim, look, decide, act, report, forget.

Level-triggered: what is done follows from the tree and the intents alone, and may be done again.
An intent is forgotten only after Octavia has taken the report of it, so that a process that dies
anywhere leaves all for the next one.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from libra_common.jobs.backoff import delay
from libra_octavia.agent import report
from libra_octavia.agent.decide import Decision, decide
from libra_octavia.agent.devices import (
    DeviceAway,
    DeviceRefused,
    Devices,
    ListenersRefused,
    Wanted,
)
from libra_octavia.agent.index import Index, index
from libra_octavia.agent.latest import Latest
from libra_octavia.agent.octavia import Octavia, OctaviaAway
from libra_octavia.errors import InventoryAway, LeaseLost
from libra_octavia.inventory import Intent, Intents, Lease, Leases, Operation
from libra_octavia.objects import Fault, Unsupported
from libra_octavia.objects.fields import plain
from libra_octavia.translate import servable

LOG = logging.getLogger(__name__)

_FIRST, _MOST = 0.5, 30.0
"""Seconds of the first wait after a failure, and of each later one at most."""

_EARLY = 0.25
"""As part of what the last look at a tree took: how long Octavia gets to commit before the next.

Its API and its driver-agent read all of a load balancer each, which takes the longer, the bigger it
is; a look that comes too early is a whole look lost."""

_MOST_EARLY = 1.0
"""Seconds that are waited so at most, for which one of the agent's slots is taken."""

_VIP = (
    *("vip_address", "vip_network_id", "vip_port_id", "vip_subnet_id"),
    "additional_vips",
)


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long is waited, in seconds.

    `commit` for Octavia to commit what it called for, `deadline` for devices to do it.
    """

    commit: float = 30.0
    deadline: float = 600.0


class Reconciler:
    """Serves load balancers; may be used by several threads.

    `latest` is told what was served; `chance` gives 0 to 1 for the jitter of the back-off.
    """

    def __init__(
        self,
        *,
        intents: Intents,
        leases: Leases,
        octavia: Octavia,
        devices: Devices,
        patience: Patience,
        latest: Latest | None = None,
        chance: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._intents = intents
        self._leases = leases
        self._octavia = octavia
        self._devices = devices
        self._patience = patience
        self._chance = chance
        self._clock = clock
        self._sleep = sleep
        self._latest = latest or Latest()
        self._looks: dict[str, float] = {}

    def serve(
        self, load_balancer_id: str, *, held: Callable[[Lease], Any] = lambda _: None
    ) -> bool:
        """Do what can be done now for a load balancer; False where somebody else holds it.

        `held` is told the lease, to renew it while this runs. Raises InventoryAway, in which case
        the lease runs out by itself.
        """
        lease = self._leases.claim(load_balancer_id)
        if lease is None:
            return False
        held(lease)
        intents = self._intents.of(load_balancer_id)
        seen = max((intent.number for intent in intents), default=0)
        try:
            self._serve(lease, intents, seen)
        except LeaseLost as error:
            LOG.warning("%s; whoever has it goes on", error)
        except OctaviaAway as error:
            # Without Octavia nothing can be said, so nothing is given up either.
            self._later(lease, seen, error)
        except Exception as error:
            LOG.exception("load balancer %s: unexpected error", load_balancer_id)
            self._later(lease, seen, error)
        return True

    def settle(self, intent: Intent) -> bool:
        """Find out to which load balancer a homeless intent belongs; False where none is known.

        One whose parent Octavia does not know was rolled back with it, and is dropped in time.
        Raises OctaviaAway and InventoryAway.
        """
        kind, name = intent.parent or (intent.kind, intent.object_id)
        owner = self._octavia.owner(kind, name)
        if owner is not None:
            self._intents.settle(intent.number, owner)
            return True
        if intent.age > self._patience.commit:
            LOG.info("%s %s is in no load balancer and forgotten", kind, name)
            self._intents.drop(intent.number)
        return False

    def _serve(self, lease: Lease, intents: tuple[Intent, ...], seen: int) -> None:
        name = lease.load_balancer_id
        tree = self._look(name, intents)
        found = index(tree)
        decision = decide(intents, found, commit_timeout=self._patience.commit)
        for intent in decision.drop:
            LOG.info("%s of %s %s was rolled back", intent.operation, intent.kind, intent.object_id)
        dropped = [intent.number for intent in decision.drop]
        if not decision.serve:
            if decision.wait:
                seconds = self._glance(name, decision)
                self._leases.postpone(lease, seconds, seen=seen, done=dropped)
            elif tree is None:
                self._devices.remove(name, fence=lease.fence)
                self._leases.forget(lease)
            else:
                self._leases.complete(lease, dropped)
            return
        refused: Mapping[str, Unsupported] = {}
        why = None
        try:
            refused = self._act(decision, tree, lease)
        except (Unsupported, DeviceRefused) as error:
            why = str(error)
        except (LeaseLost, InventoryAway):
            raise
        except Exception as error:
            if not isinstance(error, DeviceAway):
                LOG.exception("load balancer %s: unexpected error", name)
            if max(intent.age for intent in decision.serve) < self._patience.deadline:
                self._later(lease, seen, error)
                return
            why = f"given up after {self._patience.deadline:g} s: {error}"
        if why is not None:
            LOG.error("load balancer %s: what was asked for cannot be done: %s", name, why)
            statuses = report.failed(decision, found)
        else:
            resync = any(intent.operation is Operation.SYNC for intent in decision.serve)
            whole = resync or lease.troubled
            statuses = report.done(decision, found, refused=refused, whole=whole)
            why = self._told(name, refused)
        # Whoever slept here must not report what another has changed since.
        self._leases.renew(lease)
        if self._overtaken(lease, decision, seen):
            # Octavia has put it into PENDING, or is about to: that call's report is the next one.
            self._leases.postpone(lease, 0.0, seen=seen)
            return
        if tree is not None and statuses:
            self._octavia.report(statuses)
        self._finish(lease, decision, found, why, worded=report.worded(statuses))

    def _overtaken(self, lease: Lease, decision: Decision, seen: int) -> bool:
        """Whether a call has come while nothing but a resync was served, which keeps none out."""
        if any(intent.operation is not Operation.SYNC for intent in decision.serve):
            return False
        return any(intent.number > seen for intent in self._intents.of(lease.load_balancer_id))

    @staticmethod
    def _told(name: str, refused: Mapping[str, Unsupported]) -> str | None:
        """What is wrong with objects that are left out, which the log is told too."""
        for error in refused.values():
            LOG.error("load balancer %s is served without this: %s", name, error)
        return "; ".join(map(str, refused.values())) or None

    def _act(self, decision: Decision, tree: Any, lease: Lease) -> Mapping[str, Unsupported]:
        """Have the devices be as the tree says, without what goes; returns what it cannot have."""
        if decision.gone or tree is None:
            self._devices.remove(lease.load_balancer_id, fence=lease.fence)
            return {}
        fields = plain(tree)
        flavor, zone = fields.get("flavor"), fields.get("availability_zone")
        found = servable(tree, without=decision.without)
        wanted = Wanted(
            balancer=found.balancer,
            flavor=flavor if isinstance(flavor, dict) else {},
            zone={"compute_zone": zone} if isinstance(zone, str) else (zone or {}),
            vip={field: fields.get(field) for field in _VIP},
        )
        act = self._devices.replace if decision.failover else self._devices.serve
        try:
            act(wanted, fence=lease.fence)
        except ListenersRefused as error:
            return {**found.refused, **_by_device(error)}
        return found.refused

    def _finish(
        self,
        lease: Lease,
        decision: Decision,
        found: Index,
        why: str | None,
        *,
        worded: Collection[str],
    ) -> None:
        served = [intent.number for intent in (*decision.serve, *decision.drop)]
        if decision.gone and why is None:
            self._leases.forget(lease)
            return
        self._intents.remember(
            lease.load_balancer_id, (one for one in found.objects if one not in decision.without)
        )
        if why is None:
            self._latest.keep(
                lease.load_balancer_id, found, fence=lease.fence, without=decision.without
            )
        self._leases.complete(lease, served, error=why, worded=worded)

    def _look(self, name: str, intents: Sequence[Intent]) -> Any:
        """The tree, as soon as Octavia may have committed the youngest of its calls."""
        if intents:
            early = _EARLY * self._looks.get(name, 0.0) - min(one.age for one in intents)
            if early > 0:
                self._sleep(min(early, _MOST_EARLY))
        began = self._clock()
        tree = self._octavia.tree(name)
        if tree is None:
            self._looks.pop(name, None)
        else:
            self._looks[name] = self._clock() - began
        return tree

    def _glance(self, name: str, decision: Decision) -> float:
        """Seconds until the tree is looked at again: soon at first, then less and less often."""
        age = min(intent.age for intent in decision.wait)
        return 0.1 + max(age, self._looks.get(name, 0.0)) / 4

    def _later(self, lease: Lease, seen: int, error: Exception) -> None:
        """Try again later, for one that is not served."""
        seconds = delay(lease.attempts, self._chance(), first=_FIRST, cap=_MOST)
        LOG.warning("load balancer %s, again in %.1f s: %s", lease.load_balancer_id, seconds, error)
        try:
            self._leases.postpone(lease, seconds, seen=seen, error=str(error))
        except LeaseLost as lost:
            LOG.warning("%s; whoever has it goes on", lost)


def _by_device(error: ListenersRefused) -> Mapping[str, Unsupported]:
    return {
        name: Unsupported(f"listener {name}", (Fault("protocol", why),))
        for name, why in error.reasons.items()
    }
