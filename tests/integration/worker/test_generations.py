"""No older configuration undoes a newer one, and the last ones can be had back."""

from __future__ import annotations

import json
import random
import re
import threading
from datetime import datetime
from typing import Any

import pytest

from tests.support.backends import HttpBackend
from tests.support.node import Node, submit
from tests.support.ports import free_port
from tests.support.traffic import bodies, get
from tests.support.wait import until


def http(port: int, *nodes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"protocol": "HTTP", "port": port, "nodes": list(nodes), **fields}


def history(node: Node) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = node.do("HISTORY").answer["history"]
    return found


def numbers(node: Node) -> list[int]:
    return [entry["entry"] for entry in history(node)]


def rollback(node: Node, entry: int, **more: Any) -> Any:
    return node.send({"hpcs_action": "ROLLBACK", "entry": entry, **more})


# -- generations -------------------------------------------------------------------------------


def test_an_older_generation_is_refused_and_changes_nothing(
    node: Node, a: HttpBackend, b: HttpBackend
) -> None:
    # Given an applied configuration of generation 7
    port = free_port()
    assert node.update(http(port, a.node(id=1)), generation=7).ok
    state = (node.state_dir / "state.json").read_bytes()
    pid, kept = node.worker_pid, history(node)
    # When one of generation 6 comes, as a string of digits
    result = node.update(http(port, b.node(id=1)), generation="6")
    # Then it is refused by its code, the echo is as sent, and nothing has changed
    assert (result.ok, result.error_code) == (False, "stale_generation")
    assert result.error == "generation 6 is older than the applied 7"
    assert result.answer["generation"] == "6"
    assert "badRequest" not in result.answer
    assert (node.state_dir / "state.json").read_bytes() == state
    assert (node.worker_pid, history(node)) == (pid, kept)
    assert bodies(port, 3) == {"a": 3}
    # And even the applied configuration itself is refused under an older number
    assert node.update(http(port, a.node(id=1)), generation=6).error_code == "stale_generation"


def test_an_equal_generation_passes_with_the_same_configuration_and_no_other(
    node: Node, a: HttpBackend, b: HttpBackend
) -> None:
    # Given a configuration whose nodes have no ids of their own
    port = free_port()
    assert node.update(http(port, a.node(), b.node()), generation=7).ok
    text = node.config_text()
    # When it comes again / Then it passes, by the same file
    assert node.update(http(port, a.node(), b.node()), generation="7").ok
    assert node.config_text() == text
    # When another writer uses the same number / Then that is refused
    result = node.update(http(port, b.node()), generation=7)
    assert result.error_code == "stale_generation"
    assert "another writer" in (result.error or "")
    assert node.config_text() == text
    # And a higher one passes, over any gap
    assert node.update(http(port, b.node()), generation=2**53).ok
    assert bodies(port, 3) == {"b": 3}


def test_a_sender_without_generations_is_served_and_does_not_reset_them(
    node: Node, a: HttpBackend, b: HttpBackend
) -> None:
    # Given generation 7, then an UPDATE without any
    port = free_port()
    assert node.update(http(port, a.node(id=1)), generation=7).ok
    assert node.update(http(port, b.node(id=1))).ok
    assert bodies(port, 2) == {"b": 2}
    # Then what is older than 7 is refused as before, and so is 7, which is not in force any more
    for generation in (6, 7):
        result = node.update(http(port, a.node(id=1)), generation=generation)
        assert result.error_code == "stale_generation"
    assert bodies(port, 2) == {"b": 2}
    assert node.update(http(port, a.node(id=1)), generation=8).ok


def test_a_failed_update_does_not_raise_the_applied_generation(node: Node, a: HttpBackend) -> None:
    # Given generation 1, and a port that somebody else has
    port = free_port()
    assert node.update(http(port, a.node(id=1)), generation=1).ok
    # When generation 9 fails because of it
    assert node.update(http(a.port, a.node(id=1)), generation=9).error_code == "port_taken"
    # Then generation 2 is applied
    assert node.update(http(port, a.node(id=2)), generation=2).ok
    assert [entry["generation"] for entry in history(node)] == [2, 1]


def test_the_applied_generation_survives_all_but_delete(
    node: Node, a: HttpBackend, b: HttpBackend
) -> None:
    # Given generation 7
    port = free_port()
    older, newer = http(port, b.node(id=1)), http(port, a.node(id=1))
    assert node.update(newer, generation=7).ok

    def refused() -> bool:
        return node.update(older, generation=6).error_code == "stale_generation"

    # Then an older one is refused while suspended and after, and after kill -9 and a reboot
    assert node.do("SUSPEND").ok
    assert refused()
    assert node.do("ENABLE").ok
    assert refused()
    node.kill()
    node.start()
    assert refused()
    node.kill()
    node.stop_haproxy()
    node.start()
    assert refused()
    assert bodies(port, 2) == {"a": 2}
    # When the load balancer is deleted / Then any number may begin anew
    assert node.do("DELETE").ok
    assert node.update(older, generation=1).ok
    assert bodies(port, 2) == {"b": 2}
    assert [entry["generation"] for entry in history(node)] == [1]


@pytest.mark.timeout(600)
def test_shuffled_and_repeated_generations_of_two_writers_never_go_back(
    node: Node, a: HttpBackend
) -> None:
    # Given generations 1 to 120, shuffled, 80 of them sent twice, by two writers at once
    rounds = 200
    port = free_port()
    rng = random.Random(4)
    order = [*range(1, 121), *rng.choices(range(1, 121), k=rounds - 120)]
    # Late messages are late by a few places: wholly shuffled, nearly all would be refused.
    order.sort(key=lambda generation: generation + rng.uniform(-8, 8))
    assert len(order) == rounds
    acknowledged: list[int] = []
    refused: list[int] = []
    faults: list[str] = []
    told: list[int] = []
    end = threading.Event()

    def message(generation: int) -> dict[str, Any]:
        # The weight tells which generation it is; the node stays the same.
        return http(port, a.node(id=1, weight=generation))

    def write(generations: list[int]) -> None:
        client = node.client
        for generation in generations:
            sent = {"loadBalancers": [message(generation)]}
            result = client.update(node.name, sent, 120, generation=generation)
            if result.ok:
                acknowledged.append(generation)
            elif result.error_code == "stale_generation":
                refused.append(generation)
            else:
                faults.append(f"{generation}: {result.error}")

    def watch() -> None:
        while not end.is_set():
            [server] = applied(node)
            told.append(server)

    assert node.update(message(0), generation=0).ok
    watcher = threading.Thread(target=watch)
    writers = [threading.Thread(target=write, args=(order[n::2],)) for n in range(2)]
    # When they send, while somebody looks at what is stored
    for thread in (watcher, *writers):
        thread.start()
    for thread in writers:
        thread.join(500)
    end.set()
    watcher.join(60)
    # Then each was acknowledged or refused as stale, nothing else, and there were enough of both
    assert faults == []
    assert len(acknowledged) + len(refused) == rounds
    assert len(acknowledged) > 20
    assert len(refused) > 20
    # And what is applied never went back
    assert told == sorted(told)
    assert len(set(told)) > 5
    # And each acknowledged one is in force, or was superseded by a later one
    assert applied(node) == [max(acknowledged)] == [120]
    assert f"weight {max(acknowledged)}" in node.config_text()
    entries = history(node)
    assert [entry["entry"] for entry in entries] == sorted(numbers(node), reverse=True)
    generations = [entry["generation"] for entry in entries]
    assert generations == sorted(generations, reverse=True)
    assert set(generations) <= set(acknowledged)
    assert [entry["load_balancers"][0]["nodes"][0]["weight"] for entry in entries] == generations


def applied(node: Node) -> list[int]:
    """The generation on disk, checked against the configuration that is stored with it."""
    stored = json.loads((node.state_dir / "state.json").read_bytes())["state"]
    [lb] = stored["model"]["load_balancers"]
    [server] = lb["servers"]
    assert server["weight"] == stored["sender_generation"]
    return [stored["sender_generation"]]


@pytest.mark.parametrize("step", ["after_write", "after_rename", "after_confirm"])
def test_a_job_that_is_run_again_after_a_crash_passes_with_its_generation(
    node: Node, a: HttpBackend, b: HttpBackend, step: str
) -> None:
    # Given a worker that is killed in the middle of generation 2, whose sender waits
    port = free_port()
    assert node.update(http(port, a.node(id=1)), generation=1).ok
    node.stop()
    node.start(crash_at=step)
    waiting = submit(
        node,
        {"hpcs_action": "UPDATE", "generation": 2, "loadBalancers": [http(port, b.node(id=1))]},
    )
    until(node.ended, f"the worker dies at {step}", 60)
    # When the next worker gets the job
    node.start()
    answer = json.loads(waiting.communicate(timeout=60)[0])
    # Then it passes and is in force, is in the history once, and the one before is refused
    assert answer["hpcs_response"] == "PASS", answer
    assert bodies(port, 2) == {"b": 2}
    assert len(history(node)) == 2
    assert history(node)[0]["generation"] == 2
    assert node.update(http(port, a.node(id=1)), generation=1).error_code == "stale_generation"


# -- history and rollback ----------------------------------------------------------------------


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
