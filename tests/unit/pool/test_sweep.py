"""What a sweep would remove: decided by rules alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_pool_mgm.clouds.base import Address, Cloud, Device, DeviceState, Port
from libra_pool_mgm.clouds.errors import CloudUnavailable
from libra_pool_mgm.sweep import ALWAYS, BreakerOpen, Rules, Sweeper, orphans, stray_ports
from tests.unit.pool.things import NOW, address, device, port

RULES = Rules(grace=3600, share=50)

ages = st.floats(0, 10_000)
devices = st.lists(
    st.builds(
        device,
        st.integers(0, 30).map("libra-{}".format),
        age=ages,
        delivered=st.booleans(),
        state=st.sampled_from(DeviceState),
    ),
    max_size=30,
    unique_by=lambda one: one.name,
)
addresses = st.lists(
    st.builds(
        address,
        st.integers(1, 30).map("203.0.113.{}".format),
        age=ages,
        delivered=st.booleans(),
        device=st.none() | st.integers(0, 30).map("libra-{}".format),
    ),
    max_size=30,
    unique_by=lambda one: one.ip,
)


@given(devices=devices, addresses=addresses, share=st.integers(1, 100), data=st.data())
def test_nothing_delivered_young_used_or_under_way_is_ever_removed(
    devices: list[Device], addresses: list[Address], share: int, data: st.DataObject
) -> None:
    things: list[Device | Address] = [*devices, *addresses]
    keys = [thing.key for thing in things]
    busy = data.draw(st.sets(st.sampled_from(keys)) if keys else st.just(set()))
    try:
        found, unheld = orphans(
            devices,
            addresses,
            rules=Rules(grace=3600, share=share),
            under_way=busy,
            now=NOW,
        )
    except BreakerOpen:
        return
    going: list[Device | Address] = [*found, *unheld]
    for thing in going:
        assert not thing.delivered
        assert (NOW - thing.created_at).total_seconds() > 3600
        assert thing.key not in busy
    assert {one.name for one in found}.isdisjoint({one.device for one in addresses})
    assert all(one.device is None for one in unheld)
    assert len(found) <= max(ALWAYS, share * len(devices) / 100)
    assert len(unheld) <= max(ALWAYS, share * len(addresses) / 100)


@pytest.mark.parametrize(
    "state", [state for state in DeviceState if state is not DeviceState.DELETING]
)
def test_an_old_device_that_nobody_was_given_goes_in_whatever_state(state: DeviceState) -> None:
    old = device(age=3601, state=state)
    assert orphans([old], [], rules=RULES, under_way=(), now=NOW) == ([old], [])


def test_the_share_is_of_devices_and_of_addresses_apart() -> None:
    old = [address(f"203.0.113.{n}", age=4000) for n in range(1, 7)]
    many = [device(f"libra-{n}", delivered=True) for n in range(100)]
    with pytest.raises(BreakerOpen, match="6 of 6 addresses"):
        orphans(many, old, rules=RULES, under_way=(), now=NOW)


class Shifting(Cloud):
    """A cloud in which things change between the listing and the second look."""

    def __init__(self, listed: list[Device], later: dict[str, Device | None]) -> None:
        self.listed = listed
        self.later = later
        self.deleted: list[str] = []
        self.listed_ports: list[Port] = []
        self.later_ports: dict[str, Port | None] = {}

    def devices(self) -> list[Device]:
        return self.listed

    def addresses(self) -> list[Address]:
        return []

    def ports(self) -> list[Port]:
        return self.listed_ports

    def find_port(self, identity: str) -> Port | None:
        return self.later_ports[identity]

    def delete_port(self, port: Port) -> None:
        self.deleted.append(port.id)

    def find_device(self, name: str) -> Device | None:
        return self.later[name]

    def delete_device(self, device: Device) -> None:
        if device.name == "libra-stuck":
            raise CloudUnavailable("gone for lunch")
        self.deleted.append(device.name)


def test_each_is_looked_at_again_and_one_failure_stops_no_other() -> None:
    # Given five orphans, of which one is delivered, one replaced and one gone meanwhile
    names = ["delivered", "replaced", "gone", "stuck", "good"]
    listed = [device(f"libra-{name}", age=9000) for name in names]
    later: dict[str, Device | None] = {one.name: one for one in listed}
    later["libra-delivered"] = device("libra-delivered", age=9000, delivered=True)
    later["libra-replaced"] = device("libra-replaced", id="another")
    later["libra-gone"] = None
    cloud = Shifting(listed, later)  # type: ignore[abstract]
    # When they are swept, and one cannot be deleted
    swept = Sweeper(cloud=cloud, rules=RULES, now=lambda: NOW).sweep(dry_run=False)
    # Then only the good one goes, and the failure is told
    assert cloud.deleted == ["libra-good"]
    assert swept.devices == ("libra-good",)
    assert swept.failed == ("libra-stuck: gone for lunch",)


@given(
    st.lists(
        st.builds(
            port,
            st.integers(0, 50).map(str),
            age=ages,
            device=st.none() | st.just("libra-1"),
        ),
        max_size=30,
    ),
    st.integers(1, 100),
)
def test_a_port_whose_device_is_there_or_that_is_young_is_never_removed(
    ports: list[Port], share: int
) -> None:
    try:
        found = stray_ports(ports, rules=Rules(grace=3600, share=share), now=NOW)
    except BreakerOpen:
        return
    assert all(one.device is None and one.created_at < NOW for one in found)
    assert all((NOW - one.created_at).total_seconds() > 3600 for one in found)
    assert len(found) <= max(ALWAYS, share * len(ports) / 100)


def test_old_ports_of_devices_that_are_gone_go_after_a_second_look() -> None:
    # Given three of them, of which one is gone and one has a device again when it is looked at
    strays = [port(name, age=9000, device=None) for name in ("a", "b", "c")]
    cloud = Shifting([], {})  # type: ignore[abstract]
    cloud.listed_ports = [*strays, port("d", age=9000)]
    cloud.later_ports = {"a": strays[0], "b": port("b"), "c": None}
    sweeper = Sweeper(cloud=cloud, rules=RULES, now=lambda: NOW)
    assert sweeper.sweep(dry_run=True).ports == ("a", "b", "c")
    assert sweeper.sweep(dry_run=False).ports == ("a",)
    assert cloud.deleted == ["a"]
