"""`libra history` and `libra rollback` against a real node, and generations by `libra update`."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import pytest

from libra_client.cli.exits import Exit
from tests.integration.client.conftest import COMMAND, Libra
from tests.support.backends import HttpBackend
from tests.support.gearmand import Gearmand
from tests.support.node import Node
from tests.support.ports import free_port
from tests.support.traffic import get


@pytest.fixture
def port(fresh: Node, backends: tuple[HttpBackend, HttpBackend]) -> int:
    """The port of a load balancer that had the second node once, and has the first."""
    found = free_port()
    one, two = backends
    for generation, nodes in enumerate([[two.node(id=2)], [one.node(id=1), one.node(id=3)]], 1):
        if generation == 2:
            nodes[1]["port"] = found + 1 if found < 65535 else 1
            nodes[1]["condition"] = "DISABLED"
        lb = {"protocol": "HTTP", "port": found, "nodes": nodes}
        assert fresh.update(lb, generation=generation).ok
    return found


def rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("  ") if cell] for line in text.splitlines()]


def entries(libra: Libra, node: Node) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = libra("history", node.name, "--json").json["history"]
    return found


def test_history_is_a_table_newest_first(node: Node, libra: Libra, port: int) -> None:
    # Given two configurations / When the history is asked for
    ran = libra("history", node.name)
    # Then each has its row
    assert (ran.code, ran.err) == (Exit.OK, "")
    newest, oldest = entries(libra, node)
    assert rows(ran.out) == [
        ["entry", "time", "generation", "reason", "load balancers"],
        [str(newest["entry"]), newest["time"], "2", "update", f"HTTP {port}, 2 nodes"],
        [str(oldest["entry"]), oldest["time"], "1", "update", f"HTTP {port}, 1 node"],
    ]


def test_rollback_with_yes_serves_what_was_served(node: Node, libra: Libra, port: int) -> None:
    # Given an entry of the history
    entry = entries(libra, node)[1]["entry"]
    assert get(port).body == b"one"
    # When it is rolled back to, with a generation of its own
    ran = libra("rollback", node.name, str(entry), "--yes", "--generation", "3")
    # Then the command says so, and the old node serves
    assert (ran.code, ran.out, ran.err) == (Exit.OK, "node: ROLLBACK PASS ACTIVE\n", "")
    assert get(port).body == b"two"
    newest = entries(libra, node)[0]
    assert (newest["reason"], newest["generation"]) == (f"rollback to {entry}", 3)
    # And what is not kept is told by its code
    ran = libra("rollback", node.name, "99999", "--yes")
    assert (ran.code, ran.out) == (Exit.FAIL, "")
    assert ran.err.startswith("libra: node: FAIL (no_such_entry): the history has no entry 99999")


@pytest.mark.parametrize(("answer", "done"), [(b"y\n", True), (b"\n", False)])
def test_rollback_on_a_terminal_asks_first(
    node: Node, libra: Libra, gearmand: Gearmand, port: int, answer: bytes, done: bool
) -> None:
    # Given a person at a terminal
    entry = entries(libra, node)[1]["entry"]
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "--server", gearmand.address, "rollback", node.name, str(entry)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "dumb"},
    ) as process:
        os.close(theirs)
        # When asked, the person answers
        seen = b""
        while b"[y/N]" not in seen:
            seen += os.read(ours, 1000)
        os.write(ours, answer)
        with contextlib.suppress(OSError):  # the other end is closed
            while chunk := os.read(ours, 1000):
                seen += chunk
        os.close(ours)
        code = process.wait(60)
    # Then only yes changes anything
    assert f"Put entry {entry} of node's history into force?".encode() in seen
    assert code == (Exit.OK if done else Exit.USAGE), seen
    assert get(port).body == (b"two" if done else b"one")


def test_update_takes_a_generation_in_place_of_the_files(
    node: Node, libra: Libra, port: int, tmp_path: Path, backends: tuple[HttpBackend, HttpBackend]
) -> None:
    # Given a file with a generation of its own, and generation 2 in force
    nodes = [backends[1].node(id=2)]
    message = {
        "Generation": 77,
        "loadBalancers": [{"protocol": "HTTP", "port": port, "nodes": nodes}],
    }
    file = tmp_path / "message.json"
    file.write_text(json.dumps(message))
    # When it is sent as an older one / Then it is refused, and nothing has changed
    ran = libra("update", node.name, str(file), "--generation", "1")
    assert (ran.code, ran.out) == (Exit.FAIL, "")
    expected = "libra: node: FAIL (stale_generation): generation 1 is older than the applied 2\n"
    assert ran.err == expected
    assert get(port).body == b"one"
    # When it is sent as a newer one / Then it is served under that number alone
    ran = libra("update", node.name, str(file), "--generation", "3", "--json")
    assert ran.code == Exit.OK, ran.err
    assert ran.json["generation"] == 3
    assert "Generation" not in ran.json
    assert get(port).body == b"two"
    # And without the option the file's own counts
    assert libra("update", node.name, str(file)).code == Exit.OK
    assert entries(libra, node)[0]["generation"] == 3


def test_the_client_for_python_speaks_of_generations_and_history(
    node: Node, port: int, backends: tuple[HttpBackend, HttpBackend]
) -> None:
    # Given a client
    client = node.client
    lb = {"protocol": "HTTP", "port": port, "nodes": [backends[1].node(id=9)]}
    # Then an older generation is a result that failed, and a newer one passes
    stale = client.update(node.name, {"loadBalancers": [lb]}, generation=1)
    assert stale.error_code == "stale_generation"
    assert client.update(node.name, {"loadBalancers": [lb]}, generation=5).ok
    kept = client.history(node.name).answer["history"]
    assert [entry["generation"] for entry in kept] == [5, 2, 1]
    # And an entry can be had back
    assert client.rollback(node.name, kept[1]["entry"], generation=6).ok
    assert get(port).body == b"one"
    assert client.rollback(node.name, kept[1]["entry"], generation=5).error_code == (
        "stale_generation"
    )
