from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_haproxy.ledger import Ledger, added, read_books

COUNTS = st.dictionaries(
    st.sampled_from(["http-in", "tcp-in"]), st.tuples(*[st.integers(0, 10**12)] * 3)
)


def test_every_process_is_counted_once_whether_it_lives_or_not(tmp_path: Path) -> None:
    # Given a process that counted and ended, and one that still counts
    ledger = Ledger(tmp_path / "ledger.json")
    ledger.note("1:1", {"http-in": (1, 10, 1)})
    ledger.note("1:1", {"http-in": (2, 20, 2)})
    ledger.close("1:1")
    ledger.note("2:1", {"http-in": (5, 50, 5), "tcp-in": (1, 1, 1)})
    # Then the totals hold the last of each
    assert ledger.books().totals == {"http-in": (7, 70, 7), "tcp-in": (1, 1, 1)}
    # And so they do when read by somebody else
    assert read_books(tmp_path / "ledger.json") == ledger.books()


def test_a_keeper_that_was_killed_loses_nothing_that_was_noted(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    before = Ledger(path)
    before.note("1:1", {"http-in": (2, 20, 2)})
    before.note("2:1", {"http-in": (3, 30, 3)})
    # When another keeper finds only the second process alive
    after = Ledger(path)
    after.close_all_but(["2:1"])
    after.note("2:1", {"http-in": (4, 40, 4)})
    assert after.books().totals == {"http-in": (6, 60, 6)}


def test_a_process_that_closed_and_counts_on_under_its_old_pid_is_another(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.json")
    ledger.note("1:1", {"http-in": (2, 20, 2)})
    ledger.close("1:1")
    ledger.note("1:2", {"http-in": (1, 1, 1)})
    assert ledger.books().totals == {"http-in": (3, 21, 3)}


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"schema": 9}', b'{"schema":1,"closed":3}'])
def test_a_damaged_ledger_counts_as_empty(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "ledger.json"
    path.write_bytes(data)
    assert Ledger(path).books().totals == {}


def test_a_ledger_says_since_when_it_is_kept_and_a_lost_one_begins_anew(tmp_path: Path) -> None:
    # Given a ledger that was begun, and goes on under another keeper
    path = tmp_path / "ledger.json"
    first = Ledger(path)
    first.note("1:1", {"http-in": (1, 1, 1)})
    assert Ledger(path).books().since == first.books().since
    # When it is damaged
    path.write_text("{")
    # Then nobody takes the new one for it
    assert Ledger(path).books().since > first.books().since


def test_only_what_has_ended_is_closed(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.json")
    ledger.note("1:1", {"http-in": (1, 1, 1)})
    ledger.note("2:1", {"http-in": (2, 2, 2)})
    ledger.close_ended(lambda process: process == "2:1")
    ledger.note("2:1", {"http-in": (3, 3, 3)})
    assert ledger.books().totals == {"http-in": (4, 4, 4)}


def test_fewer_numbers_than_there_are_columns_count_as_zero(tmp_path: Path) -> None:
    # Given what was counted before requests were
    path = tmp_path / "ledger.json"
    path.write_text('{"schema": 1, "closed": {"http-in": [1, 2, 3]}, "open": {}}')
    ledger = Ledger(path)
    # When the same frontend counts more
    ledger.note("1:1", {"http-in": (1, 1, 1, 0, 7, 0, 0, 0)})
    assert ledger.books().totals == {"http-in": (2, 3, 4, 0, 7, 0, 0, 0)}


@given(st.lists(COUNTS, max_size=5))
def test_adding_is_frontend_by_frontend(counts: list[dict[str, tuple[int, int, int]]]) -> None:
    total = added(counts)
    for frontend in ("http-in", "tcp-in"):
        for place in range(3):
            wanted = sum(one.get(frontend, (0, 0, 0))[place] for one in counts)
            assert total.get(frontend, (0, 0, 0))[place] == wanted
