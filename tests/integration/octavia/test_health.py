"""From datagrams to Octavia's ear: receiver, inventory and reporter, with devices that speak."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from octavia_lib.api.drivers import exceptions
from sqlalchemy import text

from libra_octavia.inventory import Database, Intents, Kind, Operation, Totals, Wish
from tests.support.octavia_health import Hearing, Speaking, listening, serve, settings
from tests.support.wait import until

ALL_WELL = dict.fromkeys(("lb", "l", "p", "m1", "m2", "h"), "ONLINE")


def port_of(found: Any) -> int:
    return int(found.octavia.heartbeat_bind.port)


def test_what_changes_is_told_and_nothing_else(database: Database, tmp_path: Path) -> None:
    found, hearing = settings(tmp_path), Hearing()
    serve(database, "amp")
    with listening(found, database, hearing), Speaking(port_of(found)) as device:
        until(lambda: hearing.words == ALL_WELL, "all is told")
        assert len(hearing.calls) == 1
        # When a member dies
        device.members["m2"] = "DOWN"
        until(lambda: hearing.words["m2"] == "ERROR", "its death is told")
        # Then only what that changes is told, in one call
        changed = {
            row["id"]: row["operating_status"] for rows in hearing.calls[1].values() for row in rows
        }
        assert changed == {"m2": "ERROR", "p": "DEGRADED", "lb": "DEGRADED"}
        # And the last of them is an error of all
        device.members["m1"], device.status = "DOWN", "DOWN"
        until(lambda: hearing.words["lb"] == "ERROR", "the last one's death is told")
        device.members, device.status = {"m1": "UP", "m2": "UP 1/2"}, "UP"
        until(lambda: hearing.words == ALL_WELL, "they are back")
        # And traffic is told alone
        calls = len(hearing.calls)
        device.bytes = 1234
        until(lambda: hearing.counts.get("l", {}).get("bytes_in") == 1234, "traffic is told")
        assert hearing.counts["l"] == {
            "active_connections": 1,
            "bytes_in": 1234,
            "bytes_out": 2468,
            "request_errors": 0,
            "total_connections": 1234,
        }
        said = device.sequence
        until(lambda: device.sequence > said + 20, "it has spoken for a while")
        assert len(hearing.calls) == calls


def test_a_silent_device_is_an_error_until_it_speaks_again(
    database: Database, tmp_path: Path
) -> None:
    found, hearing = settings(tmp_path), Hearing()
    serve(database, "amp")
    with listening(found, database, hearing), Speaking(port_of(found)) as device:
        until(lambda: hearing.words == ALL_WELL, "all is told")
        device.mute = True
        until(lambda: hearing.words["lb"] == "ERROR", "silence is told")
        # Nobody knows of the others.
        assert hearing.words == {**ALL_WELL, "lb": "ERROR"}
        device.mute = False
        until(lambda: hearing.words == ALL_WELL, "it is heard again")


def test_a_device_that_was_never_heard_is_an_error_too(database: Database, tmp_path: Path) -> None:
    found, hearing = settings(tmp_path), Hearing()
    serve(database, "amp")
    with listening(found, database, hearing):
        until(lambda: hearing.words == {"lb": "ERROR"}, "silence is told")


def test_after_a_restart_all_is_told_again_and_counted_on(
    database: Database, tmp_path: Path
) -> None:
    found, hearing = settings(tmp_path), Hearing()
    serve(database, "amp")
    with Speaking(port_of(found)) as device:
        device.bytes = 100
        with listening(found, database, hearing):
            until(lambda: hearing.counts.get("l", {}).get("bytes_in") == 100, "it is told")
        # While nobody listens traffic goes on, and for longer than silence may last
        device.bytes = 250
        gone = device.sequence
        until(lambda: device.sequence > gone + 60, "nobody listened for a while")
        hearing = Hearing()
        with listening(found, database, hearing):
            until(lambda: hearing.counts.get("l", {}).get("bytes_in") == 250, "it is told again")
            until(lambda: hearing.words == ALL_WELL, "all is told again")
            # Silence of before was never taken for that of a device
            assert all(
                row["operating_status"] != "ERROR"
                for call in hearing.calls
                for rows in call.values()
                for row in rows
            )


def test_two_agents_that_hear_every_other_heartbeat_tell_the_same_once(
    database: Database, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    one, other = settings(tmp_path), settings(tmp_path / "other")
    hearing = Hearing()
    serve(database, "amp")
    second = Database(database.url.render_as_string(hide_password=False))
    with (
        listening(one, database, hearing),
        listening(other, second, hearing),
        Speaking(port_of(one), port_of(other)) as device,
    ):
        device.bytes = 10
        until(lambda: hearing.words == ALL_WELL, "all is told")
        for number in range(5):
            device.members["m1"] = "DOWN" if number % 2 == 0 else "UP"
            device.bytes += 1000
            wanted = "ERROR" if number % 2 == 0 else "ONLINE"
            until(lambda wanted=wanted: hearing.words["m1"] == wanted, "it is told")  # type: ignore[misc]
        until(lambda: hearing.counts["l"]["bytes_in"] == 5010, "each byte was counted once")
        assert Totals(database).of("lb")["l"].bytes_in == 5010
        # And what both have told once is not told again and again
        until(lambda: hearing.words["m1"] == "ERROR", "the last change is told")
        said = device.sequence
        until(lambda: device.sequence > said + 20, "both have told all")
        calls, said = len(hearing.calls), device.sequence
        until(lambda: device.sequence > said + 40, "it has spoken for a while")
        assert len(hearing.calls) == calls
        # Totals never go back, whoever tells them
        told = [said["l"] for said in hearing.statistics]
        assert told == sorted(told)


def test_what_is_asked_for_keeps_health_quiet_until_it_is_done(
    database: Database, tmp_path: Path
) -> None:
    found, hearing = settings(tmp_path), Hearing()
    serve(database, "amp")
    with listening(found, database, hearing), Speaking(port_of(found)) as device:
        until(lambda: hearing.words == ALL_WELL, "all is told")
        # Given a change that an agent is at
        Intents(database).record(
            Wish(operation=Operation.UPDATE, kind=Kind.POOL, object_id="p", load_balancer_id="lb")
        )
        calls = len(hearing.calls)
        device.members["m2"] = "DOWN"
        device.bytes = 77
        until(lambda: hearing.counts["l"]["bytes_in"] == 77, "traffic is told all the same")
        said = device.sequence
        until(lambda: device.sequence > said + 20, "it has spoken for a while")
        assert len(hearing.calls) == calls
        # When it is done what changed is told, and what the agent may have told other words of
        serve(database, worded={"l"})
        until(lambda: hearing.words["m2"] == "ERROR", "it is told")
        told = {
            row["id"] for call in hearing.calls[calls:] for rows in call.values() for row in rows
        }
        changed = {name for name, word in ALL_WELL.items() if hearing.words[name] != word}
        assert {"m2"} <= changed < set(ALL_WELL)
        assert told == {"l", *changed}


def test_old_and_foreign_and_broken_datagrams_change_nothing_and_fill_no_log(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found, hearing = settings(tmp_path), Hearing()
    serve(database, "amp")
    with (
        caplog.at_level(logging.WARNING),
        listening(found, database, hearing),
        Speaking(port_of(found)) as device,
    ):
        device.members["m2"] = "DOWN"
        device.bytes = 5
        until(lambda: hearing.words.get("m2") == "ERROR", "it is told")
        old = list(device.sent)
        device.members["m2"], device.bytes = "UP", 50
        until(lambda: hearing.words.get("m2") == "ONLINE", "it is told")
        until(lambda: hearing.counts["l"]["bytes_in"] == 50, "traffic is told")
        for data in old * 5:
            device.send(data)
            device.send(data[:-1] + b"x")
            device.send(b"\0" * 60_000)
        said = device.sequence
        until(lambda: device.sequence > said + 20, "it has spoken for a while")
        assert hearing.words == ALL_WELL
        assert hearing.counts["l"]["bytes_in"] == 50
    lines = [one for one in caplog.messages if one.startswith("heartbeats dropped")]
    assert len(lines) == 1


def test_while_the_inventory_is_held_datagrams_are_received_and_none_is_lost(
    tmp_path: Path,
) -> None:
    # Given a database that somebody keeps locked for longer than a transaction waits
    from libra_octavia.inventory import migrate

    database = Database(f"sqlite:///{tmp_path / 'inventory.db'}")
    migrate(database)
    found, hearing = settings(tmp_path), Hearing()
    serve(database, "amp")
    with listening(found, database, hearing), Speaking(port_of(found)) as device:
        until(lambda: hearing.words == ALL_WELL, "all is told")
        release = threading.Event()

        def hold() -> None:
            with database.write() as connection:
                connection.execute(text("UPDATE load_balancers SET attempts = attempts"))
                release.wait(60)

        holder = threading.Thread(target=hold)
        holder.start()
        # When thousands of heartbeats come meanwhile, and the counters begin again in between
        device.bytes = 400
        first = device.sequence
        until(lambda: device.sequence > first + 10, "they were sent")
        device.bytes = 30
        for _ in range(2000):
            device.say()
            time.sleep(0.001)
        release.set()
        holder.join()
        # Then the last words are there before long, and each byte was counted
        until(lambda: hearing.counts["l"]["bytes_in"] == 430, "all of it was counted", 40)
        assert hearing.words == ALL_WELL
    database.close()


def test_an_octavia_that_does_not_answer_is_told_later(database: Database, tmp_path: Path) -> None:
    found, hearing = settings(tmp_path), Hearing()
    away = threading.Event()
    away.set()
    asked: list[float] = []

    def before() -> None:
        asked.append(time.monotonic())
        if away.is_set():
            raise exceptions.DriverAgentTimeout(fault_string="no answer")

    hearing.before = before
    serve(database, "amp")
    with listening(found, database, hearing), Speaking(port_of(found)) as device:
        device.bytes = 9
        until(lambda: len(asked) >= 2, "it was asked, and again")
        away.clear()
        until(lambda: hearing.words == ALL_WELL, "all is told")
        until(lambda: hearing.counts["l"]["bytes_in"] == 9, "traffic is told")


def test_a_load_balancer_that_octavia_does_not_have_is_not_told_of(
    database: Database, tmp_path: Path
) -> None:
    found, hearing = settings(tmp_path), Hearing()
    serve(database, "amp")
    gone = threading.Event()
    hearing.get_loadbalancer = lambda _: gone.set()  # type: ignore[method-assign,assignment]
    with listening(found, database, hearing), Speaking(port_of(found)) as device:
        until(gone.is_set, "it was looked for")
        said = device.sequence
        until(lambda: device.sequence > said + 20, "it has spoken for a while")
        assert hearing.calls == []
