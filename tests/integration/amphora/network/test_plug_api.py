"""Plugging, interfaces and keepalived as the API's documents have them, word for word."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from libra_amphora.api.interface import InterfaceApi
from libra_amphora.api.plug import PlugApi
from libra_amphora.api.vrrp import VrrpApi
from libra_amphora.keepalived import Keepalived
from libra_amphora.network import Network
from tests.integration.amphora.network.conftest import Wire
from tests.support import netns, vrrp, wait
from tests.support.agent_calls import call
from tests.support.netns import addresses

VERSIONS = pytest.mark.parametrize("version", ["1.0", "v0.1"])
UNKNOWN_MAC = "78:31:c1:ce:0b:3c"


@pytest.fixture
def keepalived(network: Network, tmp_path: Path) -> Iterator[Keepalived]:
    made = vrrp.make_keepalived(network, tmp_path)
    made.open()
    yield made
    made.stop()
    made.close()


def subnet(wire: Wire, **more: Any) -> dict[str, Any]:
    """The body of the documents' example."""
    return {
        "subnet_cidr": "203.0.113.0/24",
        "gateway": "203.0.113.1",
        "mac_address": wire.mac,
    } | more


@VERSIONS
def test_vip_of_the_documents_example_is_plugged(
    wire: Wire, network: Network, version: str
) -> None:
    routes = list(PlugApi(network=network).routes())
    path = f"/{version}/plug/vip/203.0.113.2"
    assert call(routes, "POST", path, subnet(wire, mac_address=wire.mac.upper())) == (
        202,
        {"message": "OK", "details": f"VIP 203.0.113.2 plugged on interface {wire.name}"},
    )
    assert "203.0.113.2/32" in addresses(wire.node, wire.name)
    assert call(routes, "POST", path, subnet(wire)) == (
        409,
        {"message": "Interface already exists"},
    )


def test_vip_as_todays_controllers_send_it_is_plugged(wire: Wire, network: Network) -> None:
    more = {
        "vrrp_ip": "203.0.113.10",
        "mtu": 1450,
        "host_routes": [{"destination": "198.19.0.0/16", "nexthop": "203.0.113.7"}],
        "additional_vips": [
            {
                "subnet_cidr": "fd00:18::/64",
                "ip_address": "fd00:18::2",
                "gateway": "fd00:18::1",
                "host_routes": [],
            }
        ],
        "is_sriov": False,
        "of_a_later_release": [1],
    }
    status, body = call(
        PlugApi(network=network).routes(),
        "POST",
        "//1.0/plug/vip/203.0.113.2",
        subnet(wire, **more),
    )
    assert (status, body["message"]) == (202, "OK")
    assert addresses(wire.node, wire.name) == {
        "203.0.113.10/24",
        "203.0.113.2/32",
        "fd00:18::2/128",
    }


@VERSIONS
def test_unknown_port_is_told_so_that_a_controller_tries_again(
    wire: Wire, network: Network, version: str
) -> None:
    text = "No suitable network interface found"
    # A controller of today looks into `details`, which the first API does not have.
    expected = {"message": text} | ({"details": text} if version == "1.0" else {})
    for path, body in (
        ("plug/vip/203.0.113.2", subnet(wire, mac_address=UNKNOWN_MAC)),
        ("plug/network/", {"mac_address": UNKNOWN_MAC}),
        ("plug/network", {"mac_address": UNKNOWN_MAC}),
    ):
        routes = PlugApi(network=network).routes()
        assert call(routes, "POST", f"/{version}/{path}", body) == (404, expected)


@pytest.mark.parametrize("vip", ["203.0.113", "banana", "203.0.113.2%25eth0", "::%25x", "0.0.0.0"])
def test_vip_that_is_no_address_is_refused(wire: Wire, network: Network, vip: str) -> None:
    found = call(PlugApi(network=network).routes(), "POST", f"/1.0/plug/vip/{vip}", subnet(wire))
    assert found == (400, {"message": "Invalid VIP"})


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ({"subnet_cidr": "203.0.113.0"}, "subnet_cidr: "),
        ({"subnet_cidr": "203.0.113.7/24"}, "subnet_cidr: "),
        ({"subnet_cidr": "198.18.0.0/24"}, "198.18.0.0/24 does not hold 203.0.113.2"),
        ({"subnet_cidr": None}, "subnet_cidr: "),
        ({"gateway": "x"}, "gateway: "),
        ({"gateway": "fd00::1"}, "gateway: fd00::1 is not of the family"),
        ({"mac_address": "eth1"}, "mac_address: "),
        ({"mac_address": ["02:00:00:00:12:01"]}, "mac_address: "),
        ({"mtu": 67}, "mtu: "),
        ({"mtu": True}, "mtu: "),
        ({"mtu": "1500"}, "mtu: "),
        ({"host_routes": {}}, "host_routes: "),
        ({"host_routes": [{"destination": "0/0"}]}, "host_routes.0.nexthop: "),
        ({"additional_vips": [{"ip_address": "203.0.113.3"}]}, "additional_vips.0.subnet_cidr: "),
    ],
)
def test_subnet_that_does_not_fit_is_refused_by_its_field(
    wire: Wire, network: Network, more: dict[str, Any], fault: str
) -> None:
    before = netns.snapshot(wire.node)
    status, body = call(
        PlugApi(network=network).routes(), "POST", "/1.0/plug/vip/203.0.113.2", subnet(wire, **more)
    )
    assert (status, body["message"]) == (400, "Invalid subnet information")
    assert fault in body["details"]
    assert netns.snapshot(wire.node) == before


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b'"x"', b"{}", b"NaN"])
def test_body_that_is_no_object_is_refused(network: Network, body: bytes) -> None:
    routes = list(PlugApi(network=network).routes())
    for path, message in (
        ("/1.0/plug/vip/203.0.113.2", "Invalid subnet information"),
        ("/1.0/plug/network", "Invalid port information"),
    ):
        status, found = call(routes, "POST", path, body)
        assert (status, found["message"]) == (400, message)


def test_refusal_of_the_kernel_is_told_in_its_words(wire: Wire, network: Network) -> None:
    routes = list(PlugApi(network=network).routes())
    status, body = call(
        routes, "POST", "/1.0/plug/vip/203.0.113.2", subnet(wire, gateway="127.0.0.1")
    )
    assert (status, body["message"]) == (500, "Error plugging VIP")
    assert body["details"].startswith("adding route 0.0.0.0/0 via 127.0.0.1: ")
    fixed: dict[str, Any] = {"ip_address": "198.18.0.5", "subnet_cidr": "198.18.0.0/24"}
    status, body = call(
        routes,
        "POST",
        "/1.0/plug/network",
        {"mac_address": wire.mac, "fixed_ips": [fixed], "mtu": 70},
    )
    assert status == 202  # an MTU that is small is no fault of its own


@VERSIONS
def test_network_is_plugged_and_then_updated(wire: Wire, network: Network, version: str) -> None:
    routes = list(PlugApi(network=network).routes())
    body: dict[str, Any] = {"mac_address": wire.mac}
    assert call(routes, "POST", f"/{version}/plug/network/", body) == (
        202,
        {"message": "OK", "details": f"Plugged interface {wire.name}"},
    )
    fixed: dict[str, Any] = {
        "ip_address": "198.18.0.5",
        "subnet_cidr": "198.18.0.0/24",
        "gateway": None,
        "host_routes": [],
    }
    assert call(routes, "POST", f"/{version}/plug/network", body | {"fixed_ips": [fixed]}) == (
        202,
        {"message": "OK", "details": f"Updated existing interface {wire.name}"},
    )
    assert addresses(wire.node, wire.name) == {"198.18.0.5/24"}


@VERSIONS
def test_interface_is_found_or_not_in_the_documents_words(
    wire: Wire, network: Network, version: str
) -> None:
    call(PlugApi(network=network).routes(), "POST", "/1.0/plug/vip/203.0.113.2", subnet(wire))
    routes = list(InterfaceApi(network=network).routes())
    assert call(routes, "GET", f"/{version}/interface/203.0.113.2") == (
        200,
        {"message": "OK", "interface": wire.name},
    )
    assert call(routes, "GET", f"/{version}/interface/10.5.0.1") == (
        404,
        {"message": "Error interface not found for IP address"},
    )
    assert call(routes, "GET", f"/{version}/interface/10.6.0.1.1") == (
        400,
        {"message": "Bad IP address version"},
    )


def test_rules_are_put_or_refused(wire: Wire, network: Network) -> None:
    call(PlugApi(network=network).routes(), "POST", "/1.0/plug/vip/203.0.113.2", subnet(wire))
    routes = list(InterfaceApi(network=network).routes())
    path = "/1.0/interface/203.0.113.2/rules"
    rule = {"protocol": "TCP", "cidr": "198.18.0.0/24", "port": 80}
    assert call(routes, "PUT", path, [rule, rule | {"protocol": "VRRP", "cidr": None}]) == (
        200,
        {"message": "OK"},
    )
    before = netns.inside(wire.node, "nft", "list", "ruleset")
    assert "ip saddr 198.18.0.0/24 tcp dport 80 accept" in before
    for body, fault in (
        ([rule | {"port": 0}], "0.port: "),
        ([rule | {"protocol": "ICMP"}], "0.protocol: "),
        ([rule | {"cidr": "x"}], "0.cidr: "),
        ([rule | {"comment": "x"}], "0.comment: "),
        ({"rules": []}, "body: "),
    ):
        status, found = call(routes, "PUT", path, body)
        assert (status, found["message"]) == (400, "Invalid rules information")
        assert fault in found["details"]
    status, found = call(routes, "PUT", "/1.0/interface/10.5.0.1/rules", [])
    assert (status, found["message"]) == (404, "Error interface not found for IP address")
    assert netns.inside(wire.node, "nft", "list", "ruleset") == before


@VERSIONS
def test_keepalived_is_driven_in_the_documents_words(
    wire: Wire, network: Network, keepalived: Keepalived, version: str
) -> None:
    # Given a node with a port
    body = subnet(wire, vrrp_ip=vrrp.OWN[0])
    call(PlugApi(network=network).routes(), "POST", "/1.0/plug/vip/203.0.113.2", body)
    routes = list(VrrpApi(keepalived=keepalived).routes())
    text = vrrp.configuration(0, interface=wire.name)
    start, stop = f"/{version}/vrrp/start", f"/{version}/vrrp/stop"
    # Then each call has its answer
    status, found = call(routes, "PUT", start)
    assert (status, found["message"]) == (400, "Invalid Request")
    assert call(routes, "PUT", f"/{version}/vrrp/upload", text.encode()) == (200, {"message": "OK"})
    started = (202, {"message": "OK", "details": "keepalived started"})
    assert call(routes, "PUT", start) == started
    assert call(routes, "PUT", start) == started
    assert call(routes, "PUT", f"/{version}/vrrp/reload") == (
        202,
        {"message": "OK", "details": "keepalived reloaded"},
    )
    assert call(routes, "PUT", f"/{version}/vrrp/BAD_TEST_DATA") == (
        400,
        {"message": "Invalid Request", "details": "Unknown action: BAD_TEST_DATA"},
    )
    status, found = call(routes, "PUT", f"/{version}/vrrp/upload", b"BAD_LINE")
    assert (status, found["message"]) == (400, "Failed to upload keepalived configuration.")
    assert found["details"].startswith("line 1: ")
    assert call(routes, "PUT", stop) == (202, {"message": "OK", "details": "keepalived stopped"})
    assert call(routes, "PUT", stop) == (202, {"message": "OK", "details": "keepalived stopped"})


@VERSIONS
def test_keepalived_that_is_not_there_to_be_stopped_is_told_of(
    wire: Wire, network: Network, keepalived: Keepalived, version: str, tmp_path: Path
) -> None:
    body = subnet(wire, vrrp_ip=vrrp.OWN[0])
    call(PlugApi(network=network).routes(), "POST", "/1.0/plug/vip/203.0.113.2", body)
    routes = list(VrrpApi(keepalived=keepalived).routes())
    call(routes, "PUT", "/1.0/vrrp/upload", vrrp.configuration(0, interface=wire.name).encode())
    call(routes, "PUT", "/1.0/vrrp/start")
    node = vrrp.Node(
        number=0, namespace=wire.node, folder=tmp_path, network=network, keepalived=keepalived
    )
    pid = min(node.pids())
    node.kill()
    wait.until(lambda: not keepalived.running, "the death is seen")
    said = f"keeepalived process with PID {pid} not found"
    assert call(routes, "PUT", f"/{version}/vrrp/stop") == (
        500,
        {"message": f"Failed to stop keepalived service: {said}", "details": said},
    )
