"""Nova's servers as devices, through python-novaclient.

A server carries its key and whether it was delivered in its metadata, set in the same POST that
makes it, so there is no moment at which one of ours could not be told from somebody else's.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from novaclient import exceptions as nova_errors

from libra_pool_mgm.clouds.base import Device, DeviceState, DeviceWish
from libra_pool_mgm.clouds.errors import CloudUnavailable, Conflict
from libra_pool_mgm.clouds.nova.failures import explained, fault_is_for_room
from libra_pool_mgm.clouds.nova.following import Following

BASENAME, KEY, DELIVERED = "libra_basename", "libra_key", "libra_delivered"
AMPHORA_ID = "libra_amphora_id"
"""The names of a server's metadata."""

_STATES = {
    "ACTIVE": DeviceState.ACTIVE,
    "BUILD": DeviceState.BUILDING,
    "DELETED": DeviceState.DELETING,
    "ERROR": DeviceState.FAILED,
    "SOFT_DELETED": DeviceState.DELETING,
}
_LISTINGS = 3  # attempts, each from the first page on


class Servers:
    """The servers of one pool (`basename`).

    `nova` is novaclient's client, `order` gives the arguments of a server to be made out of a
    wish and may raise BadRequest, `address_of` picks the address to answer with out of nova's
    `addresses`. All methods may be called from several threads.
    """

    def __init__(
        self,
        *,
        nova: Any,
        basename: str,
        order: Callable[[DeviceWish], Mapping[str, Any]],
        address_of: Callable[[Mapping[str, Any]], str | None],
    ) -> None:
        self._nova = nova
        self._basename = basename
        self._order = order
        self._address_of = address_of
        # Underscores of the basename are hyphens in names; the metadata tells pools apart.
        self._ours = {"name": f"^{_literal(basename).replace('_', '[_-]')}-"}
        self._following = Following(listing=self._details)

    def create(self, wish: DeviceWish) -> Device:
        """Order a server, or find the one that this key ordered before."""
        found = self.find(wish.name)
        if found is not None:
            if found.key != wish.key or found.amphora_id != _amphora_id(wish):
                raise Conflict(f"server {wish.name}: is there and belongs to another order")
            self._following.expect(found.id)
            return found
        order = self._order(wish)
        amphora_id = _amphora_id(wish)
        meta = {BASENAME: self._basename, KEY: wish.key, DELIVERED: "no"}
        with explained(f"server {wish.name}"):
            try:
                made = self._nova.servers.create(
                    name=wish.name,
                    meta=meta | ({AMPHORA_ID: amphora_id} if amphora_id else {}),
                    **order,
                )
            except Exception:
                self._following.expect_anything()  # nova may have made it all the same
                raise
        self._following.expect(made.id)
        return Device(
            id=made.id,
            name=wish.name,
            key=wish.key,
            state=DeviceState.BUILDING,
            address=None,
            image=str(order["image"]),
            az=str(order.get("availability_zone") or ""),
            created_at=datetime.datetime.now(datetime.UTC),
            delivered=False,
            amphora_id=amphora_id,
        )

    def all(self) -> Sequence[Device]:
        """List the servers of this pool."""
        with explained("listing the servers"):
            every = self._details()
        return [self._device(one) for one in every if self._is_ours(one)]

    def followed(self) -> Sequence[Device]:
        """List them for whoever asks again and again; `delivered` may be half a minute old."""
        with explained("listing the servers"):
            every = self._following.servers()
        return [self._device(one) for one in every if self._is_ours(one)]

    def find(self, name: str) -> Device | None:
        """Find a server of this pool by its name; raises Conflict where it is somebody else's.

        One without any metadata of ours, but with a name that begins as ours do, was built by
        the pool manager of old; it has no key, and is delivered.
        """
        exactly = f"^{_literal(name)}$"
        with explained(f"looking for server {name}"):
            try:
                found = self._listing("/servers/detail", name=exactly)
            except nova_errors.ClientException as error:
                if error.code < 500:
                    raise
                # The details need neutron, too; without it nova knows what servers there are.
                found = self._undetailed(exactly)
        # The database may not mind the case of letters.
        found = [one for one in found if one["name"] == name]
        ours = [one for one in found if self._is_ours(one)] or [
            one for one in found if self._is_of_old(one)
        ]
        if found and not ours:
            raise Conflict(f"server {name} is there and is not one of this pool's")
        return self._device(ours[0]) if ours else None

    def names(self) -> Mapping[str, str]:
        """Give the names of the servers of this basename by their ids, in one cheap listing."""
        with explained("listing the servers"):
            return {one["id"]: one["name"] for one in self._listing("/servers", **self._ours)}

    def mark_delivered(self, device: Device) -> None:
        """Write into the server's metadata that it serves somebody."""
        with explained(f"marking server {device.name} as delivered"):
            self._nova.servers.set_meta(device.id, {DELIVERED: "yes"})

    def delete(self, device: Device) -> None:
        """Order a server's end; one that is gone is no fault."""
        with explained(f"deleting server {device.name}"):
            try:
                self._nova.servers.delete(device.id)
            except nova_errors.NotFound:
                return

    def _details(self, **filters: str) -> list[Mapping[str, Any]]:
        return self._listing("/servers/detail", **self._ours, **filters)

    def _undetailed(self, exactly: str) -> list[Mapping[str, Any]]:
        # Not `nova.servers.list_meta`: that one asks for the details first.
        return [
            {**one, **self._nova.client.get(f"/servers/{one['id']}/metadata")[1]}
            for one in self._listing("/servers", name=exactly)
        ]

    def _is_ours(self, server: Mapping[str, Any]) -> bool:
        return bool(server.get("metadata", {}).get(BASENAME) == self._basename)

    def _is_of_old(self, server: Mapping[str, Any]) -> bool:
        begins = server["name"].replace("_", "-").startswith(f"{self._basename}-".replace("_", "-"))
        return begins and BASENAME not in server["metadata"]

    def _listing(self, path: str, **filters: str) -> list[Mapping[str, Any]]:
        """Read all pages of a listing; a single one costs a single call.

        novaclient's own `list` reads on until a page is empty, at least one call more, or stops
        at the first page, however short the cloud makes it.
        """
        for _ in range(_LISTINGS):
            try:
                return self._pages(path, filters)
            except nova_errors.BadRequest as error:
                # The last server of a page was deleted before the next one was read.
                if "marker" not in str(error).lower():
                    raise
        raise CloudUnavailable("listing the servers: they change faster than they can be read")

    def _pages(self, path: str, filters: Mapping[str, str]) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        query = dict(filters)
        while True:
            _, body = self._nova.client.get(f"{path}?{urlencode(query)}" if query else path)
            found += body["servers"]
            following = [
                link["href"] for link in body.get("servers_links", ()) if link["rel"] == "next"
            ]
            if not following:
                return found
            # Of the link only the marker: its host is nova's own, not the way to it from here.
            query["marker"] = parse_qs(urlsplit(following[0]).query)["marker"][0]

    def _device(self, server: Mapping[str, Any]) -> Device:
        metadata = server["metadata"]
        fault = (server.get("fault") or {}).get("message")
        state = state_of(server)
        if state is DeviceState.FAILED:
            fault = fault or "nova gives no reason"
        image = server.get("image")
        created = server.get("created")
        return Device(
            id=server["id"],
            name=server["name"],
            key=metadata.get(KEY, ""),
            state=state,
            address=self._address_of(server.get("addresses") or {}),
            image=str(image["id"]) if image else "",
            az=server.get("OS-EXT-AZ:availability_zone") or "",
            created_at=(
                datetime.datetime.fromisoformat(created)
                if created
                else datetime.datetime.now(datetime.UTC)
            ),
            delivered=metadata.get(DELIVERED) == "yes" or BASENAME not in metadata,
            fault=fault if state is DeviceState.FAILED else None,
            out_of_room=state is DeviceState.FAILED and fault_is_for_room(fault or ""),
            amphora_id=metadata.get(AMPHORA_ID),
        )


def _amphora_id(wish: DeviceWish) -> str | None:
    return None if wish.agent is None else wish.agent.amphora_id


def _literal(name: str) -> str:
    """Write a name as a regular expression of nova's database, whichever that is."""
    return name.replace(".", "[.]")


def state_of(server: Mapping[str, Any]) -> DeviceState:
    """Map nova's status; without one, the server is taken to be building.

    Whatever a built server may be in besides (SHUTOFF, REBOOT, ...) counts as active: it was
    built, and whether its worker answers is seen at gearmand.
    """
    status = server.get("status", "BUILD")
    if server.get("OS-EXT-STS:task_state") == "deleting" and status != "ERROR":
        return DeviceState.DELETING
    return _STATES.get(status, DeviceState.ACTIVE)


def address_of(
    addresses: Mapping[str, Sequence[Mapping[str, Any]]], *, network: str, family: int
) -> str | None:
    """Pick the fixed address of an IP `family` (4 or 6) on the network of that name.

    With no `network` that of the first network that has one; nova names them in alphabetical
    order, so with several networks the setting should be there.
    """
    for name in [network] if network else sorted(addresses):
        for one in addresses.get(name, ()):
            if one["version"] == family and one.get("OS-EXT-IPS:type", "fixed") == "fixed":
                return str(one["addr"])
    return None
