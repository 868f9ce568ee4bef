"""The ranges of the local cloud are ranges, of a size that works, and do not overlap."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from libra_common.errors import SettingsError
from libra_common.settings import load

PROG = "libra_pool_mgm"


def test_the_documented_ranges_are_the_defaults() -> None:
    found = load([], prog=PROG).local
    assert found.devices == IPv4Network("198.18.0.0/15")
    assert found.addresses == IPv4Network("203.0.113.0/24")
    assert found.folder == Path("/var/lib/libra/cloud")


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
