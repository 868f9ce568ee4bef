"""Heartbeats in the inventory: what several agents that share it make of them together."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

from libra_octavia.health.message import Words
from libra_octavia.inventory import (
    Counts,
    Database,
    Device,
    Devices,
    Intents,
    Kind,
    Leases,
    Operation,
    Totals,
    Wish,
)
from libra_octavia.inventory.beats import Beats, Heard, Taken
from libra_octavia.inventory.reports import Reports, Seen
from libra_octavia.inventory.sync import sync_all, sync_one
from tests.unit.octavia.health.said import beat, traffic


def known(database: Database, name: str = "lb", *devices: str, ids: tuple[str, ...] = ()) -> None:
    """A load balancer that was served, with objects and a device."""
    intents, leases = Intents(database), Leases(database, seconds=60)
    number = intents.record(
        Wish(
            operation=Operation.CREATE,
            kind=Kind.LOAD_BALANCER,
            object_id=name,
            load_balancer_id=name,
        )
    )
    for device in devices or ("amp",):
        Devices(database).put(
            Device(name=f"d-{device}", state="ready", load_balancer_id=name, amphora_id=device)
        )
    lease = leases.claim(name)
    assert lease is not None
    intents.remember(name, ids or ("l",))
    leases.complete(lease, [number])


def taken(database: Database, *beats: object) -> list[Taken]:
    return Beats(database).take([Heard(beat=one) for one in beats])  # type: ignore[arg-type]


def seen(database: Database) -> Seen:
    (found,) = Reports(database).look()
    return found


def test_what_a_device_says_is_kept_and_what_comes_late_or_twice_is_not(
    database: Database,
) -> None:
    known(database)
    words = Words(listeners={"l": "FULL"})
    first, second = beat(1, l=traffic(10)), beat(2, words=words, l=traffic(25))
    assert taken(database, first, second, first, second) == [
        Taken.STORED,
        Taken.STORED,
        Taken.OLD,
        Taken.OLD,
    ]
    # And no less so by a process that remembers nothing
    again = Database(database.url.render_as_string(hide_password=False))
    assert taken(again, first, second) == [Taken.OLD, Taken.OLD]
    assert Beats(again).words(["amp"]) == {"amp": words.text()}
    assert Totals(again).of("lb") == {"l": traffic(25)}
    (voice,) = seen(again).voices
    assert voice.digest == second.digest
    assert voice.ago is not None
    assert voice.ago >= 0
    again.close()


def test_a_device_that_nobody_knows_changes_nothing(database: Database) -> None:
    known(database)
    assert taken(database, beat(1, device="other", l=traffic(10))) == [Taken.UNKNOWN]
    assert Totals(database).of("lb") == {}


def test_totals_go_on_with_another_device_and_after_a_counter_began_again(
    database: Database,
) -> None:
    known(database, "lb", "a", "b")
    taken(database, beat(1, device="a", l=traffic(100)))
    taken(database, beat(2, device="a", l=traffic(110)))
    # When the device's counters begin again, and another device serves beside it
    taken(database, beat(3, device="a", l=traffic(5)))
    taken(database, beat(1, device="b", l=traffic(7)))
    found = Totals(database).of("lb")["l"]
    assert (found.bytes_in, found.bytes_out, found.total_connections) == (122, 244, 122)
    # Then of connections there are those of both
    assert found.active_connections == 2
    # And without the first one only those of the other, and all bytes still
    Devices(database).remove("d-a")
    taken(database, beat(2, device="b", l=traffic(8)))
    found = Totals(database).of("lb")["l"]
    assert (found.active_connections, found.bytes_in) == (1, 123)


def test_deltas_are_added_as_they_come(database: Database) -> None:
    known(database)
    for number in (1, 2, 2, 3):
        taken(database, beat(number, deltas=True, l=traffic(10, errors=1)))
    assert Totals(database).of("lb") == {
        "l": Counts(
            active_connections=1,
            bytes_in=30,
            bytes_out=60,
            total_connections=30,
            request_errors=3,
        )
    }


def test_many_agents_that_get_heartbeats_late_and_twice_count_each_byte_once(
    database: Database,
) -> None:
    # Given heartbeats of three devices, of which each agent gets some in its own order
    names = ("a", "b", "c")
    known(database, "lb", *names)
    chance = random.Random(5)
    counters = dict.fromkeys(names, 0)
    piles: list[list[Heard]] = [[] for _ in range(3)]
    for number in range(25):
        for name in names:
            counters[name] += chance.randrange(1000)
            one = Heard(beat=beat(number, device=name, l=traffic(counters[name])))
            for pile in chance.sample(piles, chance.choice([1, 1, 2])):
                pile.append(one)
    last = [Heard(beat=beat(25, device=name, l=traffic(counters[name]))) for name in names]

    # When they store them at the same time
    def store(pile: list[Heard]) -> None:
        mine = Database(database.url.render_as_string(hide_password=False))
        for start in range(0, len(pile), 5):
            Beats(mine).take(pile[start : start + 5])
        mine.close()

    Beats(database).take([Heard(beat=beat(0, boot=0, device=name)) for name in names])
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(store, piles))
    Beats(database).take(last)
    # Then the sum is what went through
    assert Totals(database).of("lb")["l"].bytes_in == sum(counters.values())


def test_what_is_gone_is_forgotten_and_totals_stay_with_their_load_balancer(
    database: Database,
) -> None:
    known(database, "lb", "a", "b")
    for name in ("a", "b"):
        taken(database, beat(1, device=name, l=traffic(10)))
    Devices(database).remove("d-a")
    assert Beats(database).tidy() == 1
    assert set(Beats(database).words(["a", "b"])) == {"b"}
    assert Totals(database).of("lb")["l"].bytes_in == 20


# -- who reports -----------------------------------------------------------------------------


def test_only_one_reports_on_a_load_balancer_and_what_it_told_is_known_to_all(
    database: Database,
) -> None:
    known(database)
    taken(database, beat(1, l=traffic(10)))
    reports = Reports(database)
    before = seen(database)
    assert (before.quiet, before.told_ago, before.told_basis) == (True, None, "")
    assert before.counts == {"l": traffic(10)}
    with ThreadPoolExecutor(4) as threads:
        claims = list(threads.map(lambda _: reports.claim("lb", seconds=60), range(4)))
    assert [one for one in claims if one is not None] == [{}]
    reports.told("lb", {"lb": "ONLINE"}, basis="b")
    reports.counted("lb", {"l": traffic(10)})
    reports.release(["lb"])
    after = seen(database)
    assert after.told_basis == "b"
    assert after.told_ago is not None
    assert after.told_counts == {"l": [1, 10, 20, 0, 10]}
    assert reports.claim("lb", seconds=0) == {"lb": "ONLINE"}
    # And whoever died over it holds it no longer than it said
    assert reports.claim("lb", seconds=60) == {"lb": "ONLINE"}


def test_what_is_asked_for_or_worked_on_is_not_quiet(database: Database) -> None:
    known(database)
    reports = Reports(database)
    before = seen(database)
    assert reports.is_still(before)
    sync_one(database, "lb")
    assert not seen(database).quiet
    assert not reports.is_still(before)
    leases = Leases(database, seconds=60)
    lease = leases.claim("lb")
    assert lease is not None
    leases.complete(lease, [one.number for one in Intents(database).of("lb")])
    # It is quiet again, but was served since.
    assert seen(database).quiet
    assert not reports.is_still(before)


def test_only_devices_that_serve_have_a_voice(database: Database) -> None:
    known(database, "lb", "a", "b")
    Devices(database).put(
        Device(name="d-a", state="building", load_balancer_id="lb", amphora_id="a")
    )
    assert [one.amphora_id for one in seen(database).voices] == ["b"]
    Devices(database).remove("d-b")
    assert list(Reports(database).look()) == []


def test_listeners_that_are_gone_are_not_told_of_and_then_forgotten(database: Database) -> None:
    known(database, "lb", ids=("l",))
    taken(database, beat(1, l=traffic(10), gone=traffic(5)))
    assert set(seen(database).counts) == {"l"}
    Reports(database).keep_only("lb", ["l"])
    assert set(Totals(database).of("lb")) == {"l"}


# -- full resync -----------------------------------------------------------------------------


def test_each_load_balancer_is_asked_to_be_compared_once_and_after_all_else(
    database: Database,
) -> None:
    for name in ("lb1", "lb2", "lb3"):
        known(database, name, f"amp-{name}", ids=(f"l-{name}",))
    sync_one(database, "lb2")
    assert list(sync_all(database)) == ["lb1", "lb3"]
    assert list(sync_all(database)) == []
    assert [one.operation for one in Intents(database).of("lb1")] == [Operation.SYNC]
    # What somebody waits for goes before
    Intents(database).record(
        Wish(operation=Operation.DELETE, kind=Kind.POOL, object_id="p", load_balancer_id="lb3")
    )
    Intents(database).record(
        Wish(
            operation=Operation.CREATE,
            kind=Kind.LOAD_BALANCER,
            object_id="lb4",
            load_balancer_id="lb4",
        )
    )
    assert list(Intents(database).due(10)) == ["lb3", "lb4", "lb2", "lb1"]
