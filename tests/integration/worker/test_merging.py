"""Updates that come while HAProxy reloads: carried by one reload, each answered truthfully."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.backends import HttpBackend
from tests.support.need import program
from tests.support.node import Node, submit
from tests.support.ports import free_port
from tests.support.traffic import get, refused
from tests.support.wait import until

_SLOW = """#!/bin/sh
case " $* " in *" -c "*)
    echo >> {folder}/checks
    while [ -e {folder}/gate ]; do sleep 0.02; done
esac
exec {haproxy} "$@"
"""


class Gate:
    """A HAProxy whose `-c` takes as long as the gate is shut; `checks` counts its calls."""

    def __init__(self, folder: Path) -> None:
        self._shut = folder / "gate"
        self._checks = folder / "checks"
        self.program = folder / "haproxy"
        self.program.write_text(_SLOW.format(folder=folder, haproxy=program("haproxy")))
        self.program.chmod(0o755)

    def shut(self) -> None:
        self._shut.touch()

    def open(self) -> None:
        self._shut.unlink(missing_ok=True)

    @property
    def checks(self) -> int:
        return len(self._checks.read_text().splitlines()) if self._checks.exists() else 0


@pytest.fixture
def gate(folder: Path) -> Iterator[Gate]:
    gate = Gate(folder)
    yield gate
    gate.open()


@pytest.fixture
def slow_node(make_node: Callable[..., Node], gate: Gate) -> Node:
    return make_node(haproxy=str(gate.program))


def by_reload(port: int, seconds: int, *nodes: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An UPDATE that no running process can take over."""
    options = {"client_timeout": seconds * 1000}
    lb = {"protocol": "HTTP", "port": port, "options": options, "nodes": list(nodes)}
    return {"hpcs_action": "UPDATE", "loadBalancers": [lb], **more}


def send_in_order(node: Node, *messages: dict[str, Any]) -> list[subprocess.Popen[bytes]]:
    """Send each message once the one before it was taken by the worker."""
    clients = []
    for message in messages:
        begun = node.said().count(" begins")
        clients.append(submit(node, message))
        until(lambda begun=begun: node.said().count(" begins") > begun, "it is taken")  # type: ignore[misc]
    return clients


def answer(client: subprocess.Popen[bytes]) -> dict[str, Any]:
    said, _ = client.communicate(timeout=60)
    found: dict[str, Any] = json.loads(said)
    return found


def reasons(node: Node) -> list[Any]:
    return [entry["generation"] for entry in node.do("HISTORY").answer["history"]]


def test_updates_that_wait_are_carried_by_one_reload_and_each_is_told_so(
    slow_node: Node, gate: Gate, a: HttpBackend, b: HttpBackend
) -> None:
    # Given an UPDATE whose check of HAProxy's file takes its time
    node, port = slow_node, free_port()
    assert node.send(by_reload(port, 10, a.node(id=1))).ok
    checks, reloads = gate.checks, node.worker_pid
    gate.shut()
    [first] = send_in_order(node, by_reload(port, 11, a.node(id=1)))
    until(lambda: gate.checks > checks, "HAProxy looks at the file")
    # When five more come meanwhile, the last with another node
    waiting = [by_reload(port, seconds, a.node(id=1)) for seconds in (12, 13, 14, 15)]
    rest = send_in_order(node, *waiting, by_reload(port, 16, b.node(id=2)))
    gate.open()
    answers = [answer(client) for client in (first, *rest)]
    # Then all pass, and those that are not in force are told that a later one is
    assert [one["hpcs_response"] for one in answers] == ["PASS"] * 6
    assert [one.get("superseded") for one in answers] == [None, True, True, True, True, None]
    assert get(port).body == b"b"
    assert "16000" in node.config_text()
    # And HAProxy looked at two files, not six, and reloaded as often
    assert gate.checks == checks + 2
    assert node.worker_pid != reloads
    kept = node.do("HISTORY").answer["history"]
    assert len(kept) == 3


def test_a_change_of_another_kind_is_not_passed_by_updates(
    slow_node: Node, gate: Gate, a: HttpBackend, b: HttpBackend
) -> None:
    # Given updates before and after a SUSPEND, all waiting behind a slow one
    node, port = slow_node, free_port()
    assert node.send(by_reload(port, 10, a.node(id=1))).ok
    checks = gate.checks
    gate.shut()
    [first] = send_in_order(node, by_reload(port, 11, a.node(id=1)))
    until(lambda: gate.checks > checks, "HAProxy looks at the file")
    rest = send_in_order(
        node,
        by_reload(port, 12, a.node(id=1)),
        by_reload(port, 13, a.node(id=1)),
        {"hpcs_action": "SUSPEND"},
        by_reload(port, 14, a.node(id=1)),
        by_reload(port, 15, b.node(id=2)),
    )
    # When they are done
    gate.open()
    answers = [answer(client) for client in (first, *rest)]
    # Then each came on its own side of it
    assert [one["hpcs_response"] for one in answers] == ["PASS"] * 6
    assert [one["lb_status"] for one in answers] == ["ACTIVE"] * 3 + ["SUSPENDED"] * 3
    assert [one.get("superseded") for one in answers] == [None, True, None, None, True, None]
    assert refused(port)
    assert node.do("ENABLE").ok
    assert get(port).body == b"b"


def test_the_last_good_one_of_those_that_wait_is_in_force_when_later_ones_are_refused(
    slow_node: Node, gate: Gate, a: HttpBackend, b: HttpBackend
) -> None:
    # Given three updates that wait, of which the last wants a port that is taken
    node, port = slow_node, free_port()
    assert node.send(by_reload(port, 10, a.node(id=1))).ok
    checks = gate.checks
    gate.shut()
    [first] = send_in_order(node, by_reload(port, 11, a.node(id=1)))
    until(lambda: gate.checks > checks, "HAProxy looks at the file")
    rest = send_in_order(
        node,
        by_reload(port, 12, a.node(id=1)),
        by_reload(port, 13, b.node(id=2)),
        by_reload(a.port, 14, b.node(id=2)),
    )
    # When they are done
    gate.open()
    answers = [answer(client) for client in (first, *rest)]
    # Then it alone fails, and the one before it is in force
    assert [one["hpcs_response"] for one in answers] == ["PASS", "PASS", "PASS", "FAIL"]
    assert answers[3]["hpcs_error_code"] == "port_taken"
    assert [one.get("superseded") for one in answers] == [None, True, None, None]
    assert get(port).body == b"b"
    assert "13000" in node.config_text()


def test_generations_are_kept_apart_where_their_order_is_not_that_of_arrival(
    slow_node: Node, gate: Gate, a: HttpBackend, b: HttpBackend
) -> None:
    # Given generations 2, 5, 4 that wait behind generation 1
    node, port = slow_node, free_port()
    assert node.send(by_reload(port, 10, a.node(id=1), generation=0)).ok
    checks = gate.checks
    gate.shut()
    [first] = send_in_order(node, by_reload(port, 11, a.node(id=1), generation=1))
    until(lambda: gate.checks > checks, "HAProxy looks at the file")
    rest = send_in_order(
        node,
        by_reload(port, 12, a.node(id=1), generation=2),
        by_reload(port, 13, b.node(id=2), generation=5),
        by_reload(port, 14, a.node(id=1), generation=4),
    )
    # When they are done
    gate.open()
    answers = [answer(client) for client in (first, *rest)]
    # Then 5 is in force, 2 was superseded by it, and 4 came too late
    assert [one.get("superseded") for one in answers] == [None, True, None, None]
    assert answers[3]["hpcs_error_code"] == "stale_generation"
    assert get(port).body == b"b"
    assert reasons(node)[:2] == [5, 1]
