from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libra_amphora.layout import MAIN, VIP_TABLE, Route, layout
from libra_amphora.network_errors import PlugsUnreadable
from libra_amphora.plugged import (
    ACTIVE_STANDBY,
    SINGLE,
    Allowed,
    Home,
    HostRoute,
    Plug,
    Plugged,
    decode,
    encode,
)

ADDRESS = ipaddress.ip_address
NETWORK = ipaddress.ip_network


POOL = [
    *(f"198.18.{subnet}.{host}" for subnet in (0, 1) for host in (1, 7, 200)),
    *(f"fd00:{subnet}::{host}" for subnet in (18, 19) for host in (1, 7, 200)),
]


@st.composite
def homes(draw: st.DrawFn) -> Home:
    address = ADDRESS(draw(st.sampled_from(POOL)))
    prefix = draw(st.sampled_from((8, 24, 32) if address.version == 4 else (32, 64, 128)))
    subnet = NETWORK(f"{address}/{prefix}", strict=False)
    others = [ADDRESS(other) for other in POOL if ADDRESS(other).version == address.version]
    routes = draw(
        st.lists(
            st.builds(
                HostRoute,
                destination=st.sampled_from([NETWORK(str(other)) for other in others]),
                nexthop=st.sampled_from(others),
            ),
            max_size=2,
        )
    )
    gateway = draw(st.sampled_from((None, subnet[0])))
    return Home(address=address, subnet=subnet, gateway=gateway, host_routes=tuple(routes))


PLUGS = st.builds(
    Plug,
    mac=st.just("02:00:00:00:00:01"),
    name=st.just("eth1"),
    mtu=st.none() | st.integers(68, 9000),
    vips=st.lists(homes(), max_size=4).map(tuple),
    fixed_ips=st.lists(homes(), max_size=4).map(tuple),
    allowed=st.none()
    | st.lists(
        st.builds(
            Allowed,
            protocol=st.sampled_from(("TCP", "VRRP")),
            source=st.none() | homes().map(lambda home: home.subnet),
            port=st.integers(1, 65535),
        ),
        max_size=3,
    ).map(tuple),
)


@settings(max_examples=30)
@given(PLUGS)
def test_no_table_has_two_routes_to_one_place(plug: Plug) -> None:
    for topology in (SINGLE, ACTIVE_STANDBY):
        places = [(route.destination, route.table) for route in layout(plug, topology).routes]
        assert len(places) == len(set(places))


@settings(max_examples=30)
@given(PLUGS)
def test_sharing_node_never_has_a_shared_address_or_its_routing(plug: Plug) -> None:
    own = {home.address for home in plug.fixed_ips}
    found = layout(plug, ACTIVE_STANDBY)
    shared = {home.address for home in plug.vips} - own
    assert not shared & {address.ip for address in found.addresses}
    assert found.rules == ()
    assert all(route.table == MAIN for route in found.routes)


@settings(max_examples=30)
@given(PLUGS)
def test_lone_node_has_every_address_and_a_rule_for_each_vip(plug: Plug) -> None:
    found = layout(plug, SINGLE)
    wanted = {home.address for home in (*plug.vips, *plug.fixed_ips)}
    assert wanted <= {address.ip for address in found.addresses}
    assert {rule.source.network_address for rule in found.rules} == {
        home.address for home in plug.vips
    }
    assert all(rule.table == VIP_TABLE for rule in found.rules)


@settings(max_examples=30)
@given(PLUGS)
def test_links_come_before_what_is_behind_them(plug: Plug) -> None:
    behind = [route.gateway is not None for route in layout(plug, SINGLE).routes]
    assert behind == sorted(behind)


@settings(max_examples=30)
@given(PLUGS, st.sampled_from((SINGLE, ACTIVE_STANDBY)))
def test_what_is_stored_is_what_is_read(plug: Plug, topology: str) -> None:
    plugged = Plugged(topology=topology, plugs=(plug,))
    assert decode(encode(plugged)) == plugged


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"schema": 1}', b'{"schema": 2}', b"\xff"])
def test_damaged_store_is_said_and_not_guessed(damage: bytes) -> None:
    with pytest.raises(PlugsUnreadable):
        decode(damage)


def test_own_address_in_the_vips_subnet_spares_the_route_to_it() -> None:
    home = Home(address=ADDRESS("203.0.113.2"), subnet=NETWORK("203.0.113.0/24"))
    to_subnet = Route(destination=home.subnet, source=home.address)
    plug = Plug(mac="m", vips=(home,), vrrp_ip=ADDRESS("203.0.113.10"))
    assert to_subnet not in layout(plug, SINGLE).routes
    assert to_subnet in layout(Plug(mac="m", vips=(home,)), SINGLE).routes


def test_member_interface_has_no_way_out_but_its_host_routes() -> None:
    route = HostRoute(destination=NETWORK("198.19.0.0/16"), nexthop=ADDRESS("198.18.0.9"))
    home = Home(
        address=ADDRESS("198.18.0.5"),
        subnet=NETWORK("198.18.0.0/24"),
        gateway=ADDRESS("198.18.0.1"),
        host_routes=(route,),
    )
    assert layout(Plug(mac="m", fixed_ips=(home,)), SINGLE).routes == (
        Route(destination=route.destination, gateway=route.nexthop, optional=True),
    )
