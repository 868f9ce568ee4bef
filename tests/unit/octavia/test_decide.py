"""Nothing is served before Octavia shows it, and nothing that Octavia waits for is left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from octavia_lib.api.drivers import data_models

from libra_octavia.agent import report
from libra_octavia.agent.decide import decide
from libra_octavia.agent.index import Index, index
from libra_octavia.inventory import Intent, Kind, Operation
from tests.support.octavia_trees import listener, member, monitor, pool, tree

COMMIT = 30.0


def intent(
    operation: Operation,
    kind: Kind,
    name: str,
    *,
    number: int = 1,
    age: float = 0.0,
    changed: dict[str, Any] | None = None,
    previous: dict[str, Any] | None = None,
) -> Intent:
    return Intent(
        operation=operation,
        kind=kind,
        object_id=name,
        load_balancer_id="lb",
        changed=changed or {},
        previous=previous or {},
        number=number,
        age=age,
    )


def whole() -> data_models.LoadBalancer:
    """Two listeners and their pools, members, a monitor, a policy to the other pool, a rule."""
    rule = {"l7rule_id": "rule", "admin_state_up": True}
    policy = {
        "l7policy_id": "policy",
        "rules": [rule],
        "admin_state_up": True,
        "redirect_pool_id": "pool2",
    }
    one = pool(
        pool_id="pool1",
        members=[member(member_id="m1"), member(member_id="m2", admin_state_up=False)],
        healthmonitor=monitor(healthmonitor_id="hm"),
    )
    two = pool(pool_id="pool2", members=[member(member_id="m3")])
    first = listener(listener_id="l1", default_pool_id="pool1", l7policies=[policy])
    second = listener(listener_id="l2", default_pool=two, default_pool_id="pool2")
    return tree([first, second], [one, two], loadbalancer_id="lb")


ALL = {"lb", "l1", "l2", "pool1", "pool2", "m1", "m2", "m3", "hm", "policy", "rule"}
_PENDING: dict[tuple[Kind, str], set[str]] = {
    (Kind.LOAD_BALANCER, "lb"): {"lb"},
    (Kind.LISTENER, "l1"): {"l1", "lb"},
    (Kind.POOL, "pool1"): {"pool1", "l1", "lb"},
    (Kind.POOL, "pool2"): {"pool2", "l1", "l2", "lb"},
    (Kind.MEMBER, "m1"): {"m1", "pool1", "l1", "lb"},
    (Kind.MEMBER, "m3"): {"m3", "pool2", "l1", "l2", "lb"},
    (Kind.HEALTH_MONITOR, "hm"): {"hm", "pool1", "l1", "lb"},
    (Kind.L7_POLICY, "policy"): {"policy", "l1", "lb"},
    (Kind.L7_RULE, "rule"): {"rule", "policy", "l1", "lb"},
}
"""What Octavia's API puts into PENDING with a change of each object."""

operations = st.sampled_from([Operation.CREATE, Operation.UPDATE, Operation.DELETE])
objects = st.sampled_from(sorted(_PENDING))


def words(statuses: report.Statuses) -> dict[str, str]:
    """The provisioning status of each object; each must be told once."""
    rows = [row for section in statuses.values() for row in section]
    assert len({row["id"] for row in rows}) == len(rows)
    return {row["id"]: row["provisioning_status"] for row in rows}


def test_a_tree_is_known_whole() -> None:
    found = index(whole())
    assert set(found.objects) == ALL
    assert set(found.with_all_below("l1")) == {"l1", "policy", "rule"}
    assert set(found.with_all_below("pool1")) == {"pool1", "m1", "m2", "hm"}
    assert set(found.with_all_below("lb")) == ALL
    assert index(None).objects == {}


@given(operation=operations, target=objects, in_whole=st.booleans())
def test_everything_that_a_call_left_pending_gets_its_word(
    operation: Operation, target: tuple[Kind, str], in_whole: bool
) -> None:
    found = index(whole())
    decision = decide([intent(operation, *target)], found, commit_timeout=COMMIT)
    done = words(report.done(decision, found, whole=in_whole))
    failed = words(report.failed(decision, found))
    pending = _PENDING[target]
    assert pending <= set(done)
    assert pending <= set(failed)
    if operation is Operation.DELETE:
        gone = set(found.with_all_below(target[1]))
        assert {name for name, word in done.items() if word == "DELETED"} == gone
    else:
        assert set(done.values()) == {"ACTIVE"}
    assert failed[target[1]] == "ERROR"
    # What the call was not about serves on.
    untouched = pending - set(found.with_all_below(target[1]))
    assert {failed[name] for name in untouched} <= {"ACTIVE"}


def test_a_batch_reports_the_members_it_names_and_those_it_takes_away() -> None:
    found = index(whole())
    asked = intent(Operation.BATCH, Kind.POOL, "pool1", changed={"members": {"m1": {"weight": 1}}})
    decision = decide([asked], found, commit_timeout=COMMIT)
    assert decision.without == {"m2"}
    done = words(report.done(decision, found))
    assert (done["m1"], done["m2"], done["m3"]) == ("ACTIVE", "DELETED", "ACTIVE")
    failed = words(report.failed(decision, found))
    assert (failed["m1"], failed["m2"], failed["m3"]) == ("ERROR", "ERROR", "ACTIVE")


def test_a_batch_is_not_served_before_its_new_members_are_there() -> None:
    found = index(whole())
    asked = intent(Operation.BATCH, Kind.POOL, "pool1", changed={"members": {"new": {}}})
    decision = decide([asked], found, commit_timeout=COMMIT)
    assert (decision.wait, decision.without) == ((asked,), frozenset())
    # And one that was rolled back takes no member away.
    late = intent(Operation.BATCH, Kind.POOL, "pool1", changed={"members": {"new": {}}}, age=31)
    decision = decide([late], found, commit_timeout=COMMIT)
    assert (decision.drop, decision.without) == ((late,), frozenset())


def test_a_create_waits_until_the_tree_shows_it_and_is_dropped_when_it_never_does() -> None:
    for found in (Index(), index(whole())):
        young = intent(Operation.CREATE, Kind.MEMBER, "new", age=29.9)
        assert decide([young], found, commit_timeout=COMMIT).wait == (young,)
        old = intent(Operation.CREATE, Kind.MEMBER, "new", age=30.1)
        assert decide([old], found, commit_timeout=COMMIT).drop == (old,)
    there = intent(Operation.CREATE, Kind.MEMBER, "m1")
    assert decide([there], index(whole()), commit_timeout=COMMIT).serve == (there,)


@pytest.mark.parametrize(
    ("changed", "previous", "is_shown"),
    [
        ({"weight": 1}, {"weight": 5}, True),
        ({"weight": 5}, {"weight": 1}, False),
        ({"weight": 1, "name": "n"}, {"weight": 5, "name": ""}, False),
        ({"name": None}, {"name": "old"}, True),
        ({"backup": None}, {"backup": False}, True),
        ({"weight": None}, {"weight": 5}, True),
        ({"weight": None}, {"weight": 1}, False),
        # Octavia's old objects lack some of what they had.
        ({"weight": None}, {"weight": None}, False),
        ({"monitor_port": None}, {"monitor_port": None}, True),
        ({"admin_state_up": False}, {"admin_state_up": True}, False),
        ({}, {}, True),
    ],
)
def test_an_update_is_served_once_all_its_fields_are_shown(
    changed: dict[str, Any], previous: dict[str, Any], is_shown: bool
) -> None:
    asked = intent(Operation.UPDATE, Kind.MEMBER, "m1", changed=changed, previous=previous)
    decision = decide([asked], index(whole()), commit_timeout=COMMIT)
    assert (decision.serve, decision.wait) == (((asked,), ()) if is_shown else ((), (asked,)))


def test_persistence_is_shown_when_what_was_said_of_it_is() -> None:
    sticky = {
        "type": "SOURCE_IP",
        "cookie_name": None,
        "persistence_timeout": None,
        "persistence_granularity": None,
    }
    found = index(tree([], [pool(pool_id="p", session_persistence=sticky)]))
    for kind, is_shown in (("SOURCE_IP", True), ("HTTP_COOKIE", False)):
        asked = intent(
            Operation.UPDATE, Kind.POOL, "p", changed={"session_persistence": {"type": kind}}
        )
        assert bool(decide([asked], found, commit_timeout=COMMIT).serve) is is_shown


@pytest.mark.parametrize(
    ("shown", "changed", "previous", "is_shown"),
    [
        # What is not asked for any more must be gone.
        ({"insert_headers": {"A": "1", "B": "1"}}, {"insert_headers": {"A": "1"}}, {}, False),
        ({"insert_headers": {"A": "1"}}, {"insert_headers": {"A": "1"}}, {}, True),
        ({"insert_headers": {"A": "1"}}, {"insert_headers": {}}, {}, False),
        ({"insert_headers": {}}, {"insert_headers": None}, {}, True),
        # Octavia keeps these in an order of its own.
        ({"sni_container_refs": ["b", "a"]}, {"sni_container_refs": ["a", "b"]}, {}, True),
        ({"sni_container_refs": ["a"]}, {"sni_container_refs": ["a", "b"]}, {}, False),
        ({"allowed_cidrs": None}, {"allowed_cidrs": []}, {}, True),
        ({"allowed_cidrs": ["::/0"]}, {"allowed_cidrs": []}, {}, False),
        ({"alpn_protocols": ["h2", "x"]}, {"alpn_protocols": ["x", "h2"]}, {}, False),
    ],
)
def test_options_of_a_listener_are_shown_when_they_are_as_asked_for(
    shown: dict[str, Any], changed: dict[str, Any], previous: dict[str, Any], is_shown: bool
) -> None:
    found = index(tree([listener(listener_id="l", **shown)], []))
    asked = intent(Operation.UPDATE, Kind.LISTENER, "l", changed=changed, previous=previous)
    assert bool(decide([asked], found, commit_timeout=COMMIT).serve) is is_shown


@pytest.mark.parametrize(
    ("there", "is_shown"), [(1, False), (2, True), (3, True)], ids=["before", "moved", "as asked"]
)
def test_a_position_is_shown_once_it_is_another_one(there: int, is_shown: bool) -> None:
    # Given a policy at position 1 that is to move along
    policies = [
        {"l7policy_id": "x", "position": there, "rules": []},
        {"l7policy_id": "y", "position": 4, "rules": []},
    ]
    found = index(tree([listener(listener_id="l", l7policies=policies)], []))
    asked = intent(
        Operation.UPDATE,
        Kind.L7_POLICY,
        "x",
        changed={"position": 3},
        previous={"position": 1},
    )
    assert bool(decide([asked], found, commit_timeout=COMMIT).serve) is is_shown


@pytest.mark.parametrize(("there", "is_shown"), [(1, False), (2, True)], ids=["before", "last"])
@pytest.mark.parametrize("before", [1, 2])
def test_a_position_beyond_the_end_is_shown_once_it_is_the_last_one(
    there: int, is_shown: bool, before: int
) -> None:
    # Given one of two policies that is to move behind both, where it may be already
    policies = [
        {"l7policy_id": "x", "position": there, "rules": []},
        {"l7policy_id": "y", "position": 3 - there, "rules": []},
    ]
    found = index(tree([listener(listener_id="l", l7policies=policies)], []))
    asked = intent(
        Operation.UPDATE,
        Kind.L7_POLICY,
        "x",
        changed={"position": 9},
        previous={"position": before},
    )
    is_shown = is_shown or before != there
    assert bool(decide([asked], found, commit_timeout=COMMIT).serve) is is_shown


def test_the_later_of_two_updates_of_a_field_is_the_one_to_wait_for() -> None:
    first = intent(Operation.UPDATE, Kind.MEMBER, "m1", number=1, changed={"weight": 5})
    second = intent(Operation.UPDATE, Kind.MEMBER, "m1", number=2, changed={"weight": 1})
    decision = decide([first, second], index(whole()), commit_timeout=COMMIT)
    assert decision.serve == (first, second)


def test_an_update_that_is_never_shown_is_reported_by_what_the_tree_shows() -> None:
    old = intent(Operation.UPDATE, Kind.MEMBER, "m1", changed={"weight": 77}, age=31)
    assert decide([old], index(whole()), commit_timeout=COMMIT).serve == (old,)
    # But not while another call may be about to be committed.
    young = intent(Operation.CREATE, Kind.MEMBER, "new", number=2)
    decision = decide([old, young], index(whole()), commit_timeout=COMMIT)
    assert decision.serve == ()
    assert [one.number for one in decision.wait] == [2, 1]


def test_what_is_deleted_before_it_was_seen_needs_no_waiting() -> None:
    create = intent(Operation.CREATE, Kind.MEMBER, "new", number=1)
    delete = intent(Operation.DELETE, Kind.MEMBER, "new", number=2)
    decision = decide([create, delete], index(whole()), commit_timeout=COMMIT)
    assert (decision.serve, decision.without) == ((create, delete), frozenset())


def test_a_failover_is_given_time_to_be_committed() -> None:
    found = index(whole())
    young = intent(Operation.FAILOVER, Kind.LOAD_BALANCER, "lb", age=4.9)
    assert decide([young], found, commit_timeout=COMMIT).wait == (young,)
    old = intent(Operation.FAILOVER, Kind.LOAD_BALANCER, "lb", age=5.0)
    decision = decide([old], found, commit_timeout=COMMIT)
    assert (decision.serve, decision.failover) == ((old,), True)


def test_a_cascade_takes_all_away() -> None:
    found = index(whole())
    asked = intent(Operation.CASCADE, Kind.LOAD_BALANCER, "lb")
    decision = decide([asked], found, commit_timeout=COMMIT)
    assert decision.gone
    assert set(words(report.done(decision, found)).values()) == {"DELETED"}
    assert set(words(report.failed(decision, found)).values()) == {"ERROR"}


def test_a_load_balancer_that_cannot_be_made_is_error_with_all_in_it() -> None:
    found = index(whole())
    decision = decide(
        [intent(Operation.CREATE, Kind.LOAD_BALANCER, "lb")], found, commit_timeout=COMMIT
    )
    assert set(words(report.failed(decision, found)).values()) == {"ERROR"}


@given(target=objects)
def test_what_nobody_touched_is_told_only_where_something_was_wrong(
    target: tuple[Kind, str],
) -> None:
    found = index(whole())
    asked = intent(Operation.UPDATE, *target)
    decision = decide([asked], found, commit_timeout=COMMIT)
    assert set(words(report.done(decision, found, whole=False))) == _PENDING[target]
    assert set(words(report.done(decision, found, whole=True))) == ALL
    assert set(words(report.done(decision, found, whole=False, refused={"m2"}))) == ALL


def test_all_is_told_where_what_was_deleted_is_gone_from_the_tree_already() -> None:
    found = index(whole())
    decision = decide([intent(Operation.DELETE, Kind.MEMBER, "x")], found, commit_timeout=COMMIT)
    assert set(words(report.done(decision, found, whole=False))) == ALL


def test_a_pool_gets_its_word_after_a_batch_that_leaves_it_as_empty_as_it_was() -> None:
    found = index(tree([listener(default_pool_id="p", listener_id="l")], [pool(pool_id="p")]))
    asked = intent(Operation.BATCH, Kind.POOL, "p", changed={"members": {}})
    decision = decide([asked], found, commit_timeout=COMMIT)
    assert {"p", "l"} <= set(words(report.done(decision, found, whole=False)))


def test_what_is_in_an_object_that_cannot_be_served_is_error_with_it() -> None:
    found = index(whole())
    asked = intent(Operation.UPDATE, Kind.LISTENER, "l1")
    decision = decide([asked], found, commit_timeout=COMMIT)
    done = words(report.done(decision, found, refused={"l1"}))
    assert {name for name, word in done.items() if word == "ERROR"} == {"l1", "policy", "rule"}


def test_a_new_object_gets_the_word_for_how_it_works() -> None:
    found = index(whole())
    decision = decide(
        [intent(Operation.CREATE, Kind.LOAD_BALANCER, "lb")], found, commit_timeout=COMMIT
    )
    rows = [row for section in report.done(decision, found).values() for row in section]
    operating = {row["id"]: row.get("operating_status") for row in rows}
    assert operating["lb"] == operating["l1"] == operating["pool1"] == "ONLINE"
    # Only its device can tell of a member that is watched; others are known.
    assert operating["m1"] is None
    assert operating["m2"] == "OFFLINE"
    assert operating["m3"] == "NO_MONITOR"


@dataclass
class Call:
    """One call of a customer, as far as the order of things goes."""

    operation: Operation
    name: str
    committed: bool
    age: float


@st.composite
def histories(draw: st.DrawFn) -> list[Call]:
    calls = st.builds(
        Call,
        operation=st.sampled_from([Operation.CREATE, Operation.UPDATE, Operation.DELETE]),
        name=st.sampled_from(["m1", "m3", "new1", "new2"]),
        committed=st.booleans(),
        age=st.floats(0, 60),
    )
    return sorted(draw(st.lists(calls, max_size=5)), key=lambda call: -call.age)


@given(history=histories())
def test_each_intent_is_served_or_dropped_or_waits_and_none_is_served_too_soon(
    history: list[Call],
) -> None:
    intents = list(_intents(history))
    found = index(whole())
    decision = decide(intents, found, commit_timeout=COMMIT)
    parts = (*decision.serve, *decision.drop, *decision.wait)
    assert sorted(one.number for one in parts) == [one.number for one in intents]
    deleted = {one.object_id: one.number for one in intents if one.operation is Operation.DELETE}
    for one in decision.serve:
        moot = deleted.get(one.object_id, 0) > one.number
        if one.operation is Operation.CREATE and not moot:
            assert one.object_id in found
    for one in decision.drop:
        assert one.age > COMMIT
        assert one.object_id not in found
    # In time nothing waits any more.
    later = [Intent(**{**vars(one), "age": one.age + 100}) for one in intents]
    assert decide(later, found, commit_timeout=COMMIT).wait == ()


def _intents(history: list[Call]) -> Iterator[Intent]:
    for number, call in enumerate(history, 1):
        changed = {"weight": 1 if call.committed else 99} if call.operation == "update" else {}
        yield intent(
            call.operation, Kind.MEMBER, call.name, number=number, age=call.age, changed=changed
        )
