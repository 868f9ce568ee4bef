from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from libra_amphora.network import Network
from libra_amphora.network_errors import (
    AlreadyPlugged,
    NoSuchAddress,
    NoSuchInterface,
    RulesRefused,
)
from libra_amphora.plugged import ACTIVE_STANDBY, SINGLE, Allowed, Home, HostRoute, Plug
from tests.integration.amphora.network.conftest import Wire
from tests.integration.amphora.network.plugs import (
    ADDRESS,
    NETWORK,
    SUBNET,
    VIP,
    VIP6,
    VRRP,
    home,
    listening,
    reaches,
    vip_plug,
)
from tests.integration.worker.test_unprivileged import as_nobody
from tests.support import folders, need, netns, wait
from tests.support.netns import addresses, routes, rules


def test_plugged_vip_answers_by_a_table_of_its_own(wire: Wire, network: Network) -> None:
    # When the load balancer's addresses are plugged, IPv4 and IPv6
    name = network.plug_vip(
        vip_plug(wire, home("fd00:18::2", "fd00:18::/64", "fd00:18::1"), mtu=1450)
    )
    # Then the interface, which was in the node's namespace already, has them and is up
    assert name == wire.name
    assert addresses(wire.node, name) == {"203.0.113.10/24", "203.0.113.2/32", "fd00:18::2/128"}
    # And packets from them look into table 1, which knows their subnets and their ways out
    assert rules(wire.node) == [
        "100: from 203.0.113.2 lookup 1",
        "100: from fd00:18::2 lookup 1",
    ]
    table = routes(wire.node, "table", "1")
    assert any(line.startswith("default via 203.0.113.1 dev port7") for line in table)
    assert any("203.0.113.0/24 dev port7" in line and "src 203.0.113.2" in line for line in table)
    assert any(line.startswith("default via fd00:18::1 dev port7") for line in table)
    assert any("fd00:18::/64 dev port7" in line and "src fd00:18::2" in line for line in table)
    assert "mtu 1450" in netns.ip("link", "show", name, namespace=wire.node)
    # And a neighbour really reaches them
    with listening(wire.node, str(VIP)), listening(wire.node, str(VIP6)):
        assert reaches(wire.neighbour, "203.0.113.1", str(VIP))
        assert reaches(wire.neighbour, "fd00:18::1", str(VIP6))


def test_vip_alone_is_reachable_without_an_address_of_the_nodes_own(
    wire: Wire, network: Network
) -> None:
    # When only what the first API knew is given: subnet, gateway, hardware address
    network.plug_vip(vip_plug(wire, vrrp=False))
    # Then the address serves
    assert addresses(wire.node, wire.name) == {"203.0.113.2/32"}
    with listening(wire.node, str(VIP)):
        assert reaches(wire.neighbour, "203.0.113.1", str(VIP))


def test_new_port_outside_is_moved_in_and_named(tmp_path: Path) -> None:
    # Given two ports that were just added to the machine, and a node with a namespace
    netns.must_be_possible()
    macs = ("02:00:00:00:13:01", "02:00:00:00:13:02")
    with netns.namespace() as node, netns.namespace() as neighbour:
        for number, mac in enumerate(macs):
            netns.cable(
                ("", netns.new_name("o"), mac),
                (neighbour, f"peer{number}", f"02:00:00:00:13:9{number}"),
            )
        network = Network(netns=node, state_dir=tmp_path)
        network.restore()
        # When one is plugged for the load balancer and one towards its members
        vip = network.plug_vip(Plug(mac=macs[0], vips=(home(),), vrrp_ip=VRRP))
        towards, was_there = network.plug_network(
            Plug(mac=macs[1], fixed_ips=(home("198.18.0.5", "198.18.0.0/24", None),))
        )
        # Then they are inside, under the names that controllers expect
        assert (vip, towards, was_there) == ("eth1", "eth2", False)
        assert addresses(node, "eth2") == {"198.18.0.5/24"}


def test_loopback_of_a_namespace_is_brought_up(wire: Wire, tmp_path: Path) -> None:
    # Given a namespace whose loopback is down, as that of a new one is
    netns.ip("link", "set", "lo", "down", namespace=wire.node)

    # When the node's network is restored, once and again
    for _ in range(2):
        Network(netns=wire.node, state_dir=tmp_path / "state").restore()

        # Then it is up
        assert ",UP" in netns.ip("-o", "link", "show", "lo", namespace=wire.node)


def test_standby_node_leaves_the_vip_to_keepalived(wire: Wire, network: Network) -> None:
    # Given a node that shares its addresses with another
    network.use_topology(ACTIVE_STANDBY)
    # When they are plugged
    network.plug_vip(vip_plug(wire))
    # Then HAProxy may listen at them all the same
    listening(wire.node, str(VIP)).close()
    # And it has only its own address, and no routing by the shared one
    assert addresses(wire.node, wire.name) == {"203.0.113.10/24"}
    assert rules(wire.node) == []
    assert routes(wire.node, "table", "1") == []
    assert any("default via 203.0.113.1" in line for line in routes(wire.node))
    # When it stands alone, and then shares again
    network.use_topology(SINGLE)
    assert "203.0.113.2/32" in addresses(wire.node, wire.name)
    assert len(rules(wire.node)) == 1
    network.use_topology(ACTIVE_STANDBY)
    # Then it has given up what is not its own
    assert addresses(wire.node, wire.name) == {"203.0.113.10/24"}
    assert rules(wire.node) == []


def test_addresses_left_by_a_killed_keepalived_are_dropped(wire: Wire, network: Network) -> None:
    # Given a shared address that is on the interface though nobody keeps it there
    network.use_topology(ACTIVE_STANDBY)
    network.plug_vip(vip_plug(wire))
    netns.ip("address", "add", "203.0.113.2/32", "dev", wire.name, namespace=wire.node)
    # When shared addresses are dropped
    assert network.drop_vips() == (VIP,)
    # Then it is gone, and the node's own stays
    assert addresses(wire.node, wire.name) == {"203.0.113.10/24"}


def test_second_plug_of_a_vip_is_refused_and_changes_nothing(wire: Wire, network: Network) -> None:
    network.plug_vip(vip_plug(wire))
    before = netns.snapshot(wire.node)
    with pytest.raises(AlreadyPlugged, match="Interface already exists"):
        network.plug_vip(vip_plug(wire, mtu=1300))
    assert netns.snapshot(wire.node) == before


def test_unknown_hardware_address_is_refused(wire: Wire, network: Network) -> None:
    with pytest.raises(NoSuchInterface, match="No suitable network interface found"):
        network.plug_vip(Plug(mac="02:00:00:00:99:99", vips=(home(),)))
    assert network.plugged.plugs == ()


def test_second_plug_of_a_network_updates_it(wire: Wire, network: Network) -> None:
    # Given an interface towards members of one subnet
    one, two = home("198.18.0.5", "198.18.0.0/24", None), home("198.18.1.5", "198.18.1.0/24", None)
    assert network.plug_network(Plug(mac=wire.mac, fixed_ips=(one,))) == (wire.name, False)
    # When another subnet is added, and then the first one is taken away
    assert network.plug_network(Plug(mac=wire.mac, fixed_ips=(one, two))) == (wire.name, True)
    assert addresses(wire.node, wire.name) == {"198.18.0.5/24", "198.18.1.5/24"}
    network.plug_network(Plug(mac=wire.mac, fixed_ips=(two,)))
    # Then it has what was asked for last
    assert addresses(wire.node, wire.name) == {"198.18.1.5/24"}


def test_member_subnet_on_the_vip_port_keeps_the_vip(wire: Wire, network: Network) -> None:
    network.plug_vip(vip_plug(wire))
    network.plug_network(Plug(mac=wire.mac, fixed_ips=(home("198.18.0.5", "198.18.0.0/24", None),)))
    assert addresses(wire.node, wire.name) == {
        "203.0.113.10/24",
        "203.0.113.2/32",
        "198.18.0.5/24",
    }
    assert len(rules(wire.node)) == 1


def test_port_plugged_again_for_a_member_subnet_keeps_its_additional_vips(
    wire: Wire, network: Network
) -> None:
    # Given a port with two of the load balancer's addresses
    network.plug_vip(vip_plug(wire, home("203.0.113.3")))
    # When it is plugged for a member's subnet, with the first address only, as controllers do
    fixed = (home("198.18.0.5", "198.18.0.0/24", None),)
    network.plug_network(Plug(mac=wire.mac, vips=(home(),), vrrp_ip=VRRP, fixed_ips=fixed))
    # Then the second one still serves
    assert "203.0.113.3/32" in addresses(wire.node, wire.name)
    assert "198.18.0.5/24" in addresses(wire.node, wire.name)


def test_host_route_that_the_kernel_refuses_does_not_stop_the_plug(
    wire: Wire, network: Network
) -> None:
    # Given a subnet with one sound host route and one with a nexthop of no use
    routed = Home(
        address=VIP,
        subnet=SUBNET,
        gateway=ADDRESS("203.0.113.1"),
        host_routes=(
            HostRoute(destination=NETWORK("198.19.0.0/16"), nexthop=ADDRESS("203.0.113.7")),
            HostRoute(destination=NETWORK("198.18.7.0/24"), nexthop=ADDRESS("127.0.0.1")),
        ),
    )
    # When it is plugged
    network.plug_vip(Plug(mac=wire.mac, vips=(routed,), vrrp_ip=VRRP))
    # Then the sound one is in both tables
    for table in ("main", "1"):
        lines = routes(wire.node, "table", table)
        assert any(line.startswith("198.19.0.0/16 via 203.0.113.7") for line in lines)
        assert not any("198.18.7.0" in line for line in lines)


def test_interface_is_found_by_an_address_it_has_now(wire: Wire, network: Network) -> None:
    network.plug_vip(vip_plug(wire, home("fd00:18::2", "fd00:18::/64", None)))
    assert network.interface_of(VIP) == wire.name
    assert network.interface_of(ADDRESS("fd00:18:0:0::2")) == wire.name
    with pytest.raises(NoSuchAddress, match="Error interface not found for IP address"):
        network.interface_of(ADDRESS("203.0.113.77"))


def test_neighbours_are_told_of_an_address(wire: Wire, network: Network) -> None:
    # Given neighbours that think the addresses to be elsewhere
    network.plug_vip(vip_plug(wire, home("fd00:18::2", "fd00:18::/64", None)))
    for address in (VIP, VIP6):
        netns.ip(
            "neighbour", "replace", str(address), "lladdr", "02:00:00:00:66:66", "dev", wire.peer,
            "nud", "stale", namespace=wire.neighbour,
        )  # fmt: skip
    # When they are told
    assert set(network.announce([VIP, VIP6, ADDRESS("203.0.113.77")])) == {VIP, VIP6}
    # Then their tables have the right place
    for address in (VIP, VIP6):
        wait.until(
            lambda address=address: (
                wire.mac  # type: ignore[misc]
                in netns.ip("neighbour", "show", str(address), namespace=wire.neighbour)
            ),
            f"{address} is known to be at {wire.mac}",
        )


def test_counters_are_those_of_the_interfaces(wire: Wire, network: Network) -> None:
    network.plug_vip(vip_plug(wire))
    before = network.interfaces()[wire.name]
    with listening(wire.node, str(VIP)):
        assert reaches(wire.neighbour, "203.0.113.1", str(VIP))
    after = network.interfaces()[wire.name]
    assert after.rx_bytes > before.rx_bytes
    assert after.tx_bytes > before.tx_bytes
    assert set(network.interfaces()) == {wire.name}


def test_rules_let_in_what_they_name_and_nothing_else(wire: Wire, network: Network) -> None:
    # Given two ports that serve
    network.plug_vip(vip_plug(wire))
    with listening(wire.node, str(VIP), 8080), listening(wire.node, str(VIP), 8081):
        assert reaches(wire.neighbour, "203.0.113.1", str(VIP), 8081)
        # When only one of them is allowed
        name = network.allow(VIP, (Allowed(protocol="TCP", source=None, port=8080),))
        # Then only that one can be reached
        assert name == wire.name
        assert reaches(wire.neighbour, "203.0.113.1", str(VIP), 8080)
        assert not reaches(wire.neighbour, "203.0.113.1", str(VIP), 8081, seconds=0.5)
        # And rules are replaced, not added to
        network.allow(VIP, (Allowed(protocol="TCP", source=NETWORK("203.0.113.0/28"), port=8081),))
        assert not reaches(wire.neighbour, "203.0.113.1", str(VIP), 8080, seconds=0.5)
        assert reaches(wire.neighbour, "203.0.113.1", str(VIP), 8081)
        assert not reaches(wire.neighbour, "198.18.0.1", str(VIP), 8081, seconds=0.5)


def test_rules_that_nftables_refuses_change_nothing(wire: Wire, network: Network) -> None:
    network.plug_vip(vip_plug(wire))
    kept = (Allowed(protocol="TCP", source=None, port=8080),)
    network.allow(VIP, kept)
    before = netns.inside(wire.node, "nft", "list", "ruleset")
    with pytest.raises(RulesRefused, match="nftables refused the rules"):
        network.allow(VIP, (Allowed(protocol="TCP", source=None, port=808080),))
    assert netns.inside(wire.node, "nft", "list", "ruleset") == before
    assert network.plugged.plugs[0].allowed == kept


_AS_ORDINARY_USER = """
import ipaddress, sys
from pathlib import Path
from libra_amphora.network import Network
from libra_amphora.plugged import Home, Plug
network = Network(netns=sys.argv[1], state_dir=Path(sys.argv[2]))
network.restore()
address, subnet = ipaddress.ip_address("203.0.113.2"), ipaddress.ip_network("203.0.113.0/24")
print(network.plug_vip(Plug(mac=sys.argv[3], vips=(Home(address=address, subnet=subnet),))))
print(*network.announce([address]))
"""


def test_ordinary_user_with_three_capabilities_can_plug(wire: Wire) -> None:
    # Given an ordinary user who may administer and tap networks and enter namespaces
    state = folders.folder()
    os.chown(state, 65534, 65534)
    command = [*as_nobody("net_admin", "net_raw", "sys_admin"), sys.executable, "-c"]
    if subprocess.run([*command, ""], check=False, capture_output=True).returncode:
        need.missing("the Python of these tests lives where no other user may look")
    # When that user's agent plugs
    done = subprocess.run(
        [*command, _AS_ORDINARY_USER, wire.node, str(state), wire.mac],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=Path(__file__).parents[4],
    )
    # Then that is enough
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [wire.name, "203.0.113.2"]
    assert addresses(wire.node, wire.name) == {"203.0.113.2/32"}


def test_addresses_that_rest_leave_the_ports_own(wire: Wire, network: Network) -> None:
    # Given a port with an address of its own, and one of the load balancer's that serves
    network.plug_vip(vip_plug(wire))
    before = (addresses(wire.node, wire.name), routes(wire.node, "table", "1"), rules(wire.node))
    network.rest({VIP})
    assert addresses(wire.node, wire.name) == before[0]
    # When no listener uses it
    network.rest(())
    # Then only the port's own is left, by which its controller knows it
    assert addresses(wire.node, wire.name) == {"203.0.113.10/24"}
    assert rules(wire.node) == []
    assert network.interface_of(VRRP) == wire.name
    # And all is there again for the next listener
    network.wake()
    assert before == (
        addresses(wire.node, wire.name),
        routes(wire.node, "table", "1"),
        rules(wire.node),
    )
