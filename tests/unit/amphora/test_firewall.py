from __future__ import annotations

import ipaddress

import pytest

from libra_amphora import firewall
from libra_amphora.network_errors import RulesRefused
from libra_amphora.plugged import Allowed


@pytest.mark.parametrize(
    ("allowed", "line"),
    [
        (Allowed(protocol="TCP", source=None, port=80), "tcp dport 80 accept"),
        (
            Allowed(protocol="UDP", source=ipaddress.ip_network("203.0.113.0/24"), port=53),
            "ip saddr 203.0.113.0/24 udp dport 53 accept",
        ),
        (
            Allowed(protocol="SCTP", source=ipaddress.ip_network("fd00::/8"), port=9),
            "ip6 saddr fd00::/8 sctp dport 9 accept",
        ),
        (
            Allowed(protocol="TCP", source=ipaddress.ip_network("0.0.0.0/0"), port=80),
            "meta nfproto ipv4 tcp dport 80 accept",
        ),
        (
            Allowed(protocol="VRRP", source=ipaddress.ip_network("203.0.113.9/32"), port=112),
            "ip saddr 203.0.113.9/32 meta l4proto 112 accept",
        ),
    ],
)
def test_rule_lets_in_what_it_names(allowed: Allowed, line: str) -> None:
    text = firewall.render("eth1", (allowed, allowed))
    assert text.count(f"    {line}\n") == 1
    assert text.rstrip().endswith("drop\n  }\n}")


@pytest.mark.parametrize("name", ['eth"1', "eth1\n", "", "eth1 ", "x" * 16])
def test_interface_whose_name_could_be_read_as_more_is_refused(name: str) -> None:
    with pytest.raises(RulesRefused):
        firewall.render(name, ())
