"""What is left over is taken away by itself, and nobody else's work is disturbed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from libra_octavia.agent.devices import DeviceAway
from libra_octavia.devices.upkeep import Upkeep
from libra_octavia.inventory import (
    Addresses,
    Database,
    Device,
    Devices,
    Intents,
    Kind,
    Leases,
    Operation,
    Port,
    Ports,
    Wish,
)


class World:
    """An inventory, and a builder and the like that note what they are asked for."""

    def __init__(self, database: Database) -> None:
        self.devices = Devices(database)
        self.ports = Ports(database)
        self.intents = Intents(database)
        self.leases = Leases(database, seconds=30)
        self.taken_away: list[str] = []
        self.given_back: list[str] = []
        self.before: Callable[[], None] = lambda: None
        self.upkeep = Upkeep(
            devices=self.devices,
            ports=self.ports,
            addresses=Addresses(database),
            intents=self.intents,
            leases=self.leases,
            builder=self,  # type: ignore[arg-type]
            plugging=self,  # type: ignore[arg-type]
            certificates=self,  # type: ignore[arg-type]
            floating=self,  # type: ignore[arg-type]
            exists=lambda _: True,
            orphaned=10.0,
        )
        self.margin = 0.0

    def take_away(self, device: Device) -> None:
        self.before()
        self.taken_away.append(device.name)
        self.devices.remove(device.name)

    def give_back(self, device: Device) -> None:
        self.given_back.append(device.name)

    def leave(self, *_: Any) -> None:
        pass

    def wish(self) -> None:
        self.intents.record(
            Wish(
                operation=Operation.UPDATE,
                kind=Kind.LOAD_BALANCER,
                object_id="lb",
                load_balancer_id="lb",
            )
        )

    def known(self) -> None:
        """The load balancer is known, and wants nothing."""
        self.wish()
        lease = self.leases.claim("lb")
        assert lease is not None
        self.leases.complete(lease, [one.number for one in self.intents.of("lb")])


@pytest.fixture
def world(database: Database) -> World:
    found = World(database)
    found.known()
    return found


def put(world: World, name: str, state: str) -> None:
    world.devices.put(Device(name=name, state=state, load_balancer_id="lb", amphora_id=name))


def test_what_will_never_serve_again_goes_and_what_serves_stays(world: World) -> None:
    for name, state in (("a", "ready"), ("b", "leaving"), ("c", "failed"), ("d", "building")):
        put(world, name, state)
    world.upkeep.look()
    assert world.taken_away == ["b", "c", "d"]
    assert [one.name for one in world.devices.of("lb")] == ["a"]


def test_a_device_that_is_still_wanted_is_left_to_be_finished(world: World) -> None:
    # The only one there is
    put(world, "a", "building")
    world.upkeep.look()
    assert world.taken_away == []
    # One that is to replace another, while somebody waits for that
    put(world, "b", "ready")
    world.wish()
    world.upkeep.look()
    assert world.taken_away == []


def test_a_load_balancer_that_somebody_works_on_is_left_alone(world: World) -> None:
    put(world, "a", "leaving")
    lease = world.leases.claim("lb", early=True)
    assert lease is not None
    world.upkeep.look()
    assert world.taken_away == []
    world.leases.release(lease)
    world.upkeep.look()
    assert world.taken_away == ["a"]


def test_what_cannot_be_done_now_is_done_later_and_holds_nothing(world: World) -> None:
    put(world, "a", "leaving")

    def away() -> None:
        raise DeviceAway("the pool manager is away")

    world.before = away
    world.upkeep.look()
    assert world.leases.claim("lb") is not None
    world.before = lambda: None


def test_only_ports_that_were_idle_for_long_are_given_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(world, "a", "ready")
    for subnet in ("used", "idle"):
        world.ports.put(Port(device="a", subnet=subnet, port={"port": subnet}, plugged=True))
    world.ports.rest(Port(device="a", subnet="idle"))
    world.upkeep.look()
    assert world.given_back == []
    monkeypatch.setattr("libra_octavia.devices.upkeep.LINGER_SECONDS", 0.0)
    world.upkeep.look()
    assert world.given_back == ["a"]
    assert [one.subnet for one in world.ports.idle(0.0, device="a")] == ["idle"]
    assert [one.subnet for one in world.ports.used("a")] == ["used"]
    # One that is used again is not idle any more
    world.ports.put(Port(device="a", subnet="idle", port={"port": "idle"}, plugged=True))
    assert world.ports.idle(0.0, device="a") == []
