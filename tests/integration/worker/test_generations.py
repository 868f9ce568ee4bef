"""No older configuration undoes a newer one."""

from __future__ import annotations

import json
import random
import threading
from typing import Any

import pytest

from tests.support.backends import HttpBackend
from tests.support.histories import history, http, numbers
from tests.support.node import Node, submit
from tests.support.ports import free_port
from tests.support.traffic import bodies
from tests.support.wait import until


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
