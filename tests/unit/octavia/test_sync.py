"""A full resync in the agent's decisions: it serves and frees all, and says nothing of health."""

from __future__ import annotations

from libra_octavia.agent import report
from libra_octavia.agent.decide import decide
from libra_octavia.agent.index import index
from libra_octavia.inventory import Intent, Kind, Operation
from tests.support.octavia_trees import listener, member, pool, tree

FOUND = index(
    tree(
        [listener(listener_id="l", default_pool_id="p")],
        [pool(pool_id="p", members=[member(member_id="m")])],
        loadbalancer_id="lb",
    )
)
NOTHING = index(None)


def intent(operation: Operation, number: int = 1, **fields: object) -> Intent:
    values: dict[str, object] = {
        "kind": Kind.LOAD_BALANCER,
        "object_id": "lb",
        "load_balancer_id": "lb",
        "number": number,
        "age": 1.0,
    }
    return Intent(operation=operation, **(values | fields))  # type: ignore[arg-type]


SYNC = intent(Operation.SYNC)


def test_it_is_served_at_once_and_every_object_is_active_with_its_health_untold() -> None:
    decision = decide([SYNC], FOUND, commit_timeout=30)
    assert decision.serve == (SYNC,)
    assert not decision.without
    said = [row for rows in report.done(decision, FOUND).values() for row in rows]
    assert {row["id"]: row["provisioning_status"] for row in said} == dict.fromkeys(
        ("lb", "l", "p", "m"), "ACTIVE"
    )
    assert not [row for row in said if "operating_status" in row]


def test_it_waits_for_a_call_that_octavia_has_not_committed() -> None:
    late = intent(Operation.CREATE, 2, kind=Kind.MEMBER, object_id="new", parent=(Kind.POOL, "p"))
    decision = decide([SYNC, late], FOUND, commit_timeout=30)
    assert decision.serve == ()
    assert sorted(one.number for one in decision.wait) == [1, 2]


def test_one_that_octavia_does_not_have_is_dropped_in_time() -> None:
    assert decide([SYNC], NOTHING, commit_timeout=30).wait == (SYNC,)
    old = intent(Operation.SYNC, age=31.0)
    assert decide([old], NOTHING, commit_timeout=30).drop == (old,)


def test_one_that_cannot_be_served_is_left_as_it_is() -> None:
    decision = decide([SYNC], FOUND, commit_timeout=30)
    assert report.failed(decision, FOUND) == {}
    # And only what was asked for beside it is an error
    update = intent(Operation.UPDATE, 2, kind=Kind.LISTENER, object_id="l", changed={"name": ""})
    both = decide([SYNC, update], FOUND, commit_timeout=30)
    said = [row for rows in report.failed(both, FOUND).values() for row in rows]
    status = {row["id"]: row["provisioning_status"] for row in said}
    assert status == {"lb": "ACTIVE", "l": "ERROR", "p": "ACTIVE", "m": "ACTIVE"}


def test_together_with_a_call_that_calls_words_are_told() -> None:
    update = intent(Operation.UPDATE, 2, kind=Kind.LISTENER, object_id="l", changed={"name": ""})
    decision = decide([SYNC, update], FOUND, commit_timeout=30)
    assert decision.serve == (SYNC, update)
    said = [row for rows in report.done(decision, FOUND).values() for row in rows]
    assert {row["id"]: row.get("operating_status") for row in said} == {
        "lb": None,
        "l": "ONLINE",
        "p": None,
        "m": None,
    }
