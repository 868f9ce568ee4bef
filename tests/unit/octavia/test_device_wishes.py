"""What a device has to have for a load balancer."""

from __future__ import annotations

import dataclasses
import ipaddress
import uuid
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from libra_octavia.agent.devices import Wanted
from libra_octavia.devices.wishes import (
    PortWish,
    files_of,
    peer_name,
    plug_body,
    port_key,
    port_wishes,
    settled,
    text_of,
)
from libra_octavia.inventory import Port
from libra_octavia.model import (
    Algorithm,
    Listener,
    LoadBalancer,
    Member,
    Pool,
    PoolProtocol,
    Protocol,
)

AMPHORA = "6e2bc8a0-2548-4fb7-a5f0-fb1ef4a696ce"
FIRST, SECOND, THIRD = (f"00000000-0000-0000-0000-00000000000{n}" for n in (1, 2, 3))
LISTENER = "10000000-0000-0000-0000-000000000001"


def wanted(
    *addresses: str, members: tuple[str | None, ...] = (), listeners: int = 0, **vip: Any
) -> Wanted:
    pool = Pool(
        id="p",
        protocol=PoolProtocol.HTTP,
        algorithm=Algorithm.ROUND_ROBIN,
        members=tuple(
            Member(id=f"m{n}", address="192.0.2.9", port=80, subnet=subnet)
            for n, subnet in enumerate(members)
        ),
    )
    fronts = tuple(
        Listener(id=LISTENER, protocol=Protocol.HTTP, port=80 + n) for n in range(listeners)
    )
    balancer = LoadBalancer(
        id="lb", addresses=addresses or ("192.0.2.1",), listeners=fronts, pools=(pool,)
    )
    whole = {"vip_subnet_id": FIRST, "vip_network_id": "n", **vip}
    return Wanted(balancer=balancer, flavor={}, zone={}, vip=whole)


def port(*addresses: str, fixed: tuple[tuple[str, str, str | None], ...]) -> Port:
    said = {
        "port": "id",
        "mac": "02:00:00:00:00:01",
        "mtu": 1400,
        "fixed_ips": [
            {"ip": ip, "cidr": cidr, "gateway": gateway, "host_routes": []}
            for ip, cidr, gateway in fixed
        ],
    }
    return Port(device="d", subnet=FIRST, addresses=addresses, port=said, plugged=True)


def test_a_subnet_is_one_port_whoever_is_in_it() -> None:
    found = port_wishes(wanted("192.0.2.1", members=(FIRST, SECOND, None, SECOND)))
    assert found == (
        PortWish(subnet=FIRST, network="n", addresses=("192.0.2.1",)),
        PortWish(subnet=SECOND),
    )


def test_additional_addresses_are_where_their_subnets_are() -> None:
    more = [
        {"ip_address": "192.0.2.2", "subnet_id": FIRST},
        {"ip_address": "2001:DB8::2", "subnet_id": SECOND},
    ]
    found = port_wishes(
        wanted("192.0.2.1", "192.0.2.2", "2001:db8::2", members=(SECOND,), additional_vips=more)
    )
    assert [(one.subnet, one.addresses) for one in found] == [
        (FIRST, ("192.0.2.1", "192.0.2.2")),
        (SECOND, ("2001:db8::2",)),
    ]


def test_a_load_balancer_that_names_no_subnet_has_a_port_all_the_same() -> None:
    assert port_wishes(wanted(vip_subnet_id=None)) == (
        PortWish(subnet="", network="n", addresses=("192.0.2.1",)),
    )


def test_a_floating_address_needs_no_port() -> None:
    assert port_wishes(wanted(members=(SECOND,)), floating=True) == (PortWish(subnet=SECOND),)


def test_a_port_has_the_same_key_each_time_and_another_in_each_subnet_and_device() -> None:
    other = str(uuid.uuid4())
    keys = {port_key(one, subnet) for one in (AMPHORA, other) for subnet in ("", FIRST, SECOND)}
    assert len(keys) == 6
    assert port_key(AMPHORA, FIRST) in keys


@given(
    st.lists(st.sampled_from([FIRST, SECOND, THIRD]), unique=True),
    st.sampled_from(["plugged", "address", "missing"]),
)
def test_a_device_is_settled_when_each_port_is_as_it_is_wished_for(
    subnets: list[str], fault: str
) -> None:
    wishes = [PortWish(subnet=subnet, addresses=("192.0.2.1",)) for subnet in subnets]
    ports = [
        Port(device="d", subnet=subnet, addresses=["192.0.2.1"], port={}, plugged=True)
        for subnet in subnets
    ]
    surplus = Port(device="d", subnet="other", plugged=False)
    assert settled(wishes, [*ports, surplus])
    if ports:
        first, *rest = ports
        broken = {
            "plugged": [dataclasses.replace(first, plugged=False), *rest],
            "address": [dataclasses.replace(first, addresses=["192.0.2.2"]), *rest],
            "missing": rest,
        }
        assert not settled(wishes, broken[fault])


def test_an_address_in_the_ports_subnet_is_laid_out_there() -> None:
    body = plug_body(port("192.0.2.1", fixed=(("192.0.2.7", "192.0.2.0/24", "192.0.2.254"),)))
    assert body["mac_address"] == "02:00:00:00:00:01"
    assert body["mtu"] == 1400
    assert [one["ip_address"] for one in body["fixed_ips"]] == ["192.0.2.7"]
    net = body["vip_net_info"]
    assert (net["vip"], net["subnet_cidr"], net["gateway"]) == (
        *("192.0.2.1", "192.0.2.0/24", "192.0.2.254"),
    )
    assert net["additional_vips"] == []


def test_an_address_of_elsewhere_is_a_network_of_its_own_behind_the_port() -> None:
    body = plug_body(
        port(
            *("203.0.113.5", "2001:db8::5"),
            fixed=(
                ("192.0.2.7", "192.0.2.0/24", "192.0.2.254"),
                ("fd00::7", "fd00::/64", "fd00::1"),
            ),
        )
    )
    net = body["vip_net_info"]
    (more,) = net["additional_vips"]
    assert (net["subnet_cidr"], net["gateway"]) == ("203.0.113.5/32", "192.0.2.254")
    assert (more["subnet_cidr"], more["gateway"]) == ("2001:db8::5/128", "fd00::1")


@given(st.ip_addresses(), st.booleans())
def test_whatever_an_address_is_it_fits_what_it_is_laid_out_in(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, with_gateway: bool
) -> None:
    gateway = "192.0.2.254" if with_gateway else None
    net = plug_body(port(str(address), fixed=(("192.0.2.7", "192.0.2.0/24", gateway),)))[
        "vip_net_info"
    ]
    subnet = ipaddress.ip_network(net["subnet_cidr"])
    assert address in subnet
    assert net["gateway"] is None or ipaddress.ip_address(net["gateway"]).version == subnet.version


def test_a_port_towards_members_carries_no_address() -> None:
    assert "vip_net_info" not in plug_body(port(fixed=(("192.0.2.7", "192.0.2.0/24", None),)))


def test_the_text_changes_with_a_file_and_tells_which_files_there_were() -> None:
    balancer = wanted(listeners=1)
    one = text_of(balancer, AMPHORA, {"a.pem": b"1", "b.pem": b"2"})
    assert one == text_of(balancer, AMPHORA, {"b.pem": b"2", "a.pem": b"1"})
    assert one != text_of(balancer, AMPHORA, {"a.pem": b"1", "b.pem": b"3"})
    assert files_of(one) == {"a.pem", "b.pem"}
    assert files_of(text_of(balancer, AMPHORA, {})) == frozenset()
    assert text_of(wanted(), AMPHORA, {"a.pem": b"1"}) == ""


def test_behind_a_floating_address_it_listens_at_whatever_address_there_is() -> None:
    assert "bind 0.0.0.0:80" in text_of(wanted(listeners=1), AMPHORA, {}, floating=True)
    assert "bind 192.0.2.1:80" in text_of(wanted(listeners=1), AMPHORA, {})


@given(st.uuids())
def test_a_device_has_the_name_among_peers_that_its_agent_gives_it(
    amphora: uuid.UUID,
) -> None:
    from libra_amphora.api.balancers import peer_name as of_the_agent

    assert peer_name(str(amphora)) == of_the_agent(str(amphora))
