"""A device: ordered, answering, taken away. The inventory knows of it before anybody else does.

Whatever is killed in the middle, the next try finds the row and goes on: the job that builds a
device has the row's id as its key, so that the pool manager gives the same device again.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from libra_common.crash import crash_point
from libra_octavia.agent.devices import DeviceAway, DeviceRefused, Wanted
from libra_octavia.devices.api import Api, Apis
from libra_octavia.devices.certificates import Certificates
from libra_octavia.devices.pool import GOOD_STATES, BuildFailed, Pool
from libra_octavia.inventory import Device, Devices
from libra_octavia.inventory.devices import BUILDING, FAILED

LOG = logging.getLogger(__name__)

_LOOK_SECONDS = 0.2
_LOST_SECONDS = 10.0
"""How often the pool manager is asked whether a device that does not answer is still there."""


@dataclass(frozen=True, kw_only=True)
class AgentFacts:
    """What every device's agent is told; `controllers` are where heartbeats go."""

    port: int
    heartbeat_key: str
    controllers: tuple[str, ...]


class Builder:
    """Builds devices and takes them away. `boot` is in seconds, from built to answering.

    Every method may be called again after any failure, and raises DeviceAway, DeviceRefused and
    InventoryAway.
    """

    def __init__(
        self,
        *,
        devices: Devices,
        pool: Pool,
        apis: Apis,
        certificates: Certificates,
        facts: AgentFacts,
        boot: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._devices = devices
        self._pool = pool
        self._apis = apis
        self._certificates = certificates
        self._facts = facts
        self._boot = boot
        self._clock = clock
        self._sleep = sleep

    def begin(self, load_balancer_id: str) -> Device:
        """Note a new device for a load balancer; nothing is built yet."""
        key = str(uuid.uuid4())
        device = Device(name=key, state=BUILDING, load_balancer_id=load_balancer_id, amphora_id=key)
        self._devices.put(device)
        crash_point("octavia_noted")
        return device

    def finish(self, device: Device, wanted: Wanted, *, fence: int) -> Device:
        """Have a device that was begun built and answering; returns it with its address."""
        if device.address is None:
            device = self._ordered(device, wanted)
        self._answering(device, self.api(device, fence=fence))
        crash_point("octavia_answers")
        return device

    def api(self, device: Device, *, fence: int) -> Api:
        """The API of a device that was built."""
        assert device.amphora_id is not None  # noqa: S101 - no other is ever asked
        assert device.address is not None  # noqa: S101
        return self._apis.of(device.amphora_id, device.address, fence=fence)

    def is_gone(self, device: Device) -> bool:
        """Whether the pool manager says that there is no such device, or that it is lost."""
        found = self._listed(device)
        return found is None or str(found.get("state")) not in GOOD_STATES

    def take_away(self, device: Device) -> None:
        """Have a device deleted and forget it."""
        if device.name == device.amphora_id:
            device = self._with_its_name(device)
        if device.name != device.amphora_id:
            self._pool.delete(device.name)
        crash_point("octavia_deleted")
        self._devices.remove(device.name)
        LOG.info("device %s is gone", device.name)

    def _ordered(self, device: Device, wanted: Wanted) -> Device:
        try:
            built = self._pool.build(
                device.amphora_id or "",
                agent=self._agent(device),
                wishes={
                    "flavor": wanted.flavor.get("compute_flavor"),
                    "az": wanted.zone.get("compute_zone"),
                    "network": wanted.zone.get("management_network"),
                },
            )
        except BuildFailed as error:
            self._give_up(device, error.name)
            if error.for_good:
                raise DeviceRefused(str(error)) from error
            raise
        crash_point("octavia_built")
        device = self._devices.named(device, built.name)
        device = replace(device, address=built.address)
        self._devices.put(device)
        LOG.info("device %s is built, at %s", device.name, device.address)
        return device

    def _agent(self, device: Device) -> dict[str, Any]:
        return {
            "amphora_id": device.amphora_id,
            "certificate": self._certificates.issue(device),
            "ca": self._certificates.authorities(),
            "heartbeat_key": self._facts.heartbeat_key,
            "controllers": list(self._facts.controllers),
            "port": self._facts.port,
        }

    def _answering(self, device: Device, api: Api) -> None:
        began = self._clock()
        look_at = began + _LOST_SECONDS
        while True:
            try:
                api.info()
            except DeviceAway as error:
                now = self._clock()
                lost = now >= look_at and self.is_gone(device)
                if lost or now >= began + self._boot:
                    self._give_up(device, device.name)
                    why = "it was lost" if lost else f"no answer within {self._boot:g} s"
                    raise DeviceAway(f"device {device.name} was built: {why}: {error}") from error
                look_at = look_at if now < look_at else now + _LOST_SECONDS
                self._sleep(_LOOK_SECONDS)
            else:
                return

    def _give_up(self, device: Device, name: str) -> None:
        """Have no try ever go on with a device; what is left of it is taken away."""
        if name:
            device = self._devices.named(device, name)
        device = replace(device, state=FAILED)
        self._devices.put(device)
        with suppress(DeviceAway, DeviceRefused):  # whoever looks next tries again
            self.take_away(device)

    def _with_its_name(self, device: Device) -> Device:
        """Find out what a device is called whose building nobody saw the end of.

        It may still be under way. So where there is no such device (yet), that very job is asked
        for again: what it answers is the last word.
        """
        found = self._listed(device)
        if found is not None:
            return self._devices.named(device, str(found["name"]))
        try:
            built = self._pool.build(device.amphora_id or "", agent=self._agent(device), wishes={})
        except BuildFailed as error:
            return self._devices.named(device, error.name) if error.name else device
        return self._devices.named(device, built.name)

    def _listed(self, device: Device) -> Mapping[str, Any] | None:
        for one in self._pool.devices():
            name = str(one.get("name"))
            if name == device.name or (
                device.amphora_id is not None
                and (one.get("amphora_id") == device.amphora_id or name.endswith(device.amphora_id))
            ):
                return one
        return None
