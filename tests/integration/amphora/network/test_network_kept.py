"""A node's network over failures, restarts of the agent and reboots."""

from __future__ import annotations

from pathlib import Path

import pytest

from libra_amphora.network import Network
from libra_amphora.network_errors import (
    PlugFailed,
    PlugsUnreadable,
)
from libra_amphora.plugged import Allowed, Plug
from tests.integration.amphora.network.conftest import Wire
from tests.integration.amphora.network.plugs import VIP, VRRP, home, vip_plug
from tests.support import netns
from tests.support.netns import addresses, routes, rules


@pytest.mark.parametrize("outside", [True, False])
def test_plug_that_fails_leaves_nothing_half_done(tmp_path: Path, outside: bool) -> None:
    # Given a port, and a gateway that the kernel will refuse as the last step
    netns.must_be_possible()
    with netns.namespace() as node, netns.namespace() as neighbour:
        mac, name = "02:00:00:00:14:01", netns.new_name("o")
        netns.cable(("" if outside else node, name, mac), (neighbour, "p", "02:00:00:00:14:99"))
        network = Network(netns=node, state_dir=tmp_path)
        network.restore()
        before = netns.snapshot(node)
        # When it is plugged
        with pytest.raises(PlugFailed, match=r"adding route 0\.0\.0\.0/0 via 127\.0\.0\.1: "):
            network.plug_vip(
                Plug(mac=mac, mtu=1300, vips=(home(gateway="127.0.0.1"),), vrrp_ip=VRRP)
            )
        # Then namespace and port are as they were, and a restart does not try it again
        after = netns.snapshot(node)
        if outside:
            shown = netns.ip("link", "show", name)
            netns.ip("link", "delete", name)
            assert "state DOWN" in shown
            assert "mtu 1500" in shown
        assert after == before
        again = Network(netns=node, state_dir=tmp_path)
        again.restore()
        assert again.plugged.plugs == ()


def test_update_that_fails_keeps_what_was_there(wire: Wire, network: Network) -> None:
    network.plug_vip(vip_plug(wire))
    before = netns.snapshot(wire.node)
    with pytest.raises(PlugFailed):
        network.plug_network(
            Plug(
                mac=wire.mac,
                mtu=1300,
                fixed_ips=(home("198.18.0.5", "198.18.0.0/24", "127.0.0.1"),),
            )
        )
    assert netns.snapshot(wire.node) == before
    assert network.plugged.plugs[0].fixed_ips == ()


def test_all_comes_back_after_a_reboot(wire: Wire, network: Network, tmp_path: Path) -> None:
    # Given a plugged interface with rules
    allowed = (Allowed(protocol="TCP", source=None, port=8080),)
    network.plug_vip(vip_plug(wire, home("fd00:18::2", "fd00:18::/64", "fd00:18::1")))
    network.allow(VIP, allowed)
    before = (addresses(wire.node, wire.name), routes(wire.node, "table", "1"), rules(wire.node))
    # When the machine starts anew: nothing is configured, and the port appears late
    for rule in ("-4", "-6"):
        netns.ip(rule, "rule", "delete", "table", "1", namespace=wire.node)
    netns.ip("address", "flush", "dev", wire.name, namespace=wire.node)
    netns.ip("link", "set", wire.name, "down", namespace=wire.node)
    netns.inside(wire.node, "nft", "flush", "ruleset")
    netns.ip("link", "set", wire.name, "address", "02:00:00:00:12:55", namespace=wire.node)
    again = Network(netns=wire.node, state_dir=tmp_path / "state")
    assert again.restore() == (wire.mac,)
    netns.ip("link", "set", wire.name, "address", wire.mac, namespace=wire.node)
    again.look()
    # Then it is all there
    assert before == (
        addresses(wire.node, wire.name),
        routes(wire.node, "table", "1"),
        rules(wire.node),
    )
    assert "8080" in netns.inside(wire.node, "nft", "list", "ruleset")


def test_restart_of_the_agent_disturbs_nothing(
    wire: Wire, network: Network, tmp_path: Path
) -> None:
    network.plug_vip(vip_plug(wire))
    before = netns.snapshot(wire.node)
    assert Network(netns=wire.node, state_dir=tmp_path / "state").restore() == ()
    assert netns.snapshot(wire.node) == before


def test_stored_interfaces_of_a_newer_release_are_left_alone(wire: Wire, tmp_path: Path) -> None:
    stored = tmp_path / "interfaces.json"
    stored.write_text('{"schema": 99, "plugged": {}}')
    with pytest.raises(PlugsUnreadable, match="schema 99"):
        Network(netns=wire.node, state_dir=tmp_path).restore()
    assert stored.read_text() == '{"schema": 99, "plugged": {}}'
