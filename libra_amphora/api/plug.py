"""Plugging: the load balancer's addresses, and interfaces towards its members."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import pydantic

from libra_amphora.api import addresses
from libra_amphora.api.base import V1, Answer, Call, Json, Refused, Route, ok
from libra_amphora.network import Network
from libra_amphora.network_errors import AlreadyPlugged, NetworkError, NoSuchInterface
from libra_amphora.plugged import Home, HostRoute, IPAddress, IPNetwork, Plug

_BAD_SUBNET = "Invalid subnet information"
_BAD_PORT = "Invalid port information"
_MOST = 256

Mtu = Annotated[int, pydantic.Field(ge=68, le=65535, strict=True)]


class _Body(pydantic.BaseModel):
    """Fields that a later controller may add are no fault."""

    model_config = pydantic.ConfigDict(extra="ignore")


class HostRouteBody(_Body):
    """A route that belongs to a subnet."""

    destination: addresses.LooseNetwork
    nexthop: addresses.Address


class SubnetBody(_Body):
    """A subnet as an address is in it."""

    subnet_cidr: addresses.Network
    gateway: addresses.OptionalAddress = None
    host_routes: list[HostRouteBody] | None = pydantic.Field(default=None, max_length=_MOST)


class AddressBody(SubnetBody):
    """One more address of the load balancer, or one of the node towards members."""

    ip_address: addresses.UsableAddress


class VipBody(SubnetBody):
    """POST plug/vip; the last five came after the first API."""

    gateway: addresses.OptionalAddress
    mac_address: addresses.Mac
    vrrp_ip: addresses.OptionalAddress = None
    mtu: Mtu | None = None
    additional_vips: list[AddressBody] | None = pydantic.Field(default=None, max_length=_MOST)
    is_sriov: bool | None = None


class VipNetBody(SubnetBody):
    """The load balancer's own address on a port that is plugged towards members too."""

    vip: addresses.UsableAddress
    vrrp_ip: addresses.OptionalAddress = None
    additional_vips: list[AddressBody] | None = pydantic.Field(default=None, max_length=_MOST)


class NetworkBody(_Body):
    """POST plug/network; all but the hardware address came after the first API."""

    mac_address: addresses.Mac
    fixed_ips: list[AddressBody] | None = pydantic.Field(default=None, max_length=_MOST)
    mtu: Mtu | None = None
    is_sriov: bool | None = None
    vip_net_info: VipNetBody | None = None


class PlugApi:
    """POST plug/vip and plug/network."""

    def __init__(self, *, network: Network) -> None:
        self._network = network

    def routes(self) -> Iterable[Route]:
        """The two of both versions."""
        yield Route(
            "POST",
            "/plug/vip/{ip}",
            self._vip,
            summary="Plug an address of the load balancer",
            body=Json(VipBody, invalid=_BAD_SUBNET),
            guarded=True,
            answers={
                202: "plugged",
                400: "the address or the subnet is wrong",
                404: "no interface has the hardware address (yet)",
                409: "the interface is plugged already",
                500: "the kernel refused, and nothing was changed",
                503: "topology transition",
            },
        )
        yield Route(
            "POST",
            "/plug/network",
            self._member_network,
            summary="Plug an interface towards members, or change it",
            body=Json(NetworkBody, invalid=_BAD_PORT),
            guarded=True,
            answers={
                202: "plugged, or changed",
                400: "a parameter is wrong",
                404: "no interface has the hardware address (yet)",
                500: "the kernel refused, and nothing was changed",
                503: "topology transition",
            },
        )

    def _vip(self, call: Call) -> Answer:
        body: VipBody = call.body
        try:
            vip = addresses.usable_address(call.params["ip"])
        except ValueError:
            raise Refused(400, "Invalid VIP") from None
        homes = (home_of(vip, body), *map(_home, body.additional_vips or ()))
        _must_fit(homes, _BAD_SUBNET)
        vrrp_ip = _own(body.vrrp_ip, body.subnet_cidr)
        plug = Plug(
            mac=body.mac_address,
            mtu=body.mtu,
            vips=homes,
            vrrp_ip=vrrp_ip,
            allowed=() if body.is_sriov else None,
        )
        try:
            name = self._network.plug_vip(plug)
        except NoSuchInterface:
            raise _no_interface(call.version) from None
        except AlreadyPlugged as error:
            raise Refused(409, str(error)) from None
        except NetworkError as error:
            raise Refused(500, "Error plugging VIP", str(error)) from error
        shown = ", ".join(str(home.address) for home in homes)
        return ok(202, details=f"VIP{'s' * (len(homes) > 1)} {shown} plugged on interface {name}")

    def _member_network(self, call: Call) -> Answer:
        body: NetworkBody = call.body
        fixed_ips = tuple(map(_home, body.fixed_ips or ()))
        _must_fit(fixed_ips, "Invalid network port")
        vips: tuple[Home, ...] = ()
        vrrp_ip = None
        if (net := body.vip_net_info) is not None:
            vips = (home_of(net.vip, net), *map(_home, net.additional_vips or ()))
            _must_fit(vips, _BAD_SUBNET)
            vrrp_ip = _own(net.vrrp_ip, net.subnet_cidr)
        plug = Plug(
            mac=body.mac_address,
            mtu=body.mtu,
            vips=vips,
            vrrp_ip=vrrp_ip,
            fixed_ips=fixed_ips,
            allowed=() if body.is_sriov else None,
        )
        try:
            name, was_there = self._network.plug_network(plug)
        except NoSuchInterface:
            raise _no_interface(call.version) from None
        except NetworkError as error:
            raise Refused(500, "Error plugging Port", str(error)) from error
        done = "Updated existing" if was_there else "Plugged"
        return ok(202, details=f"{done} interface {name}")


def home_of(address: IPAddress, body: SubnetBody) -> Home:
    """An address in the subnet that a body describes."""
    return Home(
        address=address,
        subnet=body.subnet_cidr,
        gateway=body.gateway,
        host_routes=tuple(
            HostRoute(destination=route.destination, nexthop=route.nexthop)
            for route in body.host_routes or ()
        ),
    )


def _home(body: AddressBody) -> Home:
    return home_of(body.ip_address, body)


def _must_fit(homes: Iterable[Home], message: str) -> None:
    """Refuse what does not go together: every fault is named."""
    faults: list[str] = []
    for home in homes:
        version = home.subnet.version
        if home.address not in home.subnet:
            faults.append(f"subnet_cidr: {home.subnet} does not hold {home.address}")
        if home.gateway is not None and home.gateway.version != version:
            faults.append(f"gateway: {home.gateway} is not of the family of {home.subnet}")
        faults += [
            f"host_routes: {route.destination} via {route.nexthop} is not of one family"
            for route in home.host_routes
            if {route.destination.version, route.nexthop.version} != {version}
        ]
    if faults:
        raise Refused(400, message, "; ".join(faults[:20]))


def _own(address: IPAddress | None, subnet: IPNetwork) -> IPAddress | None:
    if address is not None and address not in subnet:
        raise Refused(400, "Invalid VRRP Address", f"vrrp_ip: {address} is not in {subnet}")
    return address


def _no_interface(version: str) -> Refused:
    text = "No suitable network interface found"
    # A controller of today tries again only where it finds these words in `details`.
    return Refused(404, text, text if version == V1 else None)
