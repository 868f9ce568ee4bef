"""Neutron's ports, attached to servers by nova.

What a port of ours is, and for which server, stands in its description, set in the same POST that
makes it; its name is the key that it was asked for with. Nova gives back only what it made itself:
a port of ours outlives its server unless it is deleted here.
"""

from __future__ import annotations

import contextlib
import datetime
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from novaclient import exceptions as nova_errors
from openstack import exceptions as sdk
from openstack.connection import Connection

from libra_pool_mgm.clouds.base import Device, FixedIp, HostRoute, Port, PortWish
from libra_pool_mgm.clouds.errors import BadRequest, CloudTimeout, Conflict
from libra_pool_mgm.clouds.nova.failures import explained

_MARK = re.compile(r"libra pool=(?P<pool>\S+) device=(?P<device>\S+)")
_RELEASE_SECONDS = 10.0
"""How long nova may take to let go of ports."""

_LOOK_SECONDS = 0.3


class Ports:
    """The ports of one pool (`basename`).

    `names` gives the names of the pool's servers by their ids, `network` and `group` the ids of
    what a message names, and raise BadRequest. May be used from several threads.
    """

    def __init__(
        self,
        *,
        connection: Connection,
        nova: Any,
        basename: str,
        names: Callable[[], Mapping[str, str]],
        network: Callable[[str], str],
        group: Callable[[str], str],
    ) -> None:
        self._connection = connection
        self._nova = nova
        self._basename = basename
        self._names = names
        self._network = network
        self._group = group

    def create(self, wish: PortWish, device: Device) -> Port:
        """Make a port, or find the one that this key asked for before."""
        for known in self._listing(name=wish.key):
            mark = self._mark_of(known)
            if mark is not None:
                if mark["device"] != device.id:
                    raise Conflict(f"port {known.id} of key {wish.key} is another server's")
                return self._shown([known], {device.id: device.name})[0]
        order = self._order(wish)
        with explained(f"port {wish.key} of {device.name}"):
            made = self._connection.network.create_port(
                name=wish.key, description=mark_text(self._basename, device.id), **order
            )
        return self._shown([made], {device.id: device.name})[0]

    def all(self) -> Sequence[Port]:
        """List the ports of this pool."""
        ours = [one for one in self._listing() if self._mark_of(one) is not None]
        # Names after ports: a port whose server is not among them has none any more.
        return self._shown(ours, self._names()) if ours else []

    def find(self, identity: str) -> Port | None:
        """Find a port by its id; raises Conflict where it is somebody else's."""
        with explained(f"looking for port {identity}"):
            try:
                known = self._connection.network.get_port(identity)
            except sdk.NotFoundException:
                return None
        if self._mark_of(known) is None:
            raise Conflict(f"port {identity} is there and is not one of this pool's")
        return self._shown([known], self._names())[0]

    def change(self, port: Port, addresses: Sequence[str]) -> None:
        """Let a port have these addresses besides its own."""
        with explained(f"changing the addresses of port {port.id}"):
            self._connection.network.update_port(port.id, allowed_address_pairs=_pairs(addresses))

    def attach(self, port: Port, device: Device) -> None:
        """Have the server have the port, unless it has; nova answers when it was plugged."""
        if port.attached:
            return
        with explained(f"attaching port {port.id} to {device.name}"):
            try:
                self._nova.servers.interface_attach(device.id, port.id, None, None)
            except nova_errors.ClientException as error:
                # Of a call that nobody heard the end of: what it began may have been done since.
                if error.code in (400, 409) and self._attached_now(port.id, device.id):
                    return
                raise

    def delete(self, port: Port) -> None:
        """Take a port from its server and give it back; one that is gone is no fault."""
        with explained(f"deleting port {port.id}"):
            known = self._connection.network.find_port(port.id, ignore_missing=True)
            if known is not None:
                self._delete([known])

    def delete_of(self, device: Device) -> None:
        """Give back every port of a server that goes itself."""
        marked = [(self._mark_of(known), known) for known in self._listing()]
        ours = [known for mark, known in marked if mark is not None and mark["device"] == device.id]
        with explained(f"deleting the ports of {device.name}"):
            self._delete(ours)

    def _delete(self, ports: Sequence[Any]) -> None:
        """Have nova unplug ports, and delete each: neutron deletes none that a server has.

        Raises CloudTimeout naming those that nova does not let go of.
        """
        for known in ports:
            if known.device_id:
                # A server that does not have it any more is no fault, nor is one that is gone.
                with contextlib.suppress(nova_errors.NotFound):
                    self._nova.servers.interface_detach(known.device_id, known.id)
        deadline = time.monotonic() + _RELEASE_SECONDS
        held = [known.id for known in ports if not self._deleted(known, deadline)]
        if held:
            raise CloudTimeout(
                f"nova has not let go of port {', '.join(held)} within {_RELEASE_SECONDS:g} s"
            )

    def _deleted(self, known: Any, deadline: float) -> bool:
        """Delete a port once no server has it; whether that was in time."""
        while known is not None and known.device_id:
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOOK_SECONDS)
            known = self._connection.network.find_port(known.id, ignore_missing=True)
        if known is not None:
            self._connection.network.delete_port(known.id, ignore_missing=True)
        return True

    def _attached_now(self, identity: str, server: str) -> bool:
        known = self._connection.network.find_port(identity, ignore_missing=True)
        return known is not None and known.device_id == server

    def _order(self, wish: PortWish) -> Mapping[str, Any]:
        """Put together what neutron is asked for besides name and description."""
        fixed: dict[str, str] = {}
        network = None if wish.network is None else self._network(wish.network)
        if wish.subnet is not None:
            with explained(f"subnet = {wish.subnet!r}"):
                subnet = self._connection.network.find_subnet(wish.subnet, ignore_missing=True)
            if subnet is None:
                raise BadRequest(f"subnet = {wish.subnet!r}: no such subnet")
            if network not in (None, subnet.network_id):
                raise BadRequest(
                    f"network = {wish.network!r}: subnet {wish.subnet} is in {subnet.network_id}"
                )
            network, fixed["subnet_id"] = subnet.network_id, subnet.id
        if network is None:
            raise BadRequest("subnet: must be given, or network; it says where the port is")
        if wish.ip is not None:
            fixed["ip_address"] = wish.ip
        order: dict[str, Any] = {
            "network_id": network,
            "allowed_address_pairs": _pairs(wish.addresses),
        }
        if fixed:
            order["fixed_ips"] = [fixed]
        if wish.security_groups is not None:
            order["security_group_ids"] = [self._group(one) for one in wish.security_groups]
        return order

    def _listing(self, **filters: str) -> list[Any]:
        with explained("listing the ports"):
            return list(
                self._connection.network.ports(
                    project_id=self._connection.current_project_id, **filters
                )
            )

    def _mark_of(self, known: Any) -> re.Match[str] | None:
        mark = _MARK.fullmatch(known.description or "")
        return mark if mark is not None and mark["pool"] == self._basename else None

    def _shown(self, ports: Sequence[Any], names: Mapping[str, str]) -> list[Port]:
        """Ports as others see them; two calls for all that is known of their networks."""
        with explained("listing the subnets"):
            subnets = {one.id: one for one in self._connection.network.subnets()}
            networks = {one.id: one for one in self._connection.network.networks()}
        return [self._port(known, names, subnets, networks) for known in ports]

    def _port(
        self,
        known: Any,
        names: Mapping[str, str],
        subnets: Mapping[str, Any],
        networks: Mapping[str, Any],
    ) -> Port:
        mark = self._mark_of(known)
        server = mark["device"] if mark else ""
        fixed = tuple(
            _fixed(one["ip_address"], subnets[one["subnet_id"]])
            for one in known.fixed_ips or ()
            if one["subnet_id"] in subnets
        )
        network = networks.get(known.network_id)
        return Port(
            id=known.id,
            key=known.name,
            device=names.get(server),
            attached=known.device_id == server,
            mac=known.mac_address.lower(),
            mtu=(network and network.mtu) or _USUAL_MTU,
            fixed_ips=fixed,
            addresses=tuple(one["ip_address"] for one in known.allowed_address_pairs or ()),
            created_at=datetime.datetime.fromisoformat(known.created_at),
        )


_USUAL_MTU = 1500
"""Where neutron does not tell a network's."""


def mark_text(basename: str, device: str) -> str:
    """Give the description of a port of ours; neutron allows 255 characters."""
    return f"libra pool={basename} device={device}"


def _pairs(addresses: Sequence[str]) -> list[dict[str, str]]:
    return [{"ip_address": address} for address in addresses]


def _fixed(ip: str, subnet: Any) -> FixedIp:
    return FixedIp(
        ip=ip,
        cidr=subnet.cidr,
        gateway=subnet.gateway_ip or None,
        host_routes=tuple(
            HostRoute(destination=one["destination"], nexthop=one["nexthop"])
            for one in subnet.host_routes or ()
        ),
    )
