"""A pool's servers are followed by their changes, and what is told is what a listing would tell."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_pool_mgm.clouds.errors import CloudUnavailable
from libra_pool_mgm.clouds.nova.following import WHOLE_SECONDS, Following


class Nova:
    """Lists as nova does: a server that was only made has not changed, a deleted one has."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.servers: dict[str, dict[str, Any]] = {}
        self.calls: list[str | None] = []
        self.down = False

    def clock(self) -> float:
        return self.now

    def make(self, name: str) -> None:
        self.servers[name] = {"id": name, "status": "BUILD", "at": None}

    def change(self, name: str, status: str) -> None:
        self.servers[name] = {"id": name, "status": status, "at": self.now}

    def truth(self) -> dict[str, str]:
        return {
            name: one["status"] for name, one in self.servers.items() if one["status"] != "DELETED"
        }

    def listing(self, **filters: str) -> list[Mapping[str, Any]]:
        if self.down:
            raise CloudUnavailable("away")
        since = filters.get("changes-since")
        self.calls.append(since)
        if since is None:
            chosen = [one for one in self.servers.values() if one["status"] != "DELETED"]
        else:
            moment = datetime.datetime.fromisoformat(since).timestamp()
            # A build request is told in each listing, but not for long.
            chosen = [one for one in self.servers.values() if (one["at"] or 0.0) >= moment]
        return [
            {"id": one["id"], "status": one["status"], "updated": _text(one["at"] or 900.0)}
            for one in chosen
        ]


def _text(moment: float) -> str:
    return f"{datetime.datetime.fromtimestamp(moment, datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"


def _told(following: Following) -> dict[str, str]:
    return {one["id"]: one["status"] for one in following.servers()}


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["make", "ACTIVE", "ERROR", "DELETED", "time", "ask"]),
        st.sampled_from("abcdef"),
        st.floats(min_value=0.1, max_value=50.0),
    ),
    max_size=60,
)


@given(STEPS)
def test_whatever_happens_each_answer_is_what_a_whole_listing_would_say(
    steps: list[tuple[str, str, float]],
) -> None:
    # Given a nova, and who follows it
    nova = Nova()
    following = Following(listing=nova.listing, clock=nova.clock)
    for what, name, seconds in steps:
        # When servers are made, change and go, and time passes
        match what:
            case "make" if name not in nova.servers:
                nova.make(name)
                following.expect(name)
            case "ACTIVE" | "ERROR" | "DELETED" if name in nova.truth():
                nova.change(name, what)
            case "time":
                nova.now += seconds
            case _:
                # Then every answer is right
                assert _told(following) == nova.truth()
    assert _told(following) == nova.truth()


def test_a_large_pool_in_which_nothing_changes_is_read_whole_only_now_and_then() -> None:
    nova = Nova()
    for name in "abc":
        nova.make(name)
        nova.change(name, "ACTIVE")
    following = Following(listing=nova.listing, clock=nova.clock)
    # When it is asked each second for a minute, beginning long after the last change
    nova.now += 3600
    for _ in range(60):
        _told(following)
        nova.now += 1
    # Then two listings were whole, and the others began near the last change
    assert nova.calls.count(None) == 60 / WHOLE_SECONDS
    assert set(nova.calls) - {None} == {_text(1_000.0 - 15)}


def test_a_server_of_which_nobody_knows_the_id_is_found_by_a_whole_listing() -> None:
    # Given a server that nova made without answering
    nova = Nova()
    nova.make("a")
    following = Following(listing=nova.listing, clock=nova.clock)
    _told(following)
    nova.make("b")
    # When that is said
    following.expect_anything()
    # Then it is in the next answer
    assert _told(following) == {"a": "BUILD", "b": "BUILD"}


@pytest.mark.parametrize("seconds", [0.0, 2 * WHOLE_SECONDS])
def test_a_listing_that_fails_forgets_nothing(seconds: float) -> None:
    nova = Nova()
    nova.make("a")
    following = Following(listing=nova.listing, clock=nova.clock)
    _told(following)
    # Given one made and one lost meanwhile
    nova.make("b")
    following.expect("b")
    nova.change("a", "DELETED")
    nova.now += seconds
    nova.down = True
    with pytest.raises(CloudUnavailable):
        following.servers()
    # When nova is back, then the answer is right
    nova.down = False
    assert _told(following) == {"b": "BUILD"}
