"""Ports of a device: attached, laid out by the device, given back when nobody uses them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from libra_common.crash import crash_point
from libra_octavia.agent.devices import DeviceAway
from libra_octavia.devices.api import Api
from libra_octavia.devices.pool import Pool
from libra_octavia.devices.wishes import PortWish, plug_body, port_key, settled
from libra_octavia.inventory import Device, Port, Ports

LOG = logging.getLogger(__name__)

LINGER_SECONDS = 30.0
"""How long a port stays that nobody uses: requests that are under way still come by it."""

_SEEN_SECONDS = 30.0
_LOOK_SECONDS = 0.25


class Plugging:
    """Gives devices their ports. `security_groups` are names or ids, none for the pool's own."""

    def __init__(
        self,
        *,
        ports: Ports,
        pool: Pool,
        security_groups: Sequence[str],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._ports = ports
        self._pool = pool
        self._security_groups = tuple(security_groups)
        self._clock = clock
        self._sleep = sleep

    def settled(self, device: Device, wishes: Sequence[PortWish]) -> bool:
        """Whether the device was seen to have all that is wished for; asks nobody."""
        return settled(wishes, self._ports.used(device.name))

    def attach(self, device: Device, wishes: Sequence[PortWish], api: Api) -> None:
        """Have the device have a port for each wish, laid out. Raises DeviceAway.

        The pool manager is asked only for what the device does not have.
        """
        there = {port.subnet: port for port in self._ports.of(device.name)}
        for wish in wishes:
            known = there.get(wish.subnet)
            if known is not None and settled((wish,), (known,)) and api.plug(plug_body(known)):
                self._ports.put(known)
                continue
            port = Port(device=device.name, subnet=wish.subnet, addresses=wish.addresses)
            self._ports.put(port)
            crash_point("octavia_port_noted")
            port = replace(port, port=self._asked(device, wish))
            self._ports.put(port)
            crash_point("octavia_attached")
            self._laid_out(port, api)
            self._ports.put(replace(port, plugged=True))

    def announce(self, device: Device, wishes: Sequence[PortWish]) -> None:
        """Have the pool manager lead the load balancer's addresses to this device once more."""
        for wish in wishes:
            if wish.addresses:
                self._asked(device, wish)

    def rest(self, device: Device, wishes: Sequence[PortWish]) -> None:
        """Note which ports nobody uses any more; they are given back later."""
        used = {wish.subnet for wish in wishes}
        for port in self._ports.of(device.name):
            if port.subnet not in used:
                self._ports.rest(port)

    def give_back(self, device: Device, *, seconds: float = LINGER_SECONDS) -> None:
        """Give the ports of a device back that nobody has used for so long. Raises DeviceAway."""
        for port in self._ports.idle(seconds, device=device.name):
            identity = (port.port or {}).get("port") or self._found(device, port)
            if identity:
                self._pool.detach(device.name, str(identity))
            crash_point("octavia_detached")
            self._ports.remove(port)
            LOG.info("device %s has no port in subnet %s any more", device.name, port.subnet)

    def _asked(self, device: Device, wish: PortWish) -> dict[str, object]:
        return dict(
            self._pool.attach(
                device.name,
                key=port_key(device.amphora_id or "", wish.subnet),
                subnet=wish.subnet or None,
                network=wish.network,
                addresses=wish.addresses,
                security_groups=self._security_groups,
            )
        )

    def _found(self, device: Device, port: Port) -> str | None:
        """The id of a port of which nobody saw whether it was attached."""
        key = port_key(device.amphora_id or "", port.subnet)
        for one in self._pool.devices():
            if one.get("name") == device.name:
                return next(
                    (str(other["port"]) for other in one["ports"] if other.get("key") == key), None
                )
        return None

    def _laid_out(self, port: Port, api: Api) -> None:
        deadline = self._clock() + _SEEN_SECONDS
        while not api.plug(plug_body(port)):
            if self._clock() >= deadline:
                raise DeviceAway(
                    f"device {port.device} does not see the port {(port.port or {}).get('mac')}"
                )
            self._sleep(_LOOK_SECONDS)
