"""Numbers and addresses: the lowest that is free, and a clear word when there is none."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_pool_mgm.clouds.errors import NoCapacity
from libra_pool_mgm.clouds.local import ranges

SMALL = IPv4Network("198.18.0.0/29")


@given(taken=st.sets(st.integers(2, 6)))
def test_a_device_gets_the_lowest_number_that_nobody_has(taken: set[int]) -> None:
    free = set(range(2, 7)) - taken
    if not free:
        with pytest.raises(NoCapacity, match=r"5 are there, all in 198\.18\.0\.0/29"):
            ranges.free_number(SMALL, taken)
        return
    number = ranges.free_number(SMALL, taken)
    assert number == min(free)
    assert SMALL[number] not in (
        SMALL.network_address,
        SMALL.broadcast_address,
        ranges.gateway(SMALL),
    )


def test_a_bridge_has_no_more_ports_than_linux_gives_it() -> None:
    wide, most = IPv4Network("198.18.0.0/15"), ranges.MOST_DEVICES
    assert ranges.free_number(wide, set(range(2, most + 1))) == most + 1
    with pytest.raises(NoCapacity):
        ranges.free_number(wide, set(range(2, most + 2)))


@given(taken=st.sets(st.integers(1, 6).map(lambda n: f"203.0.113.{n}")))
def test_an_address_is_the_lowest_that_nobody_has(taken: set[str]) -> None:
    network = IPv4Network("203.0.113.0/29")
    free = [str(ip) for ip in network.hosts() if str(ip) not in taken]
    if free:
        assert ranges.free_address(network, taken) == free[0]
    else:
        with pytest.raises(NoCapacity):
            ranges.free_address(network, taken)


def test_addresses_of_an_earlier_range_take_none_of_the_new_one() -> None:
    network = IPv4Network("203.0.113.0/30")
    assert ranges.free_address(network, {"192.0.2.1", "192.0.2.2"}) == "203.0.113.1"
    with pytest.raises(NoCapacity):
        ranges.free_address(network, {"203.0.113.1", "203.0.113.2"})
