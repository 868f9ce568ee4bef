"""Neutron's floating IPs, through openstacksdk.

What a floating IP of ours is, and for whom, stands in its description, set in the same POST that
makes it. Neutron moves an address to another port without a word when it is told to, so each
change is decided on what was just read and sent with the revision of it: if anything changed in
between, neutron refuses and the decision is taken anew. Of two changes in the very same moment
neutron takes both, so here one address is changed by one thread at a time.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from openstack import exceptions as sdk
from openstack.connection import Connection

from libra_pool_mgm.clouds.base import Address, Device
from libra_pool_mgm.clouds.errors import CloudUnavailable, Conflict, NotFound
from libra_pool_mgm.clouds.nova.failures import explained

_MARK = re.compile(r"libra pool=(?P<pool>\S+) delivered=(?P<delivered>yes|no) key=(?P<key>\S+)")
_ATTEMPTS = 3


class Addresses:
    """The floating IPs of one pool (`basename`).

    `network` gives the id of the external network they come from and may raise BadRequest,
    `names` the names of the pool's servers by their ids. May be used from several threads.
    """

    def __init__(
        self,
        *,
        connection: Connection,
        basename: str,
        network: Callable[[], str],
        names: Callable[[], Mapping[str, str]],
    ) -> None:
        self._connection = connection
        self._basename = basename
        self._network = network
        self._names = names
        self._turns: dict[str, threading.Lock] = {}

    def create(self, key: str) -> Address:
        """Allocate a floating IP, or find the one that this key asked for before."""
        for known in self._listing():
            mark = self._mark_of(known)
            if mark is not None and mark["key"] == key:
                return self._address(known)
        network = self._network()
        with explained("floating IP"):
            made = self._connection.network.create_ip(
                floating_network_id=network,
                description=mark_text(self._basename, key, delivered=False),
            )
        return self._address(made)

    def all(self) -> Sequence[Address]:
        """List the floating IPs of this pool."""
        ours = [one for one in self._listing() if self._mark_of(one) is not None]
        names = self._names() if any(one.port_id for one in ours) else {}
        return [self._address(one, names) for one in ours]

    def find(self, ip: str) -> Address | None:
        """Find a floating IP of the project, of whichever pool or of none."""
        for known in self._listing(floating_ip_address=ip):
            return self._address(known, self._names() if known.port_id else {})
        return None

    def mark_delivered(self, address: Address) -> None:
        """Write into the description that it serves somebody."""
        with explained(f"marking floating IP {address.ip} as delivered"):
            self._connection.network.update_ip(
                address.id, description=mark_text(self._basename, address.key, delivered=True)
            )

    def assign(self, address: Address, device: Device) -> None:
        """Associate with the device's port, unless it is; raises Conflict if another's it is."""
        doing = f"assigning floating IP {address.ip} to {device.name}"
        with explained(doing):
            port, fixed = self._port_of(device)

            def wanted(now: Any) -> dict[str, Any] | None:
                if now.port_id == port.id:
                    return None
                self._refuse_if_held(now, address, doing)
                return {"port_id": port.id, "fixed_ip_address": fixed}

            seen = self._change(address, wanted, doing)
            if seen.port_id != port.id:
                raise CloudUnavailable(f"{doing}: neutron agreed, and did not do it")

    def remove(self, address: Address, device: Device) -> None:
        """Take it from the device's port, unless it is free; raises Conflict if another's it is."""
        doing = f"removing floating IP {address.ip} from {device.name}"
        with explained(doing):
            ports = {one.id for one in self._connection.network.ports(device_id=device.id)}

            def wanted(now: Any) -> dict[str, Any] | None:
                if now.port_id is None:
                    return None
                if now.port_id not in ports:
                    self._refuse_if_held(now, address, doing)
                return {"port_id": None}

            seen = self._change(address, wanted, doing)
            if seen.port_id is not None:
                raise CloudUnavailable(f"{doing}: neutron agreed, and did not do it")

    def delete(self, address: Address) -> None:
        """Give it back; one that is gone is no fault."""
        with explained(f"deleting floating IP {address.ip}"):
            self._connection.network.delete_ip(address.id, ignore_missing=True)

    def _change(
        self, address: Address, wanted: Callable[[Any], dict[str, Any] | None], doing: str
    ) -> Any:
        """Bring about what `wanted` says of the address as it is now; None asks for nothing.

        Gives the address as neutron then knows it.
        """
        with self._turns.setdefault(address.id, threading.Lock()):
            for _ in range(_ATTEMPTS):
                now = self._connection.network.get_ip(address.id)
                change = wanted(now)
                if change is None:
                    return now
                try:
                    # By its id: openstacksdk sends nothing when the object in hand is out of date
                    # and says already what is wanted.
                    self._connection.network.update_ip(
                        address.id, if_revision=now.revision_number, **change
                    )
                except sdk.PreconditionFailedException:
                    continue
                return self._connection.network.get_ip(address.id)
        raise Conflict(f"{doing}: somebody else keeps changing it")

    def _refuse_if_held(self, now: Any, address: Address, doing: str) -> None:
        if now.port_id is not None:
            holder = self._address(now, self._names()).device
            raise Conflict(f"{doing}: {address.ip} belongs to {holder}")

    def _port_of(self, device: Device) -> tuple[Any, str]:
        """Find the port that carries the device's address, and its IPv4 address."""
        ports = list(self._connection.network.ports(device_id=device.id))
        # The one that is answered comes first; it may have no IPv4 address.
        ports.sort(key=lambda port: device.address not in _fixed(port))
        for port in ports:
            for fixed in _fixed(port):
                if ipaddress.ip_address(fixed).version == 4:
                    return port, fixed
        raise NotFound(f"{device.name} has no port with an IPv4 address")

    def _listing(self, **filters: str) -> list[Any]:
        with explained("listing the floating IPs"):
            return list(
                self._connection.network.ips(
                    project_id=self._connection.current_project_id, **filters
                )
            )

    def _mark_of(self, known: Any) -> re.Match[str] | None:
        mark = _MARK.fullmatch(known.description or "")
        return mark if mark is not None and mark["pool"] == self._basename else None

    def _address(self, known: Any, names: Mapping[str, str] | None = None) -> Address:
        mark = self._mark_of(known)
        holder = None
        if known.port_id:
            server = (known.port_details or {}).get("device_id") or ""
            holder = (names or {}).get(server) or server or f"port {known.port_id}"
        return Address(
            id=known.id,
            ip=known.floating_ip_address,
            key=mark["key"] if mark else "",
            device=holder,
            created_at=datetime.datetime.fromisoformat(known.created_at),
            # What is not ours is somebody's.
            delivered=mark is None or mark["delivered"] == "yes",
        )


def mark_text(basename: str, key: str, *, delivered: bool) -> str:
    """Give the description of a floating IP of ours; neutron allows 255 characters."""
    return f"libra pool={basename} delivered={'yes' if delivered else 'no'} key={key}"


def _fixed(port: Any) -> list[str]:
    return [one["ip_address"] for one in port.fixed_ips or ()]
