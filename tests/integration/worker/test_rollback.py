"""The history of configurations, and the way back to one of them."""

from __future__ import annotations

import json
import re
from datetime import datetime

from tests.support.backends import HttpBackend
from tests.support.histories import history, http, numbers, rollback
from tests.support.node import Node, submit
from tests.support.ports import free_port
from tests.support.traffic import bodies, get
from tests.support.wait import until


def test_the_history_holds_the_last_five_newest_first_and_survives_a_restart(
    node: Node, a: HttpBackend
) -> None:
    # Given seven configurations, one of them twice, and changes that are none
    port = free_port()
    for weight in (1, 2, 3, 4, 4, 5, 6, 7):
        assert node.update(http(port, a.node(id="x", weight=weight)), generation=weight).ok
        if weight == 5:
            assert node.do("SUSPEND").ok
            assert node.do("ENABLE").ok
    # Then the last five are told, newest first, as they were sent
    entries = history(node)
    assert [entry["generation"] for entry in entries] == [7, 6, 5, 4, 3]
    assert [entry["reason"] for entry in entries] == ["update"] * 5
    assert entries[0]["load_balancers"] == [
        {
            "protocol": "HTTP",
            "port": port,
            "nodes": [
                {
                    "id": "x",
                    "address": "127.0.0.1",
                    "port": a.port,
                    "weight": 7,
                    "condition": "ENABLED",
                    "backup": False,
                }
            ],
        }
    ]
    times = [datetime.fromisoformat(entry["time"]) for entry in entries]
    assert times == sorted(times, reverse=True)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", e["time"]) for e in entries)
    assert all(entry["job"] for entry in entries)
    assert numbers(node) == sorted(set(numbers(node)), reverse=True)
    # And again after kill -9 and a restart
    node.kill()
    node.start()
    assert history(node) == entries
    assert node.do("HISTORY").answer["lb_status"] == "ACTIVE"


def test_a_rollback_serves_the_old_members_and_is_undone_by_another(
    node: Node, a: HttpBackend, b: HttpBackend
) -> None:
    # Given two configurations, of which the second has replaced the members and the port
    first, second = free_port(), free_port()
    assert node.update(http(first, a.node(id=1))).ok
    assert node.update(http(second, b.node(id=2), a.node(id=3, condition="DISABLED"))).ok
    newest, oldest = numbers(node)
    # When the first is asked for again
    result = rollback(node, oldest)
    # Then its members serve, on its port, and the other is gone
    assert result.ok
    assert (result.answer["lb_status"], result.answer["entry"]) == ("ACTIVE", oldest)
    assert bodies(first, 3) == {"a": 3}
    assert [row["id"] for row in node.do("STATS").answer["nodes"]] == [1]
    # And that is in the history as what it is
    assert [entry["reason"] for entry in history(node)][:1] == [f"rollback to {oldest}"]
    assert numbers(node)[1:] == [newest, oldest]
    # And another one undoes it
    assert rollback(node, newest).ok
    assert bodies(second, 3) == {"b": 3}
    assert [row["status"] for row in node.do("STATS").answer["nodes"]] == ["UP", "MAINT"]


def test_a_rollback_gives_no_number_to_a_second_server(
    node: Node, a: HttpBackend, b: HttpBackend
) -> None:
    # Given a server that stays, one that went and one that came
    port = free_port()

    def ids() -> dict[str, str]:
        return dict(re.findall(r"server (id-\S+) \S+ id (\d+)", node.config_text()))

    assert node.update(http(port, a.node(id="stays"), b.node(id="went"))).ok
    before = ids()
    assert node.update(http(port, a.node(id="stays"), b.node(id="came"))).ok
    between = ids()
    # When the one that went is had back
    assert rollback(node, numbers(node)[1]).ok
    # Then the one that stayed has its number, and the other a number that nobody had
    assert set(ids()) == {"id-stays", "id-went"}
    assert ids()["id-stays"] == before["id-stays"] == between["id-stays"]
    assert ids()["id-went"] not in {*before.values(), *between.values()}
    # And what the node would make of that file is what it has
    assert node.config_passes()


def test_a_rollback_to_the_oldest_can_be_repeated(node: Node, a: HttpBackend) -> None:
    # Given a full history
    port = free_port()
    for weight in range(1, 6):
        assert node.update(http(port, a.node(id=1, weight=weight))).ok
    oldest = numbers(node)[-1]
    # When the oldest is asked for, twice, as by a job that is run again
    for _ in range(2):
        assert rollback(node, oldest).ok
        # Then it is in force, and entered once
        assert "weight 1" in node.config_text()
        assert [entry["reason"] for entry in history(node)].count(f"rollback to {oldest}") == 1
        node.kill()
        node.start()


def test_a_rollback_that_was_killed_is_finished_by_the_next_worker(
    node: Node, a: HttpBackend, b: HttpBackend
) -> None:
    # Given a worker that dies between the change and its entry in the history
    port = free_port()
    assert node.update(http(port, a.node(id=1))).ok
    assert node.update(http(port, b.node(id=1))).ok
    oldest = numbers(node)[-1]
    node.stop()
    node.start(crash_at="after_confirm")
    waiting = submit(node, {"hpcs_action": "ROLLBACK", "entry": oldest})
    until(node.ended, "the worker dies", 60)
    # When the next one gets the job
    node.start()
    answer = json.loads(waiting.communicate(timeout=60)[0])
    # Then it passes, serves, and there is one entry more
    assert answer["hpcs_response"] == "PASS", answer
    assert get(port).body == b"a"
    assert len(history(node)) == 3


def test_a_rollback_keeps_the_fence_and_takes_a_generation_of_its_own(
    node: Node, a: HttpBackend, b: HttpBackend
) -> None:
    # Given generations 1 and 2
    port = free_port()
    assert node.update(http(port, a.node(id=1)), generation=1).ok
    assert node.update(http(port, b.node(id=1)), generation=2).ok
    newest, oldest = numbers(node)
    # When an operator goes back, without a generation / Then the old one serves
    assert rollback(node, oldest).ok
    assert bodies(port, 2) == {"a": 2}
    # And generation 2, sent again, does not undo it; generation 3 does
    result = node.update(http(port, b.node(id=1)), generation=2)
    assert result.error_code == "stale_generation"
    assert node.update(http(port, b.node(id=1)), generation=3).ok
    assert bodies(port, 2) == {"b": 2}
    # When a sender goes back, with an old generation, then with a new one
    assert rollback(node, oldest, generation=2).error_code == "stale_generation"
    assert bodies(port, 2) == {"b": 2}
    assert rollback(node, oldest, generation=4).ok
    assert rollback(node, oldest, generation=4).ok
    # Then its number counts
    assert node.update(http(port, b.node(id=1)), generation=3).error_code == "stale_generation"
    assert history(node)[0]["generation"] == 4
    assert newest in numbers(node)


def test_a_rollback_while_suspended_takes_effect_with_enable(
    node: Node, a: HttpBackend, b: HttpBackend
) -> None:
    port = free_port()
    assert node.update(http(port, a.node(id=1))).ok
    assert node.update(http(port, b.node(id=1))).ok
    assert node.do("SUSPEND").ok
    result = rollback(node, numbers(node)[-1])
    assert result.answer.get("lb_status") == "SUSPENDED", result.answer
    assert node.do("ENABLE").ok
    assert bodies(port, 2) == {"a": 2}


def test_what_is_not_kept_is_refused_by_its_code(node: Node, a: HttpBackend) -> None:
    # Given no load balancer / Then there is no history of it
    for message in ({"hpcs_action": "HISTORY"}, {"hpcs_action": "ROLLBACK", "entry": 1}):
        assert node.send(message).error_code == "no_load_balancer"
    # Given one / Then an entry that is not there is named, with those that are
    assert node.update(http(free_port(), a.node())).ok
    [entry] = numbers(node)
    result = rollback(node, 99)
    assert result.error_code == "no_such_entry"
    assert result.error == f"the history has no entry 99; kept are {entry}"
    # When it is deleted / Then the history is gone with it
    assert node.do("DELETE").ok
    assert not (node.state_dir / "history.json").exists()
    assert node.do("HISTORY").error_code == "deleted"
    assert rollback(node, entry).answer["status"] == "DELETED"


def test_a_damaged_history_does_not_keep_a_node_from_starting(
    node: Node, a: HttpBackend, b: HttpBackend
) -> None:
    # Given a history that was damaged while the worker was away
    port = free_port()
    assert node.update(http(port, a.node(id=1))).ok
    node.stop()
    (node.state_dir / "history.json").write_bytes(b"\0" * 100)
    # When it starts
    node.start()
    # Then it serves, says so in the log, and the history begins with what is in force
    assert get(port).body == b"a"
    assert "begun anew" in node.said()
    [entry] = history(node)
    assert entry["reason"] == "found in force at the start"
    # And it goes on from there
    assert node.update(http(port, b.node(id=1))).ok
    assert rollback(node, entry["entry"]).ok
    assert get(port).body == b"a"
