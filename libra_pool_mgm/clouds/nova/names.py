"""The names of the settings (image, flavor, network, group, key) as the cloud's own ids.

Each is looked up once and remembered; `forget` is called when the cloud refused an order, because
an image or a network may have been replaced by another one of the same name.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from openstack import exceptions as sdk
from openstack.connection import Connection

from libra_pool_mgm.clouds.errors import BadRequest
from libra_pool_mgm.clouds.nova.failures import explained


@dataclass(frozen=True)
class Named:
    """A thing of the cloud; `id` and `name` are the cloud's."""

    id: str
    name: str


class Names:
    """Finds things by name or id; each method raises BadRequest naming `where` it was written.

    `where` is a setting such as `[mgm] nova_image`, or the field of a message.
    """

    def __init__(self, *, connection: Connection, nova: Any) -> None:
        self._connection = connection
        self._nova = nova
        self._known: dict[tuple[str, str], Named] = {}
        self._lock = threading.Lock()

    def forget(self) -> None:
        """Look everything up again when it is next asked for."""
        with self._lock:
            self._known.clear()

    def image(self, wanted: str, where: str) -> Named:
        """An image that this project may use."""
        return self._find("image", wanted, where, self._image)

    def flavor(self, wanted: str, where: str) -> Named:
        """A flavor that this project may use."""
        return self._find("flavor", wanted, where, self._flavor)

    def network(self, wanted: str, where: str) -> Named:
        """A network for devices."""
        return self._find("network", wanted, where, self._network)

    def group(self, wanted: str, where: str) -> Named:
        """A security group of this project."""
        return self._find("security group", wanted, where, self._group)

    def key(self, wanted: str, where: str) -> Named:
        """A key pair of this user."""
        return self._find("key pair", wanted, where, self._key)

    def zone(self, wanted: str, where: str) -> Named:
        """An availability zone that takes servers."""
        return self._find("availability zone", wanted, where, self._zone)

    def floating_network(self, wanted: str, where: str) -> Named:
        """The external network of floating IPs; the only one where `wanted` is empty."""
        return self._find("external network", wanted, where, self._external)

    def _find(
        self, kind: str, wanted: str, where: str, look: Callable[[str], list[Named]]
    ) -> Named:
        with self._lock:
            known = self._known.get((kind, wanted))
        if known is not None:
            return known
        with explained(f"{where} = {wanted!r}"):
            try:
                found = look(wanted)
            except sdk.DuplicateResource:
                found = [Named("", wanted)] * 2
        if len(found) != 1:
            how_many = f"{len(found)} of them: use the id" if found else f"no such {kind}"
            raise BadRequest(f"{where} = {wanted!r}: the cloud has {how_many}")
        with self._lock:
            self._known[kind, wanted] = found[0]
        return found[0]

    def _image(self, wanted: str) -> list[Named]:
        return _listed(self._connection.image.find_image(wanted, ignore_missing=True))

    def _network(self, wanted: str) -> list[Named]:
        return _listed(self._connection.network.find_network(wanted, ignore_missing=True))

    def _group(self, wanted: str) -> list[Named]:
        project = self._connection.current_project_id
        return _listed(
            self._connection.network.find_security_group(
                wanted, ignore_missing=True, project_id=project
            )
        )

    def _external(self, wanted: str) -> list[Named]:
        every = [
            Named(str(one.id), str(one.name))
            for one in self._connection.network.networks(is_router_external=True)
        ]
        return _matching(every, wanted) if wanted else every

    def _flavor(self, wanted: str) -> list[Named]:
        every = self._nova.flavors.list(detailed=False)
        return _matching([Named(one.id, one.name) for one in every], wanted)

    def _key(self, wanted: str) -> list[Named]:
        every = self._nova.keypairs.list()
        return [Named(one.id, one.name) for one in every if one.name == wanted]

    def _zone(self, wanted: str) -> list[Named]:
        every = self._nova.availability_zones.list(detailed=False)
        return [Named(one.zoneName, one.zoneName) for one in every if one.zoneName == wanted]


def _listed(found: Any) -> list[Named]:
    return [] if found is None else [Named(str(found.id), str(found.name))]


def _matching(every: list[Named], wanted: str) -> list[Named]:
    """An id is stronger than a name."""
    return [one for one in every if one.id == wanted] or [
        one for one in every if one.name == wanted
    ]
