"""The links and routes of the local cloud, by netlink (pyroute2). What is so already is no fault.

Everything happens in the outer namespace and in those of the devices, never on the host.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, ip_address
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from libra_pool_mgm.clouds.local import kernel, ranges

BRIDGE = "libra0"
"""The bridge in the outer namespace that all devices hang on."""

DEVICE_LINK = "eth0"
"""A device's own end of its link."""

MTU = 1500
"""Of every link, in bytes."""

_BRIDGE_MAC = "02:00:00:00:00:01"
_LOOPBACK_INDEX = 1
_NO_DAD = 0x02  # IFA_F_NODAD: addresses are given once, and a tentative one answers nobody
_OWN_ANSWERS = (("arp_ignore", "1"), ("arp_announce", "2"))


def outer_link(number: int) -> str:
    """The name of the outer end of a device's link."""
    return f"d{number}"


def port_link(identity: str) -> str:
    """The name of the outer end of a port."""
    return f"p{identity.replace('-', '')[:12]}"


def lay_out(outer: int, *, gateway: IPv4Address, devices: IPv4Network) -> None:
    """Make the outer namespace what it shall be: loopback, bridge, its address, forwarding."""
    with _netlink(outer) as netlink:
        netlink.link("set", index=_LOOPBACK_INDEX, state="up")
        with _present():
            netlink.link(
                "add",
                ifname=BRIDGE,
                kind="bridge",
                # Else it is the lowest of its links', and everybody who knows it is cut off for
                # seconds when a device comes or goes.
                address=_BRIDGE_MAC,
                br_stp_state=0,
                br_forward_delay=0,
            )
        bridge = _index(netlink, BRIDGE)
        with _present():
            netlink.addr("add", index=bridge, address=str(gateway), prefixlen=devices.prefixlen)
        netlink.link("set", index=bridge, state="up")
        # From one device to another's floating IP; where /proc/sys may not be written, not.
        with contextlib.suppress(OSError):
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def link(
    outer: int,
    device: int,
    *,
    number: int,
    address: IPv4Address,
    gateway: IPv4Address,
    devices: IPv4Network,
) -> None:
    """Connect a device's namespace, which is new, with the bridge, and give it its address."""
    name = outer_link(number)
    with _netlink(outer) as netlink:
        with _absent():  # of a device of this number that was killed a moment ago
            netlink.link("del", ifname=name)
        peer = {"ifname": DEVICE_LINK, "net_ns_fd": device}
        bridge = _index(netlink, BRIDGE)
        netlink.link("add", ifname=name, kind="veth", master=bridge, peer=peer)
        netlink.link("set", index=_index(netlink, name), state="up")
    with _netlink(device) as netlink:
        index = _index(netlink, DEVICE_LINK)
        netlink.addr("add", index=index, address=str(address), prefixlen=devices.prefixlen)
        netlink.link("set", index=index, state="up")
        netlink.route("add", dst="default", gateway=str(gateway))


def unlink(outer: int, *, number: int) -> None:
    """Take a device off the bridge."""
    with _netlink(outer) as netlink, _absent():
        netlink.link("del", ifname=outer_link(number))


def tear_down(outer: int) -> None:
    """Take the bridge away, with every address and route that leads over it."""
    with _netlink(outer) as netlink, _absent():
        netlink.link("del", ifname=BRIDGE)


# -- ports -------------------------------------------------------------------------------------


def lay_out_ports(outer: int, *, gateway: ranges.Address, ports: ranges.Network) -> None:
    """Give the outer namespace its address among the ports of a range."""
    with _netlink(outer) as netlink:
        bridge, flags = _index(netlink, BRIDGE), {"flags": _NO_DAD} if ports.version == 6 else {}
        with _present():
            netlink.addr(
                "add",
                index=bridge,
                family=_family(gateway),
                address=str(gateway),
                prefixlen=ports.prefixlen,
                **flags,
            )


def attach(outer: int, device: int, *, identity: str, mac: str) -> None:
    """Connect a device's namespace with the bridge once more, by an interface that is down."""
    name = port_link(identity)
    with _netlink(device) as netlink:
        there = {
            link.get_attr("IFLA_IFNAME"): link.get_attr("IFLA_ADDRESS")
            for link in netlink.get_links()
        }
        # Each address is answered for at the interface that has it, though all are on one bridge.
        for setting, value in _OWN_ANSWERS:
            with contextlib.suppress(OSError):
                Path(f"/proc/sys/net/ipv4/conf/all/{setting}").write_text(value)
    if mac in there.values():
        return
    inner = next(free for n in itertools.count(1) if (free := f"eth{n}") not in there)
    with _netlink(outer) as netlink:
        with _absent():
            netlink.link("del", ifname=name)
        peer = {"ifname": inner, "net_ns_fd": device, "address": mac}
        bridge = _index(netlink, BRIDGE)
        netlink.link("add", ifname=name, kind="veth", master=bridge, mtu=MTU, peer=peer)
        netlink.link("set", index=_index(netlink, name), state="up")


def detach(outer: int, *, identity: str) -> None:
    """Take a port away, from both sides."""
    with _netlink(outer) as netlink, _absent():
        netlink.link("del", ifname=port_link(identity))


def links(outer: int) -> frozenset[str]:
    """The names of all links of the outer namespace."""
    with _netlink(outer) as netlink:
        return frozenset(link.get_attr("IFLA_IFNAME") for link in netlink.get_links())


def lead(outer: int, *, ip: str, source: ranges.Address) -> None:
    """Look for an address among those on the bridge, speaking from `source`."""
    with _netlink(outer) as netlink:
        netlink.route("replace", **_on_bridge(netlink, ip), prefsrc=str(source))


def lead_nowhere(outer: int, *, ip: str) -> None:
    """Look for it there no more."""
    with _netlink(outer) as netlink, _absent():
        netlink.route("del", **_on_bridge(netlink, ip))


def _on_bridge(netlink: Any, ip: str) -> dict[str, Any]:
    address = ip_address(ip)
    found: dict[str, Any] = {
        "family": _family(address),
        "dst": f"{address}/{address.max_prefixlen}",
        "oif": _index(netlink, BRIDGE),
    }
    return found | ({"scope": "link"} if address.version == 4 else {})


# -- floating IPs ------------------------------------------------------------------------------


def route(outer: int, device: int, *, ip: str, via: IPv4Address) -> None:
    """Route a floating IP into a device, which takes it for its own."""
    with _netlink(device) as netlink, _present():
        netlink.addr("add", index=_LOOPBACK_INDEX, address=ip, prefixlen=32)
    with _netlink(outer) as netlink:
        netlink.route("replace", dst=f"{ip}/32", gateway=str(via))


def unroute(outer: int, device: int | None, *, ip: str) -> None:
    """Route a floating IP nowhere any more; without `device`, that one has gone already."""
    with _netlink(outer) as netlink, _absent():
        netlink.route("del", dst=f"{ip}/32")
    if device is not None:
        with _netlink(device) as netlink, _absent():
            netlink.addr("del", index=_LOOPBACK_INDEX, address=ip, prefixlen=32)


def _family(address: ranges.Address) -> int:
    return socket.AF_INET6 if address.version == 6 else socket.AF_INET


@contextlib.contextmanager
def _netlink(network: int) -> Iterator[Any]:
    """A netlink socket of a namespace, with the calling thread in it. Raises OSError alone."""
    try:
        with kernel.entered(network), IPRoute() as netlink:
            yield netlink
    except NetlinkError as error:
        raise OSError(error.code, f"the network cannot be changed: {error}") from error


def _index(netlink: Any, name: str) -> int:
    found: list[int] = netlink.link_lookup(ifname=name)
    if not found:
        raise OSError(errno.ENODEV, f"there is no link {name}")
    return found[0]


@contextlib.contextmanager
def _present() -> Iterator[None]:
    with _pardon(errno.EEXIST):
        yield


@contextlib.contextmanager
def _absent() -> Iterator[None]:
    with _pardon(errno.ENODEV, errno.ESRCH, errno.EADDRNOTAVAIL, errno.ENOENT):
        yield


@contextlib.contextmanager
def _pardon(*numbers: int) -> Iterator[None]:
    try:
        yield
    except NetlinkError as error:
        if error.code not in numbers:
            raise
