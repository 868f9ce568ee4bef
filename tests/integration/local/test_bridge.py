"""The bridge of the local cloud stays what it is when devices come and go."""

from __future__ import annotations

import json
import os
from ipaddress import IPv4Address, IPv4Network

from libra_pool_mgm.clouds.local import network
from tests.support import netns

RANGE = IPv4Network("198.18.0.0/15")


def mac(namespace: str) -> str:
    (found,) = json.loads(netns.ip("-j", "link", "show", network.BRIDGE, namespace=namespace))
    return str(found["address"])


def test_its_hardware_address_is_not_that_of_a_link() -> None:
    netns.must_be_possible()
    with netns.namespace() as name:
        outer = os.open(f"/run/netns/{name}", os.O_RDONLY)
        try:
            network.lay_out(outer, gateway=IPv4Address("198.18.0.1"), devices=RANGE)
            before = mac(name)
            # A link whose address is lower than any that the bridge could have by itself
            lowest = "00:00:00:00:00:02"
            netns.ip(
                *("link", "add", "low", "address", lowest, "type", "veth", "peer", "name", "other"),
                namespace=name,
            )
            netns.ip("link", "set", "low", "master", network.BRIDGE, namespace=name)
            assert mac(name) == before
            netns.ip("link", "delete", "low", namespace=name)
            assert mac(name) == before
            # And laid out once more it is the same
            network.lay_out(outer, gateway=IPv4Address("198.18.0.1"), devices=RANGE)
            assert mac(name) == before
        finally:
            os.close(outer)
