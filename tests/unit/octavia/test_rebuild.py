from __future__ import annotations

from libra_octavia.devices.wishes import port_key
from libra_octavia.rebuild import ports_of, subnets_of
from tests.support.octavia_trees import listener, member, pool, tree

AMPHORA = "6e2bc8a0-2548-4fb7-a5f0-fb1ef4a696ce"


def test_every_subnet_of_a_load_balancer_is_found() -> None:
    inner = pool(members=[member(subnet_id="of a member below a listener")])
    found = subnets_of(
        tree(
            [listener(default_pool=inner)],
            [pool(members=[member(subnet_id="of a member"), member()])],
            vip_subnet_id="of the address",
            additional_vips=[{"ip_address": "2001:db8::7", "subnet_id": "of another"}],
        )
    )
    assert found == {
        "",
        "of the address",
        "of another",
        "of a member",
        "of a member below a listener",
    }


def test_ports_are_known_by_their_subnets_and_others_by_their_keys() -> None:
    said = [
        {"port": "1", "key": port_key(AMPHORA, "a"), "mac": "m", "addresses": ["192.0.2.7"]},
        {"port": "2", "key": port_key(AMPHORA, "gone"), "mac": "n", "addresses": []},
    ]
    first, second = ports_of({"name": "libra-1", "ports": said}, AMPHORA, {"", "a", "b"})
    assert (first.subnet, first.addresses, first.device) == ("a", ("192.0.2.7",), "libra-1")
    assert first.port == {"port": "1", "mac": "m", "addresses": ["192.0.2.7"]}
    # It can still be given back
    assert second.subnet == port_key(AMPHORA, "gone")
    assert (second.port or {})["port"] == "2"


def test_a_device_without_ports_has_none() -> None:
    assert ports_of({"name": "libra-1"}, AMPHORA, {"a"}) == []
