"""When an updated HAProxy takes over."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from libra_haproxy.errors import ConfigRefused
from libra_worker.renewal import Renewal


class Haproxy:
    def __init__(self) -> None:
        self.found = ("2.6.12", "2.6.12")
        self.renewed = 0
        self.refuses = False

    def releases(self) -> tuple[str, str]:
        return self.found

    def renew(self) -> None:
        if self.refuses:
            raise ConfigRefused("no")
        self.renewed += 1
        self.found = (self.found[1], self.found[1])


class Clock:
    now = 0.0
    day = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.now

    def today(self) -> datetime:
        return self.day


@pytest.fixture
def haproxy() -> Haproxy:
    return Haproxy()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def made(when: str, clock: Clock) -> Renewal:
    return Renewal(when=when, clock=clock.monotonic, today=clock.today)


def look(renewal: Renewal, haproxy: Haproxy, clock: Clock) -> int:
    clock.now += 10
    renewal.look(haproxy)
    return haproxy.renewed


def test_nothing_is_done_while_the_same_one_is_installed(haproxy: Haproxy, clock: Clock) -> None:
    renewal = made("now", clock)
    assert look(renewal, haproxy, clock) == 0
    for unknown in (("", "2.8"), ("2.6", ""), ("", "")):
        haproxy.found = unknown
        assert look(renewal, haproxy, clock) == 0


def test_now_means_at_the_next_look(haproxy: Haproxy, clock: Clock) -> None:
    renewal = made("now", clock)
    haproxy.found = ("2.6.12", "2.6.13")
    assert look(renewal, haproxy, clock) == 1
    assert look(renewal, haproxy, clock) == 1


def test_by_hand_means_when_asked_and_only_for_what_is_there(
    haproxy: Haproxy, clock: Clock
) -> None:
    renewal = made("hand", clock)
    renewal.ask()
    assert look(renewal, haproxy, clock) == 0
    haproxy.found = ("2.6.12", "2.6.13")
    assert look(renewal, haproxy, clock) == 0, "it was asked for before there was anything"
    renewal.ask()
    assert look(renewal, haproxy, clock) == 1


@pytest.mark.parametrize(
    ("now", "done"), [("23:29", 0), ("23:30", 1), ("23:59", 1), ("00:29", 1), ("00:30", 0)]
)
def test_a_time_of_day_is_the_hour_that_begins_then(
    haproxy: Haproxy, clock: Clock, now: str, done: int
) -> None:
    renewal = made("23:30", clock)
    haproxy.found = ("2.6.12", "2.6.13")
    clock.day = datetime.fromisoformat(f"2026-11-21T{now}:00+00:00")
    assert look(renewal, haproxy, clock) == done


def test_one_that_fails_is_tried_again_an_hour_later(haproxy: Haproxy, clock: Clock) -> None:
    renewal = made("now", clock)
    haproxy.found, haproxy.refuses = ("2.6.12", "2.6.13"), True
    assert look(renewal, haproxy, clock) == 0
    haproxy.refuses = False
    assert look(renewal, haproxy, clock) == 0
    clock.now += 3600
    assert look(renewal, haproxy, clock) == 1
