"""Floating IPs are routed to one device at a time, and never taken from another."""

from __future__ import annotations

import http.client
from collections.abc import Callable

import pytest

from libra_pool_mgm.clouds.errors import Conflict, NoCapacity, NotFound
from tests.support.backends import HttpBackend
from tests.support.localcloud import Site, same_address
from tests.support.traffic import get


def reachable(site: Site, ip: str) -> bool:
    try:
        return site.get(ip).status == http.client.OK
    except OSError:
        return False


def test_an_address_serves_where_it_is_assigned_and_nowhere_after(
    site: Site, web: HttpBackend
) -> None:
    # Given a device that serves, and an address that nobody has
    device = site.build()
    assert site.serve(device, web).ok
    address = site.cloud().create_address(key="a job")
    assert (address.ip, address.device) == ("203.0.113.1", None)
    assert not reachable(site, address.ip)
    # When it is assigned, twice
    for _ in range(2):
        site.cloud().assign_address(address, device)
    # Then the device serves on it
    assert site.get(address.ip).body == b"web"
    found = site.cloud().find_address(address.ip)
    assert found is not None
    assert found.device == device.name
    # When it is removed, twice / Then it is nobody's, and still ours
    for _ in range(2):
        site.cloud().remove_address(address, device)
    assert not reachable(site, address.ip)
    assert same_address(address, site.cloud().find_address(address.ip))
    # When it is deleted, twice / Then it is gone, and comes again for the next
    for _ in range(2):
        site.cloud().delete_address(address)
    assert site.cloud().addresses() == []
    with pytest.raises(NotFound):
        site.cloud().assign_address(address, device)
    assert site.cloud().create_address(key="another").ip == address.ip


def test_an_address_of_another_device_is_neither_moved_nor_removed(
    site: Site, web: HttpBackend
) -> None:
    one, two = site.build(), site.build()
    assert site.serve(one, web).ok
    assert site.serve(two, web).ok
    address = site.cloud().create_address(key="k")
    site.cloud().assign_address(address, one)
    for act in (site.cloud().assign_address, site.cloud().remove_address):
        with pytest.raises(Conflict, match=f"held by device {one.name}"):
            act(address, two)
    assert site.get(address.ip).body == b"web"
    # When its holder is deleted / Then it is free, and serves at the other
    site.cloud().delete_device(one)
    (found,) = site.cloud().addresses()
    assert found.device is None
    assert not reachable(site, address.ip)
    site.cloud().assign_address(address, two)
    assert site.get(address.ip).body == b"web"


def test_devices_reach_each_other_by_floating_ips(site: Site, web: HttpBackend) -> None:
    # Given a device on a floating IP, and another whose only node is that address
    inner, front = site.build(), site.build()
    address = site.cloud().create_address(key="k")
    site.cloud().assign_address(address, inner)
    assert site.serve(inner, web).ok
    node = {"address": address.ip, "port": 80}
    balancer = {"protocol": "HTTP", "port": 8080, "nodes": [node]}
    assert site.send(front, {"hpcs_action": "UPDATE", "loadBalancers": [balancer]}).ok
    # Then a request goes through both
    with site.cloud().outer.entered():
        assert get(8080, host=str(front.address)).body == b"web"


def test_the_same_job_gets_the_same_address_again(site: Site) -> None:
    first = site.cloud().create_address(key="k")
    site.cloud().mark_address_delivered(first)
    again = site.cloud().create_address(key="k")
    assert same_address(first, again)
    assert again.delivered
    assert len(site.cloud().addresses()) == 1


def test_a_range_that_is_used_up_is_told_as_no_capacity(make_site: Callable[..., Site]) -> None:
    site = make_site(addresses="203.0.113.0/30")
    for key in ("a", "b"):
        site.cloud().create_address(key=key)
    with pytest.raises(NoCapacity, match="every address of 203"):
        site.cloud().create_address(key="c")
    # An address that is given back is used again
    site.cloud().delete_address(site.cloud().addresses()[0])
    assert site.cloud().create_address(key="c").ip == "203.0.113.1"


def test_what_is_marked_delivered_stays_so(site: Site) -> None:
    device = site.build(wait=False)
    assert not device.delivered
    for _ in range(2):
        site.cloud().mark_delivered(device)
    (found,) = site.cloud().devices()
    assert found.delivered
    site.cloud().delete_device(device)
    with pytest.raises(NotFound):
        site.cloud().mark_delivered(device)
