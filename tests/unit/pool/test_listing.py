"""What is answered of devices and ports."""

from __future__ import annotations

import json

from libra_pool_mgm.clouds.base import DeviceState, FixedIp, HostRoute
from libra_pool_mgm.listing import devices_shown, port_shown
from tests.unit.pool.things import device, port


def test_every_device_is_told_with_its_own_ports_and_nobody_elses() -> None:
    # Given two devices, of which one has an agent and failed, and ports of one and of none
    one = device("libra-1", amphora_id="a", state=DeviceState.FAILED, fault="no luck", address=None)
    two = device("libra-2", delivered=True)
    ports = [port("p", device="libra-2"), port("q", device=None), port("r", device="libra-3")]
    # When they are told
    shown = devices_shown([one, two], ports)
    json.dumps(shown)
    # Then each has what it has
    assert [(one["name"], one["state"], one["delivered"]) for one in shown] == [
        ("libra-1", "failed", False),
        ("libra-2", "active", True),
    ]
    assert (shown[0]["amphora_id"], shown[0]["fault"], shown[0]["addr"]) == ("a", "no luck", "")
    assert "amphora_id" not in shown[1]
    assert (shown[0]["ports"], [one["port"] for one in shown[1]["ports"]]) == ([], ["p"])
    assert shown[1]["ports"][0]["key"] == "key of p"


def test_of_several_addresses_the_first_stands_beside_all_of_them() -> None:
    route = HostRoute(destination="192.0.2.0/24", nexthop="198.51.100.1")
    six = FixedIp(ip="2001:db8::9", cidr="2001:db8::/64", gateway=None)
    four = FixedIp(
        ip="198.51.100.9", cidr="198.51.100.0/24", gateway="198.51.100.1", host_routes=(route,)
    )
    shown = port_shown(port(fixed_ips=(four, six)))
    json.dumps(shown)
    assert (shown["ip"], shown["cidr"], shown["gateway"]) == (four.ip, four.cidr, four.gateway)
    assert shown["host_routes"] == [{"destination": "192.0.2.0/24", "nexthop": "198.51.100.1"}]
    assert [one["ip"] for one in shown["fixed_ips"]] == [four.ip, six.ip]


def test_a_port_that_lost_its_addresses_is_told_all_the_same() -> None:
    shown = port_shown(port(fixed_ips=()))
    assert shown["fixed_ips"] == []
    assert "ip" not in shown
