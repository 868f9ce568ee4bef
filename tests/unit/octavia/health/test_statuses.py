"""The words for each object; each case as Octavia's own controller would have it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_octavia.agent.index import index
from libra_octavia.health.message import Backend, Words
from libra_octavia.health.statuses import Status, operating
from tests.support.octavia_trees import listener, member, monitor, pool, tree

BOTH_UP = {"m1": "UP", "m2": "UP"}


def found(
    *,
    monitored: dict[str, Any] | None = None,
    lb: dict[str, Any] | None = None,
    front: dict[str, Any] | None = None,
    behind: dict[str, Any] | None = None,
    members: list[dict[str, Any]] | None = None,
) -> Any:
    """A listener with a pool of two monitored members, changed as the test wants it."""
    checks = monitor(healthmonitor_id="h", **(monitored or {})) if monitored != {} else None
    pools = [
        pool(
            pool_id="p",
            healthmonitor=checks,
            members=[
                member(**{"member_id": f"m{n}", **one})
                for n, one in enumerate(members if members is not None else [{}, {}], 1)
            ],
            **(behind or {}),
        )
    ]
    fronts = [listener(listener_id="l", default_pool_id="p", **(front or {}))]
    return index(tree(fronts, pools, loadbalancer_id="lb", **(lb or {})))


def words(
    members: dict[str, str] | None = None,
    *,
    listener: str | None = "OPEN",
    status: str = "UP",
    others: tuple[Backend, ...] = (),
) -> Words:
    backends = (
        ()
        if members is None
        else (Backend(pool="p", listener="l", status=status, members=members),)
    )
    return Words(
        listeners={} if listener is None else {"l": listener}, backends=(*backends, *others)
    )


def test_all_is_online_where_all_is_well() -> None:
    assert operating(found(monitored=None), [words(BOTH_UP)]) == dict.fromkeys(
        ("lb", "l", "p", "m1", "m2", "h"), "ONLINE"
    )


@pytest.mark.parametrize(
    ("haproxys", "octavias"),
    [
        ("UP", "ONLINE"),
        ("UP 1/3", "ONLINE"),
        ("DOWN", "ERROR"),
        ("DOWN 1/2", "ERROR"),
        ("DRAIN", "DRAINING"),
        ("NOLB", "DRAINING"),
        ("MAINT", "OFFLINE"),
        ("MAINT (via x/y)", "OFFLINE"),
        ("no check", "NO_MONITOR"),
    ],
)
def test_each_word_of_haproxy_for_a_server_is_one_of_octavias(haproxys: str, octavias: str) -> None:
    assert operating(found(), [words({**BOTH_UP, "m2": haproxys})])["m2"] == octavias


@pytest.mark.parametrize("haproxys", ["RESTARTING", "", "whatever"])
def test_a_word_that_says_nothing_leaves_the_one_before(haproxys: str) -> None:
    assert "m2" not in operating(found(), [words({**BOTH_UP, "m2": haproxys})])


def test_a_member_that_died_degrades_its_pool_and_load_balancer() -> None:
    now = operating(found(), [words({"m1": "UP", "m2": "DOWN"})])
    assert (now["m2"], now["p"], now["lb"], now["l"]) == ("ERROR", "DEGRADED", "DEGRADED", "ONLINE")


def test_a_pool_without_a_member_that_serves_is_an_error_of_the_whole() -> None:
    now = operating(found(), [words({"m1": "DOWN", "m2": "DOWN"}, status="DOWN")])
    assert (now["p"], now["lb"], now["l"]) == ("ERROR", "ERROR", "ONLINE")


def test_a_member_that_is_disabled_degrades_nothing() -> None:
    now = operating(
        found(members=[{}, {"admin_state_up": False}]), [words({"m1": "UP", "m2": "MAINT"})]
    )
    assert (now["m2"], now["p"], now["lb"]) == ("OFFLINE", "ONLINE", "ONLINE")


def test_an_empty_pool_is_online() -> None:
    now = operating(found(members=[]), [words({})])
    assert (now["p"], now["lb"]) == ("ONLINE", "ONLINE")


def test_without_a_monitor_members_have_none_and_the_pool_is_online() -> None:
    now = operating(found(monitored={}), [words({"m1": "no check", "m2": "no check"})])
    assert (now["m1"], now["p"], now["lb"]) == ("NO_MONITOR", "ONLINE", "ONLINE")


@pytest.mark.parametrize(
    ("monitored", "word"),
    [(None, "OFFLINE"), ({}, "NO_MONITOR"), ({"admin_state_up": False}, "NO_MONITOR")],
)
def test_a_member_that_no_device_knows_is_offline_where_it_should_be_checked(
    monitored: dict[str, Any] | None, word: str
) -> None:
    assert operating(found(monitored=monitored), [words({"m1": "UP"})])["m2"] == word


def test_a_disabled_monitor_is_offline() -> None:
    assert operating(found(monitored={"admin_state_up": False}), [words({})])["h"] == "OFFLINE"


def test_a_full_listener_is_degraded_and_its_load_balancer_too() -> None:
    now = operating(found(), [words(BOTH_UP, listener="FULL")])
    assert (now["l"], now["lb"], now["p"]) == ("DEGRADED", "DEGRADED", "ONLINE")


def test_a_listener_that_does_not_serve_is_an_error() -> None:
    now = operating(found(), [words(None, listener=None)])
    assert (now["l"], now["p"], now["lb"]) == ("ERROR", "OFFLINE", "DEGRADED")


def test_a_disabled_listener_is_offline_and_what_only_it_used_too() -> None:
    now = operating(found(front={"admin_state_up": False}), [words(None, listener=None)])
    assert (now["l"], now["p"], now["lb"]) == ("OFFLINE", "OFFLINE", "ONLINE")


def test_a_disabled_pool_is_offline() -> None:
    now = operating(found(behind={"admin_state_up": False}), [words(None)])
    assert (now["p"], now["lb"], now["l"]) == ("OFFLINE", "ONLINE", "ONLINE")


def test_a_disabled_load_balancer_is_offline_with_its_listeners() -> None:
    now = operating(found(lb={"admin_state_up": False}), [words(None, listener=None)])
    assert (now["lb"], now["l"], now["p"]) == ("OFFLINE", "OFFLINE", "OFFLINE")


def test_of_a_device_that_is_silent_nothing_but_that_is_known() -> None:
    assert operating(found(), [], silent=1) == {"lb": "ERROR"}


def test_a_load_balancer_of_two_devices_is_degraded_while_one_is_silent() -> None:
    now = operating(found(), [words(BOTH_UP)], silent=1)
    assert (now["lb"], now["p"]) == ("DEGRADED", "ONLINE")


def test_a_pool_of_two_listeners_is_an_error_only_where_neither_reaches_it() -> None:
    other = Backend(pool="p", listener="l2", status="DOWN", members=dict.fromkeys(BOTH_UP, "DOWN"))
    now = operating(found(), [words(BOTH_UP, others=(other,))])
    assert (now["p"], now["m1"], now["lb"]) == ("DEGRADED", "ERROR", "DEGRADED")


_MEMBER_WORDS = st.sampled_from(
    ["UP", "UP 1/2", "DOWN", "DRAIN", "MAINT", "no check", "RESTARTING"]
)


@given(
    st.lists(st.booleans(), min_size=4, max_size=4),
    st.sampled_from([None, "OPEN", "FULL", "STOP"]),
    st.none() | st.dictionaries(st.sampled_from(["m1", "m2", "m3"]), _MEMBER_WORDS),
    st.sampled_from(["UP", "DOWN"]),
)
def test_whatever_is_said_only_objects_that_there_are_get_words_that_fit_them(
    up: list[bool], front: str | None, members: dict[str, str] | None, status: str
) -> None:
    state = [{"admin_state_up": one} for one in up]
    it = found(lb=state[0], front=state[1], behind=state[2], members=[state[3], {}])
    now = operating(it, [words(members, listener=front, status=status)])
    assert set(now) <= set(it.objects)
    assert {"lb", "l", "p"} <= set(now)
    # What is switched off is OFFLINE, and only members have a member's words.
    for name, one in (("lb", up[0]), ("l", up[1]), ("p", up[2]), ("m1", up[3])):
        if not one and name in now:
            assert now[name] is Status.OFFLINE
    assert not {now[name] for name in ("lb", "l", "p")} & {Status.DRAINING, Status.NO_MONITOR}
    # And nothing is well whose parts are not.
    if now["lb"] is Status.ONLINE:
        assert Status.ERROR not in (now["l"], now["p"])
    if now["p"] is Status.ONLINE:
        assert Status.ERROR not in {now.get("m1"), now.get("m2")}
