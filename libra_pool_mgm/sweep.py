"""Finding and removing what was made and never given to anybody.

Whatever a job made and could not undo (its process was killed, the cloud was away) is ours by its
name or tag, is not marked as delivered, and grows old: such things are removed. So are ports whose
device is gone. Nothing else is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from libra_common.errors import LibraError
from libra_pool_mgm.clouds.base import Address, Cloud, Device, DeviceState, Port

LOG = logging.getLogger(__name__)

ALWAYS = 5
"""So many may be removed whatever share of all they are."""

T = TypeVar("T", Device, Address, Port)


class BreakerOpen(LibraError):
    """A sweep would have removed so much that something else must be wrong; it removed nothing."""

    code = "breaker_open"


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a sweep may remove.

    `grace` is in seconds, the age of a thing that is not delivered; `share` is in percent, of all
    devices or of all addresses.
    """

    grace: float
    share: int


@dataclass(frozen=True)
class Swept:
    """What a sweep removed (or would remove) by names, and what it could not, with the reasons."""

    devices: tuple[str, ...]
    addresses: tuple[str, ...]
    ports: tuple[str, ...]
    failed: tuple[str, ...]


def orphans(
    devices: Sequence[Device],
    addresses: Sequence[Address],
    *,
    rules: Rules,
    under_way: Collection[str],
    now: datetime,
) -> tuple[list[Device], list[Address]]:
    """Return the devices and addresses to be removed; `under_way` are the keys of running jobs.

    Nothing delivered is among them, nothing younger than the grace period, nothing that somebody
    uses: an address that a device holds, or that device. Raises BreakerOpen.
    """
    oldest = now - timedelta(seconds=rules.grace)

    def old(thing: Device | Address) -> bool:
        return not thing.delivered and thing.created_at < oldest and thing.key not in under_way

    holders = {address.device for address in addresses}
    found = [
        device
        for device in devices
        if old(device) and device.state is not DeviceState.DELETING and device.name not in holders
    ]
    unheld = [address for address in addresses if old(address) and address.device is None]
    _refuse_too_many("devices", found, devices, rules.share)
    _refuse_too_many("addresses", unheld, addresses, rules.share)
    return found, unheld


def stray_ports(ports: Sequence[Port], *, rules: Rules, now: datetime) -> list[Port]:
    """Return the ports to be removed: those whose device is gone, older than the grace period.

    Raises BreakerOpen.
    """
    oldest = now - timedelta(seconds=rules.grace)
    found = [port for port in ports if port.device is None and port.created_at < oldest]
    _refuse_too_many("ports", found, ports, rules.share)
    return found


def _refuse_too_many(what: str, some: Sequence[T], whole: Sequence[T], share: int) -> None:
    if len(some) > ALWAYS and len(some) * 100 > share * len(whole):
        raise BreakerOpen(
            f"the sweep would remove {len(some)} of {len(whole)} {what}, which is more than"
            f" {share} %: nothing is removed; look at them, and raise [mgm] sweep_share if they"
            " are to go"
        )


class Sweeper:
    """Sweeps one pool. `under_way` gives the keys of running jobs, `now` the wall clock."""

    def __init__(
        self,
        *,
        cloud: Cloud,
        rules: Rules,
        under_way: Callable[[], Collection[str]] = frozenset,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._cloud = cloud
        self._rules = rules
        self._under_way = under_way
        self._now = now

    def sweep(self, *, dry_run: bool) -> Swept:
        """Remove what nobody was given, or with `dry_run` only say what that is.

        Each is looked at again right before it is removed. Raises BreakerOpen, or a CloudError
        when nothing can be listed; what cannot be removed is among `failed`.
        """
        devices, addresses = orphans(
            self._cloud.devices(),
            self._cloud.addresses(),
            rules=self._rules,
            under_way=self._under_way(),
            now=self._now(),
        )
        strays = stray_ports(self._cloud.ports(), rules=self._rules, now=self._now())
        gone_devices, failed_devices = self._each(devices, self._device, dry_run=dry_run)
        gone_addresses, failed_addresses = self._each(addresses, self._address, dry_run=dry_run)
        gone_ports, failed_ports = self._each(strays, self._port, dry_run=dry_run)
        failed = failed_devices + failed_addresses + failed_ports
        return Swept(gone_devices, gone_addresses, gone_ports, failed)

    def _each(
        self, things: Iterable[T], remove: Callable[[T], bool], *, dry_run: bool
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        gone, failed = [], []
        for thing in things:
            name = _name(thing)
            try:
                if dry_run or remove(thing):
                    gone.append(name)
                    LOG.info("sweep: %s %s", name, "would be removed" if dry_run else "removed")
            except LibraError as error:
                LOG.warning("sweep: %s could not be removed: %s", name, error)
                failed.append(f"{name}: {error}")
        return tuple(gone), tuple(failed)

    def _device(self, device: Device) -> bool:
        seen = self._cloud.find_device(device.name)
        if seen is None or seen.delivered or seen.id != device.id or self._taken(device):
            return False
        self._cloud.delete_device(seen)
        return True

    def _address(self, address: Address) -> bool:
        seen = self._cloud.find_address(address.ip)
        if seen is None or seen.delivered or seen.id != address.id or self._taken(address):
            return False
        if seen.device is not None:
            return False
        self._cloud.delete_address(seen)
        return True

    def _port(self, port: Port) -> bool:
        seen = self._cloud.find_port(port.id)
        if seen is None or seen.device is not None:
            return False
        self._cloud.delete_port(seen)
        return True

    def _taken(self, thing: Device | Address) -> bool:
        return thing.key in self._under_way()


def _name(thing: Device | Address | Port) -> str:
    match thing:
        case Device():
            return thing.name
        case Address():
            return thing.ip
        case Port():
            return thing.id
