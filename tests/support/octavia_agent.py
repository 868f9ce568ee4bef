"""The provider agent of a test: its own loop and inventory, over stand-ins for devices."""

from __future__ import annotations

import threading
from collections.abc import Callable

from libra_common.errors import LibraError
from libra_octavia.agent.agent import Agent
from libra_octavia.agent.devices import DeviceAway, DeviceRefused, Wanted
from libra_octavia.agent.octavia import Library, Octavia
from libra_octavia.agent.reconcile import Patience, Reconciler
from libra_octavia.inventory import Database, Intents, Leases
from libra_octavia.render import Place, render


class StandIn:
    """Devices that keep what they are told; as real ones, they take no lower fence than before."""

    def __init__(self) -> None:
        self.wanted: dict[str, Wanted] = {}
        self.fences: dict[str, int] = {}
        self.replaced: list[str] = []
        self.removed: list[str] = []
        self.calls = 0
        self.before: Callable[[str], None] = lambda _: None

    def serve(self, wanted: Wanted, *, fence: int) -> None:
        self._check(wanted.balancer.id, fence)
        render(wanted.balancer, Place())
        self.wanted[wanted.balancer.id] = wanted

    def replace(self, wanted: Wanted, *, fence: int) -> None:
        self.serve(wanted, fence=fence)
        self.replaced.append(wanted.balancer.id)

    def remove(self, load_balancer_id: str, *, fence: int) -> None:
        self._check(load_balancer_id, fence)
        self.wanted.pop(load_balancer_id, None)
        self.removed.append(load_balancer_id)

    def _check(self, name: str, fence: int) -> None:
        self.calls += 1
        self.before(name)
        if fence < self.fences.get(name, 0):
            raise DeviceRefused(f"fence {fence} is older than {self.fences[name]}")
        self.fences[name] = fence

    def away(self, _: str) -> None:
        """To be put into `before`."""
        raise DeviceAway("no device answers")


class AgentLoop:
    """An agent that looks every 50 ms, in a thread."""

    def __init__(
        self,
        database: Database,
        devices: StandIn,
        connect: Callable[[], Library],
        *,
        patience: Patience | None = None,
        lease: float = 30.0,
    ) -> None:
        self.intents = Intents(database)
        self.leases = Leases(database, seconds=lease)
        self.errors: list[LibraError] = []
        self.reconciler = Reconciler(
            intents=self.intents,
            leases=self.leases,
            octavia=Octavia(connect),
            devices=devices,
            patience=patience or Patience(),
            chance=lambda: 0.0,
        )
        self._agent = Agent(
            intents=self.intents,
            leases=self.leases,
            reconciler=self.reconciler,
            slots=4,
            lease_seconds=lease,
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> AgentLoop:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)
        assert self._agent.stop(60)

    def _run(self) -> None:
        while not self._stop.wait(0.05):
            try:
                self._agent.cycle()
            except LibraError as error:
                self.errors.append(error)
