"""Devices from OpenStack: nova's servers, neutron's floating IPs and ports, as `base.Cloud`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from openstack.config.cloud_region import CloudRegion

from libra_common.settings import GearmanSettings, MgmSettings, NovaSettings, Settings
from libra_pool_mgm.clouds.base import Address, Cloud, Device, DeviceWish, Port, PortWish
from libra_pool_mgm.clouds.errors import BadRequest, CloudError
from libra_pool_mgm.clouds.nova import session
from libra_pool_mgm.clouds.nova.addresses import Addresses
from libra_pool_mgm.clouds.nova.failures import explained
from libra_pool_mgm.clouds.nova.names import Named, Names
from libra_pool_mgm.clouds.nova.ports import Ports
from libra_pool_mgm.clouds.nova.servers import Servers, address_of
from libra_pool_mgm.clouds.nova.userdata import user_data

LOG = logging.getLogger(__name__)


def make_cloud(settings: Settings) -> Cloud:
    """Make the cloud of these settings, connecting to nothing yet; raises SettingsError."""
    return NovaCloud(
        region=session.cloud_region(settings.mgm, settings.nova),
        mgm=settings.mgm,
        nova=settings.nova,
        gearman=settings.gearman,
    )


class NovaCloud:
    """One project of an OpenStack cloud.

    `region` says where it is and how to log in; `mgm` and `nova` what servers are made of, and
    with `gearman` what they are told at their first boot.
    """

    def __init__(
        self,
        *,
        region: CloudRegion,
        mgm: MgmSettings,
        nova: NovaSettings,
        gearman: GearmanSettings,
    ) -> None:
        self._mgm = mgm
        self._settings = nova
        self._gearman = gearman
        self._connection = session.connection(region)
        novaclient = session.nova(region)
        self._names = Names(connection=self._connection, nova=novaclient)
        self._servers = Servers(
            nova=novaclient, basename=mgm.node_basename, order=self._order, address_of=self._answer
        )
        self._floating = Addresses(
            connection=self._connection,
            basename=mgm.node_basename,
            network=lambda: self._floating_network().id,
            names=self._servers.names,
        )
        self._ports = Ports(
            connection=self._connection,
            nova=novaclient,
            basename=mgm.node_basename,
            names=self._servers.names,
            network=lambda wanted: self._names.network(wanted, "network").id,
            group=lambda wanted: self._names.group(wanted, "security_groups").id,
        )

    def check(self) -> None:
        """Log in, and find every name of the settings; raises CloudErrors."""
        with explained("logging in"):
            self._connection.session.get_token()
        self._names.forget()
        self._order(DeviceWish(key="check", name="check"))
        self._address_network()
        self._floating_network()

    def prepare(self) -> None:
        """Nothing is needed."""

    def close(self) -> None:
        """Let go of the connections; servers live on."""
        self._connection.close()

    def create_device(self, wish: DeviceWish) -> Device:
        """Order a server; see `base.Cloud`."""
        try:
            return self._servers.create(wish)
        except BadRequest:
            self._names.forget()
            raise

    def devices(self) -> Sequence[Device]:
        """List the pool's servers."""
        return self._servers.all()

    def followed_devices(self) -> Sequence[Device]:
        """List them, most times by what has changed; see `following`."""
        return self._servers.followed()

    def find_device(self, name: str) -> Device | None:
        """Find a server by its name."""
        return self._servers.find(name)

    def mark_delivered(self, device: Device) -> None:
        """Note in the server's metadata that it was answered with PASS."""
        self._servers.mark_delivered(device)

    def delete_device(self, device: Device) -> None:
        """Order a server's end, after that of its ports: nova would leave them."""
        try:
            self._ports.delete_of(device)
        except CloudError as error:
            # Without neutron servers go all the same; a sweep finds the ports.
            LOG.warning("the ports of %s are left for the sweep: %s", device.name, error)
        self._servers.delete(device)

    def create_address(self, *, key: str) -> Address:
        """Allocate a floating IP; see `base.Cloud`."""
        try:
            return self._floating.create(key)
        except BadRequest:
            self._names.forget()
            raise

    def addresses(self) -> Sequence[Address]:
        """List the pool's floating IPs."""
        return self._floating.all()

    def find_address(self, ip: str) -> Address | None:
        """Find a floating IP of the project."""
        return self._floating.find(ip)

    def mark_address_delivered(self, address: Address) -> None:
        """Note in the floating IP's description that it was answered with PASS."""
        self._floating.mark_delivered(address)

    def assign_address(self, address: Address, device: Device) -> None:
        """Associate a floating IP with a server's port."""
        self._floating.assign(address, device)

    def remove_address(self, address: Address, device: Device) -> None:
        """Take a floating IP from a server's port, and keep it."""
        self._floating.remove(address, device)

    def delete_address(self, address: Address) -> None:
        """Give a floating IP back."""
        self._floating.delete(address)

    def create_port(self, wish: PortWish, device: Device) -> Port:
        """Make a port of neutron; see `base.Cloud`."""
        try:
            return self._ports.create(wish, device)
        except BadRequest:
            self._names.forget()
            raise

    def ports(self) -> Sequence[Port]:
        """List the pool's ports."""
        return self._ports.all()

    def find_port(self, identity: str) -> Port | None:
        """Find a port by its id."""
        return self._ports.find(identity)

    def change_port(self, port: Port, addresses: Sequence[str]) -> None:
        """Change a port's allowed address pairs."""
        self._ports.change(port, addresses)

    def attach_port(self, port: Port, device: Device) -> None:
        """Have nova plug a port into a server."""
        self._ports.attach(port, device)

    def delete_port(self, port: Port) -> None:
        """Have nova unplug a port, and give it back."""
        self._ports.delete(port)

    def _order(self, wish: DeviceWish) -> Mapping[str, Any]:
        """Put together what novaclient's `servers.create` takes besides name and metadata."""
        mgm = self._mgm
        order: dict[str, Any] = {
            "image": self._names.image(*_wanted(wish.image, "image", mgm.nova_image)).id,
            "flavor": self._names.flavor(
                *_wanted(wish.flavor, "flavor", mgm.nova_image_size, setting="nova_image_size")
            ).id,
            "userdata": user_data(
                wish.name, gearman=self._gearman, nova=self._settings, agent=wish.agent
            ),
        }
        if wish.network or mgm.nova_net_id:
            network = self._names.network(
                *_wanted(wish.network, "network", mgm.nova_net_id, setting="nova_net_id")
            )
            order["nics"] = [{"net-id": network.id}]
        if wish.az or mgm.nova_az_name:
            zone = self._names.zone(
                *_wanted(wish.az, "az", mgm.nova_az_name, setting="nova_az_name")
            )
            order["availability_zone"] = zone.id
        if mgm.nova_secgroup:
            order["security_groups"] = [
                self._names.group(mgm.nova_secgroup, "[mgm] nova_secgroup").id
            ]
        if mgm.nova_keyname:
            order["key_name"] = self._names.key(mgm.nova_keyname, "[mgm] nova_keyname").name
        return order

    def _answer(self, addresses: Mapping[str, Any]) -> str | None:
        network = self._address_network()
        return address_of(
            addresses,
            network=network.name if network else "",
            family=int(self._settings.address_family),
        )

    def _address_network(self) -> Named | None:
        wanted = self._settings.address_network
        return self._names.network(wanted, "[mgm:nova] address_network") if wanted else None

    def _floating_network(self) -> Named:
        return self._names.floating_network(
            self._settings.floating_network, "[mgm:nova] floating_network"
        )


def _wanted(
    of_message: str | None, field: str, of_settings: str, *, setting: str = ""
) -> tuple[str, str]:
    """Say which name counts and where it was written; raises BadRequest where there is none."""
    if of_message:
        return of_message, field
    where = f"[mgm] {setting or f'nova_{field}'}"
    if not of_settings:
        raise BadRequest(f"{where}: must be set; it says what a device is made of")
    return of_settings, where
