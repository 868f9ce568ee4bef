"""The ports of the local cloud: made, attached to a device, led to, given back.

A port is a veth pair from the device to the bridge. It has addresses of the ranges of ports; what
else it may have (`addresses`, VIPs) is looked for on the bridge by whoever is in the outer
namespace, so that it is found where a device answers for it.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from ipaddress import ip_address

from libra_common.crash import crash_point
from libra_pool_mgm.clouds.base import Device, FixedIp, Port, PortWish
from libra_pool_mgm.clouds.errors import BadRequest, Conflict, NotFound
from libra_pool_mgm.clouds.local import network, ranges
from libra_pool_mgm.clouds.local.books import Books, now, told
from libra_pool_mgm.clouds.local.machine import Machine
from libra_pool_mgm.clouds.local.records import PortRecord


class Ports:
    """The ports in `books`, on `machine`."""

    def __init__(self, *, books: Books, machine: Machine) -> None:
        self._books = books
        self._machine = machine
        self._ranges: Mapping[int, ranges.Network] = {
            4: machine.settings.ports,
            6: machine.settings.ports_ipv6,
        }

    def create(self, wish: PortWish, device: Device) -> Port:
        """A port for a device, the same one again for the same key.

        Its own address is of the family of `ip`, else of the first of `addresses`, else of IPv4,
        and where there are `addresses` of the other family it has one of that too. Any subnet and
        any network are this one; groups there are none. Raises BadRequest, Conflict, NoCapacity,
        NotFound.
        """
        with self._books.locked(), told():
            holder = self._books.device(device.id)
            if holder is None or holder.deleting:
                raise NotFound(f"device {device.name} is gone")
            known = self._books.ports.all()
            record = next((one for one in known if one.key == wish.key), None)
            if record is None:
                self._refuse_addresses(wish.addresses)
                identity = uuid.uuid4()
                record = PortRecord(
                    id=str(identity),
                    key=wish.key,
                    device=holder.id,
                    mac=_mac(identity),
                    ips=self._ips(wish, known),
                    addresses=wish.addresses,
                    created_at=now().isoformat(),
                )
                self._books.ports.write(record)
                crash_point("local_port_recorded")
            elif record.device != holder.id:
                raise Conflict(f"the port of key {wish.key} is another device's")
            return self._shown(record)

    def all(self) -> list[Port]:
        """Every port, the oldest first."""
        with told():
            records = self._books.ports.all()
            names = {record.id: record.name for record in self._books.devices}
            links = self._machine.links() if records else frozenset()
            return [self._shown(record, names, links) for record in records]

    def find(self, identity: str) -> Port | None:
        """The port of that id, None where there is none."""
        with told():
            record = self._books.port(identity)
            return None if record is None else self._shown(record)

    def change(self, port: Port, addresses: Sequence[str]) -> None:
        """Have these addresses looked for on the bridge, and of this port's no others."""
        with self._books.locked(), told():
            record = self._known(port)
            self._refuse_addresses(addresses)
            new = replace(record, addresses=tuple(addresses))
            self._books.ports.write(new)
            crash_point("local_port_changed")
            with self._machine.opened_outer() as outer:
                if network.port_link(record.id) in network.links(outer):
                    self._lead(outer, new)
                self._lead_nowhere(outer, record.addresses)

    def attach(self, port: Port, device: Device) -> None:
        """Have a device have a port; once more is no fault. Raises Conflict, NotFound."""
        with self._books.locked(), told():
            record, holder = self._known(port), self._books.device(device.id)
            if holder is None or holder.deleting:
                raise NotFound(f"device {device.name} is gone")
            if record.device != holder.id:
                raise Conflict(f"port {record.id} is another device's")
            node = self._machine.node(holder)
            with self._machine.opened_outer() as outer, node.opened() as inside:
                if inside is None:
                    raise Conflict(f"device {device.name} does not run")
                for ip in record.ips:
                    of = self._ranges[ip_address(ip).version]
                    network.lay_out_ports(outer, gateway=ranges.gateway_of_ports(of), ports=of)
                self._lead(outer, record)
                crash_point("local_port_led")
                network.attach(outer, inside, identity=record.id, mac=record.mac)
                crash_point("local_port_linked")

    def delete(self, port: Port) -> None:
        """Take a port from its device and give it back; none there is no fault."""
        with self._books.locked(), told():
            record = self._books.port(port.id)
            if record is not None:
                with self._machine.opened_outer() as outer:
                    self.give_back(outer, record)

    def give_back(self, outer: int, record: PortRecord) -> None:
        """The same, with the cloud's lock held and the outer namespace at hand."""
        network.detach(outer, identity=record.id)
        crash_point("local_port_unlinked")
        self._books.ports.remove(record)
        self._lead_nowhere(outer, record.addresses)

    def refuse_if_led_to(self, ip: str) -> None:
        """Raise Conflict where a port has an address that is to be routed to a device."""
        holder = next((one for one in self._books.ports if ip in one.addresses), None)
        if holder is not None:
            raise Conflict(f"{ip} is an address of port {holder.id}")

    # -- addresses -------------------------------------------------------------------------

    def _ips(self, wish: PortWish, known: Iterable[PortRecord]) -> tuple[str, ...]:
        taken = {ip for one in known for ip in (*one.ips, *one.addresses)} | set(wish.addresses)
        taken |= {str(ranges.gateway_of_ports(of)) for of in self._ranges.values()}
        wanted = [ip_address(ip).version for ip in (wish.ip, *wish.addresses) if ip] or [4]
        return tuple(
            self._own(wish.ip, taken)
            if wish.ip and ip_address(wish.ip).version == version
            else ranges.free_address(self._ranges[version], taken)
            for version in dict.fromkeys(wanted)
        )

    def _own(self, ip: str, taken: Collection[str]) -> str:
        """The address that was asked for, if it can be had."""
        address = ip_address(ip)
        of = self._ranges[address.version]
        if address not in of or address in (of.network_address, of.broadcast_address):
            raise BadRequest(f"ip: {ip} is no address of {of}, the range of ports")
        if ip in taken:
            raise Conflict(f"ip: {ip} is in use")
        return ip

    def _refuse_addresses(self, addresses: Iterable[str]) -> None:
        """Raise where an address cannot be looked for on the bridge."""
        settings = self._machine.settings
        ours: set[ranges.Address] = {ranges.gateway(settings.devices)}
        ours |= {ranges.gateway_of_ports(of) for of in self._ranges.values()}
        used = {self._machine.node(record).address for record in self._books.devices}
        for ip in addresses:
            address = ip_address(ip)
            if address.is_loopback or address.is_link_local:
                raise BadRequest(f"addresses: {ip} is no address that others can reach")
            if address in ours or address in used:
                raise Conflict(f"addresses: {ip} is in use")
            floating = self._books.address(ip)
            if floating is not None and floating.device is not None:
                raise Conflict(f"addresses: {ip} is a floating IP that a device holds")

    def _lead(self, outer: int, record: PortRecord) -> None:
        for ip in record.addresses:
            of = self._ranges[ip_address(ip).version]
            source = ranges.gateway_of_ports(of)
            network.lay_out_ports(outer, gateway=source, ports=of)
            network.lead(outer, ip=ip, source=source)

    def _lead_nowhere(self, outer: int, addresses: Iterable[str]) -> None:
        """Of these addresses, those that no port has any more."""
        used = {ip for record in self._books.ports for ip in record.addresses}
        for ip in addresses:
            if ip not in used:
                network.lead_nowhere(outer, ip=ip)

    # -- as others see them ------------------------------------------------------------------

    def _known(self, port: Port) -> PortRecord:
        record = self._books.port(port.id)
        if record is None:
            raise NotFound(f"port {port.id} is gone")
        return record

    def _shown(
        self,
        record: PortRecord,
        names: Mapping[str, str] | None = None,
        links: Collection[str] | None = None,
    ) -> Port:
        """A port as others see it; `names` are the devices' by their ids."""
        if names is None:
            names = {one.id: one.name for one in self._books.devices}
        if links is None:
            links = self._machine.links()
        return Port(
            id=record.id,
            key=record.key,
            device=names.get(record.device),
            attached=network.port_link(record.id) in links,
            mac=record.mac,
            mtu=network.MTU,
            fixed_ips=tuple(map(self._fixed, record.ips)),
            addresses=record.addresses,
            created_at=datetime.fromisoformat(record.created_at),
        )

    def _fixed(self, ip: str) -> FixedIp:
        of = self._ranges[ip_address(ip).version]
        return FixedIp(ip=ip, cidr=str(of), gateway=str(ranges.gateway_of_ports(of)))


def _mac(identity: uuid.UUID) -> str:
    """A hardware address that is locally administered, of 40 bits of an id."""
    return ":".join(f"{byte:02x}" for byte in (0x02, *identity.bytes[:5]))
