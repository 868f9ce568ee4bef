from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_haproxy.errors import DiskError, StateUnreadable
from libra_haproxy.ledger import Books
from libra_haproxy.reports import (
    KNOWN,
    SCHEMA,
    Past,
    Report,
    Reports,
    decode,
    encode,
    next_report,
)

BIRTH = 1_700_000_000.25
DAY = 86_400


@dataclass
class Life:
    """A load balancer whose traffic and reports are those of a test."""

    past: Past
    out: int = 0
    now: float = BIRTH

    def report(self, ack: int | None = None) -> Report:
        self.now += 60
        books = Books(since=self.past.since, totals={"http-in": (1, self.out, 2)})
        report, past = next_report(self.past, books, ack=ack, now=self.now)
        # What is stored is what the next daemon knows.
        self.past = decode(encode(past))
        return report


@pytest.fixture
def life() -> Life:
    return Life(Past(since=BIRTH))


def out(report: Report) -> int:
    return report.traffic["http-in"][1]


def test_without_ack_each_report_follows_the_one_before(life: Life) -> None:
    # Given the reports of a client that knows nothing of ack
    life.out = 100
    first = life.report()
    life.out = 130
    second = life.report()
    third = life.report()
    # Then each has what came since, and their times are without a gap
    assert [out(one) for one in (first, second, third)] == [100, 30, 0]
    assert [one.after for one in (first, second, third)] == [0, first.number, second.number]
    assert first.start.timestamp() == BIRTH
    assert (second.start - first.end).total_seconds() == 1e-6
    assert second.totals == {"http-in": (1, 130, 2)}


def test_with_ack_a_report_follows_the_one_that_was_received(life: Life) -> None:
    # Given a report that was received, and two whose answers were lost
    life.out = 100
    received = life.report(ack=0)
    life.out = 110
    life.report(ack=received.number)
    life.out = 125
    life.report(ack=received.number)
    # When the next one is received
    life.out = 140
    report = life.report(ack=received.number)
    # Then it has all since the one before it
    assert (out(report), report.after) == (40, received.number)
    # And so has the one after it, if the late answer of a lost one is not used
    life.out = 150
    assert out(life.report(ack=report.number)) == 10


def test_the_two_ways_of_asking_do_not_disturb_each_other(life: Life) -> None:
    life.out = 100
    life.report()
    other = life.report(ack=0)
    life.out = 107
    assert out(life.report(ack=other.number)) == 7
    assert out(life.report()) == 7


@pytest.mark.parametrize("unknown", [1, 12, 1_600_000_000_000])
def test_the_ack_of_a_former_life_gets_the_whole_of_this_one(life: Life, unknown: int) -> None:
    life.out = 100
    life.report(ack=0)
    life.out = 110
    report = life.report(ack=unknown)
    assert (out(report), report.after) == (110, 0)


def test_an_ack_that_was_never_given_goes_on_from_the_last(life: Life) -> None:
    life.out = 100
    last = life.report()
    life.out = 110
    report = life.report(ack=last.number + DAY * 1000)
    assert (out(report), report.after) == (10, last.number)


def test_the_last_acknowledged_is_known_however_many_follow_it(life: Life) -> None:
    # Given a client whose answers are lost for long
    life.out = 100
    received = life.report(ack=0)
    for _ in range(3 * KNOWN):
        life.out += 1
        life.report(ack=received.number)
        life.report()
    # Then nothing is forgotten
    report = life.report(ack=received.number)
    assert (out(report), report.after) == (3 * KNOWN, received.number)
    assert len(life.past.given) == KNOWN


def test_books_that_were_begun_anew_are_reported_from_their_beginning(life: Life) -> None:
    # Given a load balancer with reports, another one after it, or the same with a lost ledger
    life.out = 100
    before = life.report()
    books = Books(since=BIRTH + 2 * DAY, totals={"http-in": (1, 5, 1)})
    report, _ = next_report(life.past, books, ack=None, now=BIRTH + 3 * DAY)
    assert (out(report), report.after) == (5, 0)
    assert report.number > before.number


def test_a_clock_that_goes_back_makes_no_time_that_ends_before_it_began(life: Life) -> None:
    first = life.report()
    life.now -= DAY
    second = life.report()
    assert first.end < second.start <= second.end
    assert second.number > first.number


def test_two_that_were_asked_for_at_once_share_what_there_is(life: Life) -> None:
    # Given totals that were read earlier and come later
    life.out = 110
    first = life.report()
    life.out = 100
    second = life.report()
    life.out = 120
    third = life.report()
    assert [out(one) for one in (first, second, third)] == [110, 0, 10]


@given(
    st.lists(st.tuples(st.integers(0, 10**9), st.sampled_from(["plain", "got", "lost", "late"])))
)
def test_whatever_is_lost_the_sums_are_right(steps: list[tuple[int, str]]) -> None:
    # Given a client without ack that gets everything, and one with ack that does not
    life = Life(Past(since=BIRTH))
    plain = added = acked = 0
    late: list[Report] = []
    for traffic, what in steps:
        life.out += traffic
        if what == "plain":
            plain += out(life.report())
            assert plain == life.out
            continue
        report = life.report(ack=acked)
        assert report.after == acked
        if what == "lost":
            late.append(report)
            continue
        # An answer that comes late is as good as any other that follows the same report
        waiting = [one for one in late if one.after == acked]
        used = waiting[0] if what == "late" and waiting else report
        added, acked = added + out(used), used.number
        # Then each of them has counted every byte once, up to the report's end
        assert added == used.totals["http-in"][1]


def test_reports_are_stored_before_they_are_given(tmp_path: Path) -> None:
    # Given a report by one daemon
    path = tmp_path / "reports.json"
    books = Books(since=BIRTH, totals={"tcp-in": (1, 2, 3)})
    first = Reports(path).next(books, ack=None)
    # Then another daemon goes on from it
    second = Reports(path).next(books, ack=first.number)
    assert (second.after, second.traffic) == (first.number, {"tcp-in": (0, 0, 0)})
    assert json.loads(path.read_bytes())["schema"] == SCHEMA
    assert [file.name for file in tmp_path.iterdir()] == ["reports.json"]


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"{}", b'{"schema": 1}', json.dumps({"schema": SCHEMA + 1}).encode()],
)
def test_a_damaged_or_newer_file_is_named_and_left_as_it_is(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "reports.json"
    path.write_bytes(data)
    with pytest.raises(StateUnreadable, match=r"reports\.json"):
        Reports(path).next(Books(since=BIRTH, totals={}), ack=None)
    assert path.read_bytes() == data


def test_what_cannot_be_stored_is_not_reported(tmp_path: Path) -> None:
    # Given a directory in the place of the new file, so that not even root can write it
    (tmp_path / "reports.json.new").mkdir()
    with pytest.raises(DiskError):
        Reports(tmp_path / "reports.json").next(Books(since=BIRTH, totals={}), ack=None)
    (tmp_path / "reports.json.new").rmdir()
    # Then the next one has it
    books = Books(since=BIRTH, totals={"http-in": (1, 2, 3)})
    assert Reports(tmp_path / "reports.json").next(books, ack=None).traffic == books.totals
