from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_amphora.heartbeat import message as said_by_us
from libra_amphora.snapshot import Listener, Member, Pool, Snapshot, Traffic
from libra_octavia.health.envelope import BadDatagram
from libra_octavia.health.message import Backend, Words, read
from libra_octavia.health.order import Place
from libra_octavia.inventory import Counts
from tests.unit.octavia.health.said import message

COUNTS = Counts(
    active_connections=3, bytes_in=2, bytes_out=1, total_connections=4, request_errors=5
)


def read_of(**more: Any) -> Any:
    return read(json.dumps(message(**more)).encode())


@pytest.mark.parametrize(("version", "deltas"), [(2, False), (3, True)])
def test_octavias_forms_of_today_are_understood(version: int, deltas: bool) -> None:
    found = read_of(ver=version)
    assert found.amphora_id == "amp"
    assert found.place == Place(None, 7)
    assert found.counts == {"l1": COUNTS}
    assert found.deltas is deltas
    assert found.words.listeners == {"l1": "OPEN"}
    assert found.words.backends == (
        Backend(pool="p1", listener="l1", status="UP", members={"m1": "UP 1/2"}),
    )


@pytest.mark.parametrize("pool", ["p1", "p1:l1"])
@pytest.mark.parametrize("version", [{}, {"ver": 1}])
def test_octavias_first_forms_have_pools_in_their_listeners(
    pool: str, version: dict[str, int]
) -> None:
    whole = message()
    whole["listeners"]["l1"]["pools"] = {pool: {"status": "DOWN", "members": {"m1": "DOWN"}}}
    del whole["pools"], whole["ver"]
    found = read(json.dumps(whole | version).encode())
    assert found.words.backends == (
        Backend(pool="p1", listener="l1", status="DOWN", members={"m1": "DOWN"}),
    )
    assert found.counts == {"l1": COUNTS}
    assert not found.deltas


def test_a_pool_of_udp_is_called_by_its_id_alone() -> None:
    found = read_of(pools={"p9": {"status": "UP", "members": {}}})
    assert [(one.pool, one.listener) for one in found.words.backends] == [("p9", "")]


def test_what_an_agent_of_ours_says_is_understood_whole() -> None:
    snapshot = Snapshot(
        listeners=(
            Listener(
                id="l1",
                loadbalancer_id="lb",
                type="HTTP",
                status="FULL",
                traffic=Traffic(
                    bytes_in=2, bytes_out=1, connections=3, total_connections=4, request_errors=5
                ),
            ),
        ),
        pools=(
            Pool(
                id="p1",
                listener_id="l1",
                backend="p1:l1",
                status="UP",
                members=(Member(id="m1", status="no check"),),
            ),
        ),
    )
    said = said_by_us(snapshot, amphora_id="amp", sequence=3, boot=17)
    found = read(json.dumps(said).encode())
    assert found.place == Place(17, 3)
    assert found.counts == {"l1": COUNTS}
    assert found.words.listeners == {"l1": "FULL"}
    assert found.words.backends[0].members == {"m1": "no check"}


@pytest.mark.parametrize(
    "more",
    [
        {"id": None},
        {"id": "../x"},
        {"id": "a" * 65},
        {"ver": 4},
        {"ver": "2"},
        {"seq": -1},
        {"seq": 2**63},
        {"seq": True},
        {"boot": "x"},
        {"listeners": []},
        {"listeners": {"l1": "OPEN"}},
        {"listeners": {"l 1": {"status": "OPEN", "stats": {}}}},
        {"listeners": {"l1": {"status": None, "stats": {}}}},
        {"listeners": {"l1": {"status": "OPEN", "stats": {"rx": -1}}}},
        {"listeners": {"l1": {"status": "OPEN", "stats": {"rx": 1.5}}}},
        {"listeners": {"l1": {"status": "OPEN", "stats": 1}}},
        {"pools": {"p1:l1": {"status": "UP", "members": {"m1": "x" * 41}}}},
        {"pools": {"p1:l1": {"status": "UP", "members": {"m1": "a\nb"}}}},
        {"pools": {":l1": {"status": "UP", "members": {}}}},
        {"pools": {"p1:l1": {"status": "UP", "members": []}}},
    ],
)
def test_what_is_not_as_it_should_be_is_refused_whole(more: dict[str, Any]) -> None:
    with pytest.raises(BadDatagram):
        read_of(**more)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=10,
)


@given(
    st.dictionaries(st.sampled_from(["id", "seq", "ver", "boot", "listeners", "pools"]), _JSON)
    | _JSON
)
def test_no_json_does_more_than_being_refused(value: Any) -> None:
    with contextlib.suppress(BadDatagram):
        read(json.dumps(value).encode())


_NAMES = st.sampled_from(["a", "b", "c"])
_WORDS = st.builds(
    Words,
    listeners=st.dictionaries(_NAMES, st.sampled_from(["OPEN", "FULL"])),
    backends=st.lists(
        st.builds(
            Backend,
            pool=_NAMES,
            listener=_NAMES,
            status=st.sampled_from(["UP", "DOWN"]),
            members=st.dictionaries(_NAMES, st.sampled_from(["UP", "DOWN 1/2", "no check"])),
        ),
        unique_by=lambda one: (one.pool, one.listener),
        max_size=3,
    ).map(tuple),
)


@given(_WORDS)
def test_words_are_kept_as_one_text_whatever_their_order(words: Words) -> None:
    again = Words.of(words.text())
    assert again.text() == words.text()
    turned = Words(
        listeners=dict(reversed(list(words.listeners.items()))),
        backends=tuple(reversed(words.backends)),
    )
    assert turned.text() == words.text()
    assert again.listeners == words.listeners
    assert {(one.pool, one.listener): one for one in again.backends} == {
        (one.pool, one.listener): one for one in words.backends
    }
