"""The ranges of the local cloud are ranges, of a size that works, and do not overlap."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

import pytest

from libra_common.errors import SettingsError
from libra_common.settings import load

PROG = "libra_pool_mgm"


def test_the_documented_ranges_are_the_defaults() -> None:
    found = load([], prog=PROG).local
    assert found.devices == IPv4Network("198.18.0.0/15")
    assert found.addresses == IPv4Network("203.0.113.0/24")
    assert found.ports == IPv4Network("198.19.0.0/16")
    assert found.ports_ipv6 == IPv6Network("2001:db8:18::/64")
    assert found.folder == Path("/var/lib/libra/cloud")
    assert found.outer == "new"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("198.18.0.0", "it has no /length"),
        ("198.18.0.1/15", "host bits set"),
        ("2001:db8::/32", "is not a range of IPv4 addresses"),
        ("198.18.0.0/30", "is not between /8 and /29 in size"),
        ("0.0.0.0/0", "is not between /8 and /29 in size"),
        ("", "is not a range of IPv4 addresses"),
    ],
)
def test_what_is_no_usable_range_is_refused_by_name_and_reason(text: str, reason: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load([f"--local-devices={text}"], prog=PROG)
    (fault,) = refused.value.faults
    assert "[mgm:local] devices" in fault
    assert reason in fault


def test_ranges_that_overlap_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"overlaps devices = 198\.18\.0\.0/15"):
        load(["--local-addresses=198.19.255.0/24"], prog=PROG)


def test_ports_may_have_the_end_of_the_devices_range_and_nothing_else_of_theirs() -> None:
    load(["--local-devices=198.18.0.0/16", "--local-ports=198.18.4.0/22"], prog=PROG)
    with pytest.raises(SettingsError, match=r"ports = 198\.18\.0\.0/22: overlaps the first 1024"):
        load(["--local-devices=198.18.0.0/16", "--local-ports=198.18.0.0/22"], prog=PROG)
    with pytest.raises(SettingsError, match=r"overlaps addresses = 203\.0\.113\.0/24"):
        load(["--local-ports=203.0.113.0/28"], prog=PROG)


@pytest.mark.parametrize(
    "text", ["2001:db8::1/64", "2001:db8::", "198.18.0.0/16", "2001:db8::/121"]
)
def test_what_is_no_usable_ipv6_range_is_refused_by_name(text: str) -> None:
    with pytest.raises(SettingsError, match=r"\[mgm:local\] ports_ipv6"):
        load([f"--local-ports-ipv6={text}"], prog=PROG)
