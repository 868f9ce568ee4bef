from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_haproxy.errors import InstanceInUse, StateUnreadable
from libra_haproxy.model import LoadBalancer, Model, Protocol, State, Status, Tls, Traffic
from libra_haproxy.store import SCHEMA, Store, decode, encode
from tests.unit.haproxy.models import CERTIFICATES, MODELS

STATES = st.builds(
    State,
    status=st.sampled_from(Status),
    generation=st.integers(0, 2**40),
    sender_generation=st.none() | st.integers(0, 2**53),
    model=st.none() | MODELS,
    next_numbers=st.dictionaries(st.sampled_from(Protocol), st.integers(1, 10**6)),
    traffic=st.dictionaries(
        st.sampled_from(Protocol),
        st.builds(
            Traffic,
            bytes_in=st.integers(0, 2**60),
            bytes_out=st.integers(0, 2**60),
            sessions=st.integers(0, 2**40),
        ),
    ),
)


@given(STATES)
def test_a_state_comes_back_from_its_stored_form_as_it_was(state: State) -> None:
    assert decode(encode(state)) == state


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"{}", b"\xff", b'{"schema": 1}', b'{"schema": 1, "state": {"status": 3}}'],
)
def test_a_damaged_state_is_said_to_be_damaged(data: bytes) -> None:
    with pytest.raises(StateUnreadable, match="damaged"):
        decode(data)


def test_a_newer_schema_is_refused_by_its_number() -> None:
    newer = json.dumps({"schema": SCHEMA + 1, "state": {}}).encode()
    with pytest.raises(StateUnreadable, match=f"schema {SCHEMA + 1}"):
        decode(newer)


@given(STATES)
def test_the_releases_before_and_after_read_each_others_state(state: State) -> None:
    # Given a state as the release before wrote it, without the sender's generation
    stored = json.loads(encode(state))
    del stored["state"]["sender_generation"]
    # Then it is read, and nothing is fenced
    before = decode(json.dumps(stored).encode())
    assert before == replace(state, sender_generation=None)
    # And a field of the release after is passed over, as that release's reader passed over ours
    stored["state"]["of_the_release_after"] = 1
    assert decode(json.dumps(stored).encode()) == before


def test_only_a_state_with_tls_is_more_than_the_release_before_reads() -> None:
    lb = LoadBalancer(protocol=Protocol.HTTP, port=80, servers=())
    plain, ended = (
        State(model=Model(load_balancers=(one,)))
        for one in (lb, replace(lb, tls=Tls(certificate=CERTIFICATES[0])))
    )
    assert json.loads(encode(plain))["schema"] == 1
    assert json.loads(encode(ended))["schema"] == 2
    assert decode(encode(ended)) == ended


def state(generation: int) -> State:
    return State(generation=generation)


def test_what_is_staged_is_not_the_truth_before_it_is_committed(tmp_path: Path) -> None:
    store = Store(directory=tmp_path)
    store.stage(state(1), "one")
    assert (store.load(), store.text()) == (State(), None)
    store.offer()
    store.commit()
    assert (store.load(), store.text()) == (state(1), "one")


def test_what_was_not_proved_is_replaced_by_the_last_good(tmp_path: Path) -> None:
    store = Store(directory=tmp_path)
    for generation, text in ((1, "one"), (2, "two")):
        store.stage(state(generation), text)
        store.offer()
        store.commit()
        assert store.pending()
        if generation == 1:
            store.confirm()
            store.keep_text()
            assert not store.pending()
    assert store.restore()
    assert (store.load(), store.text(), store.pending()) == (state(1), "one", False)


def test_without_a_good_one_restoring_leaves_nothing(tmp_path: Path) -> None:
    store = Store(directory=tmp_path)
    store.stage(state(1), "one")
    store.offer()
    store.commit()
    assert not store.restore()
    assert list(tmp_path.iterdir()) == []


def test_a_directory_has_one_owner_who_is_named(tmp_path: Path) -> None:
    store, other = Store(directory=tmp_path), Store(directory=tmp_path)
    store.lock("libra_worker node1")
    with pytest.raises(InstanceInUse, match="libra_worker node1, process"):
        other.lock("libra_amphora")
    store.unlock()
    other.lock("libra_amphora")
    other.unlock()


def test_a_link_in_place_of_a_new_file_is_never_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (tmp_path / "haproxy.cfg.new").symlink_to(victim)
    Store(directory=tmp_path).stage(state(1), "one")
    assert victim.read_text() == "untouched"


def test_erasing_leaves_the_stored_state_alone(tmp_path: Path) -> None:
    store = Store(directory=tmp_path)
    store.stage(state(1), "one")
    store.offer()
    store.commit()
    store.confirm()
    store.keep_text()
    store.keep_history(b"{}")
    store.entomb(State(status=Status.DELETED, generation=2, model=None))
    store.erase()
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]
    assert store.load().status is Status.DELETED
