"""What the history keeps, in which order, and what it survives."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_haproxy.errors import DiskError, NoSuchEntry, StaleGeneration
from libra_haproxy.history import FOUND, KEPT, Entry, History, decode, encode, refuse_stale
from libra_haproxy.model import LoadBalancer, Model, Protocol, Server, State, Status
from libra_haproxy.store import Store
from tests.unit.haproxy.models import MODELS

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)

ENTRIES = st.lists(
    st.builds(
        Entry,
        number=st.integers(1, 2**40),
        time=st.datetimes(timezones=st.just(UTC)),
        reason=st.text(max_size=20),
        model=MODELS,
        sender_generation=st.none() | st.integers(0, 2**53),
        job=st.text(max_size=20),
        restores=st.none() | st.integers(0, 2**53),
    ),
    max_size=3,
)


def state(generation: int, port: int = 0) -> State:
    server = Server(address="192.0.2.1", port=port or generation, node_id=1, number=1)
    lb = LoadBalancer(protocol=Protocol.HTTP, port=80, servers=(server,), label="\ud800")
    return State(status=Status.ACTIVE, generation=generation, model=Model(load_balancers=(lb,)))


def opened(store: Store, now: State) -> History:
    history = History(store)
    history.open(now)
    return history


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(directory=tmp_path)


@pytest.fixture
def record(store: Store) -> Callable[..., History]:
    """A history with an update of each of the generations, a minute between two of them."""

    def make(*generations: int) -> History:
        times = iter(NOON + timedelta(minutes=n) for n in range(1000))
        history = History(store, clock=lambda: next(times))
        for generation in generations:
            history.record(state(generation), "update", sender_generation=generation * 10)
        return history

    return make


@given(ENTRIES)
def test_entries_come_back_from_their_stored_form_as_they_were(entries: list[Entry]) -> None:
    assert decode(encode(entries)) == entries


def test_five_are_kept_newest_first_and_survive_a_restart(
    store: Store, record: Callable[..., History]
) -> None:
    # Given seven configurations, between which other changes were counted
    history = record(1, 2, 4, 5, 6, 8, 9)
    # Then the last five are told, newest first, with their times and the sender's numbers
    entries = history.entries()
    assert len(entries) == KEPT
    assert [entry.number for entry in entries] == [9, 8, 6, 5, 4]
    assert [entry.sender_generation for entry in entries] == [90, 80, 60, 50, 40]
    assert [entry.time for entry in entries] == [
        NOON + timedelta(minutes=n) for n in (6, 5, 4, 3, 2)
    ]
    # And another process tells the same
    assert opened(store, state(9)).entries() == entries


def test_only_another_configuration_makes_an_entry(record: Callable[..., History]) -> None:
    # Given a configuration in force
    history = record(1)
    # When the state changes and the configuration does not
    history.record(state(2, port=1), "update", sender_generation=None)
    # Then there is no other entry
    assert [entry.number for entry in history.entries()] == [1]


def test_an_entry_that_a_crash_has_lost_is_made_at_the_start(
    store: Store, record: Callable[..., History]
) -> None:
    # Given a configuration that was proved in force, and a crash before it was entered
    record(1)
    # Then the next start enters it, once, as what it is
    for _ in range(2):
        history = opened(store, state(2))
        found = [(entry.number, entry.reason) for entry in history.entries()]
        assert found == [(2, FOUND), (1, "update")]


def test_a_state_that_was_put_back_is_the_newest_again(
    store: Store, record: Callable[..., History]
) -> None:
    # Given a history that is ahead of the state which an operator has put back
    record(1, 2, 3)
    history = opened(store, state(2, port=77))
    # Then no number stands for two configurations
    assert [entry.number for entry in history.entries()] == [2, 1]
    assert history.find(2).reason == FOUND


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"schema": 3, "entries": []}',
        b'{"schema": 1}',
        b'{"schema": 1, "entries": [{"number": "x"}]}',
    ],
    ids=lambda damage: damage[:20].decode(errors="replace"),
)
def test_a_damaged_history_is_logged_and_begun_anew(
    store: Store, caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    # Given a file that is none of ours
    store.keep_history(damage)
    # When it is opened
    with caplog.at_level(logging.ERROR):
        history = opened(store, state(3))
    # Then that is in the log, and it begins with what is in force
    assert "begun anew" in caplog.text
    assert [(entry.number, entry.reason) for entry in history.entries()] == [(3, FOUND)]
    assert opened(store, state(3)).entries() == history.entries()


def test_a_history_that_cannot_be_written_hinders_nothing(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a place where no file can be made
    (tmp_path / "history.json.new").mkdir()
    history = History(store)
    # When a configuration is entered
    history.record(state(1), "update", sender_generation=None)
    # Then the log says that it is not on disk, and it is told all the same
    assert "was not written" in caplog.text
    assert [entry.number for entry in history.entries()] == [1]


def test_a_file_without_fields_of_this_release_or_with_those_of_the_next_is_read(
    store: Store, record: Callable[..., History]
) -> None:
    # Given entries with the required fields alone, and with one that nobody knows yet
    entries = record(1).entries()
    stored = json.loads(encode(list(entries)))
    [entry] = stored["entries"]
    for name in ("sender_generation", "job", "restores"):
        del entry[name]
    entry["of_the_release_after"] = 1
    # Then they are read
    assert [one.model for one in decode(json.dumps(stored).encode())] == [entries[0].model]


def test_an_entry_names_the_job_that_brought_it(store: Store) -> None:
    history = History(store)
    history.record(state(1), "update", job="H:here:7")
    assert [entry.job for entry in history.entries()] == ["H:here:7"]


def test_an_entry_is_found_by_its_number_or_by_what_restored_it(
    record: Callable[..., History],
) -> None:
    # Given a full history, whose oldest entry is restored and falls off by that
    history = record(1, 2, 3, 4, 5)
    history.record(state(6, port=1), "rollback to 1", sender_generation=None, restores=1)
    # Then the same rollback, run again, finds the same configuration
    assert history.find(1).model == state(6, port=1).model
    assert history.find(2).number == 2
    # And what is not there is named, with what is
    with pytest.raises(NoSuchEntry, match="no entry 7; kept are 6, 5, 4, 3, 2"):
        history.find(7)
    history.forget()
    with pytest.raises(NoSuchEntry, match="no entry 1; kept are none"):
        history.find(1)


def test_erasing_a_load_balancer_erases_its_history(
    store: Store, record: Callable[..., History], tmp_path: Path
) -> None:
    record(1)
    store.erase()
    assert store.history() is None
    assert not list(tmp_path.iterdir())


def test_a_history_that_cannot_be_renamed_is_a_disk_error(store: Store, tmp_path: Path) -> None:
    (tmp_path / "history.json").mkdir()
    with pytest.raises(DiskError, match="cannot rename"):
        store.keep_history(b"{}")


@pytest.mark.parametrize(
    ("generation", "applied", "same"),
    [(None, 5, False), (5, None, False), (0, None, False), (6, 5, False), (5, 5, True)],
)
def test_what_is_newer_or_the_same_or_without_a_number_passes_the_fence(
    generation: int | None, applied: int | None, same: bool
) -> None:
    refuse_stale(generation, applied=applied, same=same)


@pytest.mark.parametrize(
    ("generation", "same", "text"),
    [(4, False, "older than the applied 5"), (4, True, "older"), (5, False, "another writer")],
)
def test_what_is_older_or_another_of_the_same_number_is_stale(
    generation: int, same: bool, text: str
) -> None:
    with pytest.raises(StaleGeneration, match=text):
        refuse_stale(generation, applied=5, same=same)
