"""What a controller that scales or watches nodes asks: load, traffic, memory, what is served."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

from libra_amphora import memory, packages, system
from libra_amphora.api.base import Answer, Call, Route
from libra_amphora.snapshot import Snapshot
from libra_amphora.system import System, rates, shares
from libra_amphora.topology import ACTIVE, Topology


class DetailsApi:
    """GET details. `memory_limit` is in kilobytes, 0 for none; `haproxy_version` costs nothing."""

    def __init__(
        self,
        *,
        amphora_id: str,
        haproxy_version: Callable[[], str],
        system: System,
        snapshot: Callable[[], Snapshot],
        topology: Topology,
        memory_limit: int,
    ) -> None:
        self._amphora_id = amphora_id
        self._haproxy_version = haproxy_version
        self._system = system
        self._snapshot = snapshot
        self._topology = topology
        self._memory_limit = memory_limit

    def routes(self) -> Iterable[Route]:
        """One, of both versions."""
        yield Route(
            "GET",
            "/details",
            self._get,
            summary="Load, traffic, memory, and what is served",
            answers={200: "the figures"},
        )

    def _get(self, call: Call) -> Answer:
        first, now = self._system.window()
        traffic = rates(first, now)
        served = self._snapshot()
        haproxy = self._haproxy_version()
        topology = self._topology.wish.topology
        body: dict[str, Any] = {
            "hostname": socket.gethostname(),
            "uuid": self._amphora_id,
            "haproxy_version": haproxy,
            "api_version": call.version,
            "network_tx": sum(rate["network_tx"] for rate in traffic.values()),
            "network_rx": sum(rate["network_rx"] for rate in traffic.values()),
            "networks": traffic,
            "active": self._topology.role == ACTIVE,
            "haproxy_count": served.haproxy_count,
            "cpu": shares(first.cpu, now.cpu),
            "cpu_count": system.cpu_count(),
            "memory": asdict(memory.measure(limit=self._memory_limit)),
            "disk": system.disk(),
            "load": system.load(),
            "active_tuned_profiles": system.tuned_profiles(),
            "topology": topology,
            # As the documents spell it in their examples.
            "tolopogy": topology,
            "topology_status": "TOPOLOGY-CHANGE" if self._topology.changing else "OK",
            "listeners": sorted(listener.id for listener in served.listeners),
            # Libra's own: for a controller that has lost its books.
            "loadbalancers": sorted({one.loadbalancer_id for one in served.listeners}),
            "packages": packages.installed(haproxy=haproxy),
        }
        return Answer(200, body)
