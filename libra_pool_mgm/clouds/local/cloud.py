"""The local cloud: devices and floating IPs on this machine, as `clouds.base.Cloud` asks for."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network
from pathlib import Path

from libra_pool_mgm.clouds.base import Address, Device, DeviceWish, Port, PortWish
from libra_pool_mgm.clouds.errors import CloudTimeout
from libra_pool_mgm.clouds.local import needs
from libra_pool_mgm.clouds.local.addresses import Addresses
from libra_pool_mgm.clouds.local.books import Books, told
from libra_pool_mgm.clouds.local.devices import ONLY, Devices
from libra_pool_mgm.clouds.local.machine import Machine
from libra_pool_mgm.clouds.local.node import NodeSettings
from libra_pool_mgm.clouds.local.ports import Ports


class LocalCloud:
    """Devices as network namespaces; everything that is known of them is in `folder`.

    `addresses` is the range of floating IPs; `settings` hold the range of devices and what they
    run; `az` is the one zone. `deadline` is in seconds, for the cloud's locks. With `own_outer`
    devices hang on a bridge in the network namespace of the process itself. Several processes may
    use one folder. What a method promises is said where it is done, in `devices`, `addresses` and
    `ports`.
    """

    def __init__(
        self,
        *,
        folder: Path,
        addresses: IPv4Network,
        settings: NodeSettings,
        az: str = ONLY,
        deadline: float = 30.0,
        own_outer: bool = False,
    ) -> None:
        self._books = books = Books(folder=folder, deadline=deadline)
        self._machine = machine = Machine(
            folder=folder, books=books, settings=settings, own_outer=own_outer
        )
        self._settings = settings
        self._own_outer = own_outer
        self._ports = ports = Ports(books=books, machine=machine)
        self._devices = Devices(books=books, machine=machine, ports=ports, az=az)
        self._addresses = Addresses(books=books, machine=machine, ports=ports, of=addresses)
        self.outer = machine.outer

    def check(self) -> None:
        """Prove that devices can be made here: rights, kernel, programs, user, folder.

        Raises Unauthorized, CloudUnavailable or BadRequest, each naming what is missing.
        """
        needs.prove(changes_user=self._settings.account.changes)
        self._settings.account.prove(self._settings.haproxy)
        with self._books.locked():
            self._books.devices.all()
            self._books.addresses.all()
            self._books.ports.all()

    def prepare(self) -> None:
        """Have the bridge there where it is in our own namespace: others bind its addresses."""
        if self._own_outer:
            with self._books.locked(), told():
                self._machine.prepare()

    def close(self) -> None:
        """Nothing is held; devices live on."""

    # -- devices ---------------------------------------------------------------------------

    def create_device(self, wish: DeviceWish) -> Device:
        """Make a device, or go on with what an earlier try left."""
        return self._devices.create(wish)

    def devices(self) -> list[Device]:
        """Every device, the oldest first."""
        return self._devices.all()

    def find_device(self, name: str) -> Device | None:
        """The device of that name, None where there is none."""
        return self._devices.find(name)

    def mark_delivered(self, device: Device) -> None:
        """Note that this device was answered with PASS."""
        self._devices.mark_delivered(device)

    def delete_device(self, device: Device) -> None:
        """End a device and all that runs in it."""
        self._devices.delete(device)

    # -- floating IPs ----------------------------------------------------------------------

    def create_address(self, *, key: str) -> Address:
        """A floating IP that nobody holds, the same one again for the same key."""
        return self._addresses.create(key=key)

    def addresses(self) -> list[Address]:
        """Every floating IP, the oldest first."""
        return self._addresses.all()

    def find_address(self, ip: str) -> Address | None:
        """The floating IP that is `ip`, None where there is none."""
        return self._addresses.find(ip)

    def mark_address_delivered(self, address: Address) -> None:
        """Note that this address was answered with PASS."""
        self._addresses.mark_delivered(address)

    def assign_address(self, address: Address, device: Device) -> None:
        """Route an address into a device; once more is no fault."""
        self._addresses.assign(address, device)

    def remove_address(self, address: Address, device: Device) -> None:
        """Route an address nowhere and keep it; held by nobody is no fault."""
        self._addresses.remove(address, device)

    def delete_address(self, address: Address) -> None:
        """Give an address back; none there is no fault."""
        self._addresses.delete(address)

    # -- ports -----------------------------------------------------------------------------

    def create_port(self, wish: PortWish, device: Device) -> Port:
        """A port for this device, the same one again for the same key."""
        return self._ports.create(wish, device)

    def ports(self) -> list[Port]:
        """Every port, the oldest first."""
        return self._ports.all()

    def find_port(self, identity: str) -> Port | None:
        """The port of that id, None where there is none."""
        return self._ports.find(identity)

    def change_port(self, port: Port, addresses: Sequence[str]) -> None:
        """Have a port have these addresses besides its own."""
        self._ports.change(port, addresses)

    def attach_port(self, port: Port, device: Device) -> None:
        """Have the device have the port; once more is no fault."""
        self._ports.attach(port, device)

    def delete_port(self, port: Port) -> None:
        """Take a port from its device and give it back; none there is no fault."""
        self._ports.delete(port)

    # -- the end ---------------------------------------------------------------------------

    def remove_everything(self) -> None:
        """End every device, give back every floating IP, and end the outer namespace.

        Raises CloudTimeout where something does not end. What is left of `folder` is its locks.
        """
        for device in self.devices():
            self.delete_device(device)
        for port in self.ports():
            self.delete_port(port)
        for address in self.addresses():
            self.delete_address(address)
        if not self.outer.end():
            raise CloudTimeout("the outer namespace's holder does not end")
