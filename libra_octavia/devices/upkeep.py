"""What nobody asks for and has to be done: certificates renewed, and what is left over given back.

Each load balancer is claimed for it as the agent does, so that nobody else works on it meanwhile.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from libra_common.errors import LibraError
from libra_octavia.agent.devices import DeviceAway, DeviceRefused
from libra_octavia.devices.building import Builder
from libra_octavia.devices.certificates import Certificates
from libra_octavia.devices.floating import Floating
from libra_octavia.devices.plugging import LINGER_SECONDS, Plugging
from libra_octavia.errors import LeaseLost
from libra_octavia.inventory import Addresses, Device, Devices, Intents, Lease, Leases, Ports
from libra_octavia.inventory.devices import BUILDING, FAILED, LEAVING, READY

LOG = logging.getLogger(__name__)


class Upkeep:
    """Looks every `interval` seconds, in a thread of its own.

    `exists` asks Octavia whether there is such a load balancer; floating addresses of what there
    is not are given back once they are `orphaned` seconds old.
    """

    def __init__(
        self,
        *,
        devices: Devices,
        ports: Ports,
        addresses: Addresses,
        intents: Intents,
        leases: Leases,
        builder: Builder,
        plugging: Plugging,
        certificates: Certificates,
        floating: Floating,
        exists: Callable[[str], bool],
        orphaned: float,
        interval: float = 10.0,
    ) -> None:
        self._devices = devices
        self._ports = ports
        self._addresses = addresses
        self._intents = intents
        self._leases = leases
        self._builder = builder
        self._plugging = plugging
        self._certificates = certificates
        self._floating = floating
        self._exists = exists
        self._orphaned = orphaned
        self._interval = interval
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Begin nothing more, and wait so long for what runs."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def look(self) -> None:
        """Do all that is due now, once. Raises InventoryAway."""
        self._clear()
        self._renew()
        self._give_back_addresses()

    def _run(self) -> None:
        while not self._ended.wait(self._interval):
            try:
                self.look()
            except LibraError as error:
                LOG.warning("upkeep: %s", error)
            except Exception:
                LOG.exception("upkeep: unexpected error")

    def _clear(self) -> None:
        """Ports that nobody uses, and devices that will never serve again."""
        given_up = {name for name in self._devices.owners(BUILDING) if self._wants_nothing(name)}
        for name in given_up | {
            *self._ports.owners_of_idle(LINGER_SECONDS),
            *self._devices.owners(LEAVING, FAILED),
        }:
            self._for(name, self._clear_one)

    def _wants_nothing(self, name: str) -> bool:
        return not self._intents.of(name)

    def _clear_one(self, lease: Lease) -> None:
        devices = self._devices.of(lease.load_balancer_id)
        # A replacement that was given up; without any other device it is the next one to serve.
        surplus = any(one.state == READY for one in devices) and self._wants_nothing(
            lease.load_balancer_id
        )
        for device in devices:
            if device.state in (LEAVING, FAILED) or (device.state == BUILDING and surplus):
                self._floating.leave(lease.load_balancer_id, device)
                self._builder.take_away(device)
            else:
                self._plugging.give_back(device)

    def _renew(self) -> None:
        ending = {one.device for one in self._devices.expiring(self._certificates.margin)}
        if not ending:
            return
        for device in self._devices.all():
            if device.name in ending and device.state == READY and device.load_balancer_id:
                self._for(device.load_balancer_id, partial(self._renewed, device))

    def _renewed(self, device: Device, lease: Lease) -> None:
        api = self._builder.api(device, fence=lease.fence)
        api.info()  # one that is away must not cost a certificate each time
        self._certificates.renew(device, api.replace_certificate)
        LOG.info("device %s has a new certificate", device.name)

    def _give_back_addresses(self) -> None:
        for name in self._addresses.orphans(self._orphaned):
            if not self._exists(name):
                self._floating.give_back(name)

    def _for(self, name: str, act: Callable[[Lease], None]) -> None:
        """Act on a load balancer that nobody else works on; another time otherwise."""
        if self._ended.is_set():
            return
        lease = self._leases.claim(name, early=True)
        if lease is None:
            return
        done = threading.Event()
        renewing = threading.Thread(
            target=self._keep, args=(lease, done), name="upkeep's lease", daemon=True
        )
        renewing.start()
        try:
            act(lease)
        except (DeviceAway, DeviceRefused) as error:
            LOG.warning("upkeep of load balancer %s: %s", name, error)
        finally:
            done.set()
            with suppress(LeaseLost):
                self._leases.release(lease)

    def _keep(self, lease: Lease, done: threading.Event) -> None:
        while not done.wait(self._leases.seconds / 3):
            try:
                self._leases.renew(lease)
            except LibraError as error:
                LOG.warning("upkeep of load balancer %s: %s", lease.load_balancer_id, error)
