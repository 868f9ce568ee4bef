"""The ports of a node, as the kernel has them: found, moved in, laid out, put back, announced.

Knows nothing of what is stored; `Network` decides what shall be, this makes it so. A port that
was just added to the machine is in the agent's own namespace, and is moved into the node's.
"""

from __future__ import annotations

import fcntl
import logging
import socket
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from libra_amphora import advertise, firewall
from libra_amphora.layout import Layout
from libra_amphora.links import Link, Links
from libra_amphora.namespace import Namespace
from libra_amphora.network_errors import NoSuchInterface
from libra_amphora.plugged import Allowed, IPAddress, Plug

LOG = logging.getLogger(__name__)

T = TypeVar("T")

_HERE = Path("/proc/thread-self/ns/net")  # where the calling thread is
_OUTSIDE = Path("/proc/self/ns/net")  # where the agent is
_SIOCGIFFLAGS = 0x8913
_IFREQ = struct.Struct("16sH22x")  # struct ifreq: the name and its flags
_IFF_UP = 0x1
_NONLOCAL_BIND = tuple(
    Path(f"/proc/sys/net/{family}/ip_nonlocal_bind") for family in ("ipv4", "ipv6")
)


@dataclass(frozen=True)
class Port:
    """An interface, and whether it is in the node's namespace already."""

    link: Link
    inside: bool


class Ports:
    """The ports in and before a namespace. Every method raises NetworkError."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace

    # -- looking -----------------------------------------------------------------------------

    def find(self, mac: str) -> Port:
        """The port of a hardware address. Raises NoSuchInterface where there is none (yet)."""

        def look() -> Link | None:
            with Links.here() as links:
                return links.by_mac(mac)

        if (link := self._namespace.run(look)) is not None:
            return Port(link, inside=True)
        if self._namespace and (link := look()) is not None:
            return Port(link, inside=False)
        raise NoSuchInterface("No suitable network interface found")

    def holder(self, address: IPAddress) -> Link | None:
        """The port that has `address` now."""
        return self._inside(lambda links: links.holder(address))

    def all(self) -> dict[str, Link]:
        """Every interface of the node but the loopback, by its name, with its counters."""
        return {link.name: link for link in self._inside(Links.all) if link.name != "lo"}

    # -- changing ----------------------------------------------------------------------------

    def bring(self, plug: Plug, *, old: Layout, new: Layout) -> None:
        """Have a port be inside, up and laid out as `new`, under the name that `plug` has."""
        port = self.find(plug.mac)
        if not port.inside:
            with self._namespace.run(lambda: _HERE.open("rb")) as inside, Links.here() as links:
                links.move(port.link, namespace=inside.fileno(), name=plug.name)

        def arrange(links: Links) -> None:
            found = links.by_mac(plug.mac)
            if found is None:
                raise NoSuchInterface("No suitable network interface found")
            links.set_up(found.index, mtu=plug.mtu)
            links.arrange(found.index, old=old, new=new)

        self._inside(arrange)
        if plug.allowed is not None:
            self.allow(plug.name, plug.allowed)

    def put_back(self, port: Port, *, laid_out: Layout, before: Layout) -> None:
        """Have a port be where and as it was found, when it was laid out as `before`."""

        def rearrange(links: Links) -> None:
            found = links.by_mac(port.link.mac)
            if found is None:
                return
            links.arrange(found.index, old=laid_out, new=before)
            links.set_up(found.index, up=port.link.up, mtu=port.link.mtu)
            if not port.inside:
                with _OUTSIDE.open("rb") as outside:
                    links.move(found, namespace=outside.fileno(), name=port.link.name)

        self._inside(rearrange)

    def allow(self, name: str, allowed: tuple[Allowed, ...]) -> None:
        """Let in only this by a port. Raises RulesRefused."""
        self._namespace.run(lambda: firewall.put(name, allowed))

    def take(self, addresses: Iterable[IPAddress]) -> tuple[IPAddress, ...]:
        """Take addresses away from whatever port has them; gives those that were there."""

        def take(links: Links) -> tuple[IPAddress, ...]:
            taken = []
            for address in addresses:
                if (holder := links.holder(address)) is not None:
                    links.take(holder.index, address)
                    taken.append(address)
            return tuple(taken)

        return self._inside(take)

    def loopback_up(self) -> None:
        """Bring the loopback of a new namespace up."""

        def bring_up(links: Links) -> None:
            loopback = links.by_name("lo")
            if loopback is not None and not loopback.up:
                links.set_up(loopback.index)

        if not self._namespace.run(_loopback_is_up):
            self._inside(bring_up)

    def let_listen_anywhere(self) -> None:
        """Let HAProxy listen at addresses that the other node has now."""

        def let() -> None:
            for setting in _NONLOCAL_BIND:
                try:
                    if setting.read_text().strip() != "1":
                        setting.write_text("1")
                except OSError as error:
                    LOG.warning("%s cannot be set: %s", setting, error.strerror)

        self._namespace.run(let)

    def announce(self, addresses: Iterable[IPAddress]) -> tuple[IPAddress, ...]:
        """Tell the neighbours where `addresses` are; gives those that are here and were told."""
        wanted = tuple(addresses)
        if not wanted:
            return ()
        return self._inside(
            lambda links: tuple(address for address in wanted if _announced(links, address))
        )

    def _inside(self, action: Callable[[Links], T]) -> T:
        def act() -> T:
            with Links.here() as links:
                return action(links)

        return self._namespace.run(act)


def _loopback_is_up() -> bool:
    """Whether it is; netdevice(7) tells it without what netlink has to load."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            answer = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, _IFREQ.pack(b"lo", 0))
        except OSError:
            return False
    return bool(_IFREQ.unpack(answer)[1] & _IFF_UP)


def _announced(links: Links, address: IPAddress) -> bool:
    holder = links.holder(address)
    if holder is None or not holder.up or holder.name == "lo":
        return False
    mac = bytes.fromhex(holder.mac.replace(":", ""))
    try:
        advertise.announce(interface=holder.name, mac=mac, address=address)
    except OSError as error:
        LOG.warning("cannot announce %s: %s", address, error.strerror or error)
        return False
    return True
