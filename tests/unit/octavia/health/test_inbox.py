from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_octavia.health.inbox import Inbox
from libra_octavia.health.tally import INTERVAL, Tally
from tests.unit.octavia.health.said import beat, traffic


def test_of_many_heartbeats_of_a_device_only_the_newest_waits() -> None:
    inbox = Inbox()
    for number in range(1000):
        assert inbox.put(beat(number, a=traffic(number)))
    assert not inbox.put(beat(5, a=traffic(5)))
    (one,) = inbox.take(10, seconds=0)
    assert one.beat.place.sequence == 999
    assert one.ago >= 0
    assert inbox.take(10, seconds=0) == []


def test_counters_that_began_again_while_it_waited_are_not_lost() -> None:
    inbox = Inbox()
    for number, counter in enumerate((100, 150, 3, 8)):
        inbox.put(beat(number, a=traffic(counter)))
    assert [one.beat.counts["a"].bytes_in for one in inbox.take(10, seconds=0)] == [150, 8]


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9)), max_size=30), st.integers(0, 9)
)
def test_what_is_put_back_stands_before_what_came_since(
    beats: list[tuple[str, int]], cut: int
) -> None:
    # Given one inbox that was never taken from, and one whose take failed in between
    whole, broken = Inbox(), Inbox()
    counters = {"a": 0, "b": 0}
    for number, (device, more) in enumerate(beats):
        counters[device] += more
        one = beat(number, device=device, x=traffic(counters[device]))
        whole.put(one)
        if number == cut:
            taken = broken.take(1, seconds=0)
            broken.put(one)
            broken.put_back(taken)
        else:
            broken.put(one)
    # Then both hold the same
    last = [
        {one.beat.amphora_id: one.beat for one in inbox.take(10, seconds=0)}
        for inbox in (whole, broken)
    ]
    assert last[0] == last[1]


def test_what_is_dropped_is_said_once_a_minute_however_much_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [0.0]
    tally = Tally(clock=lambda: now[0])
    with caplog.at_level(logging.WARNING):
        for number in range(1000):
            tally.add("is not signed with our key", f"192.0.2.{number % 250}")
            tally.say()
        assert len(caplog.records) == 1
        now[0] = INTERVAL - 1
        tally.say()
        assert len(caplog.records) == 1
        now[0] = INTERVAL
        tally.say()
        tally.say()
    assert "999 that is not signed" in caplog.records[1].getMessage()
    assert tally.counted["is not signed with our key"] == 1000
