"""Every command against a real node: what it does, says, and ends with."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from libra_client.cli.exits import Exit
from libra_common.version import MESSAGES, RELEASE
from tests.integration.client.conftest import COMMAND, Libra
from tests.support.gearmand import Gearmand
from tests.support.need import program
from tests.support.node import Node
from tests.support.wait import until


def served(configuration: dict[str, Any]) -> str | None:
    """The body that the load balancer answers with, None where it refuses the connection."""
    port = configuration["loadBalancers"][0]["port"]
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
            return str(answer.read().decode())
    except urllib.error.URLError:
        return None


def write(folder: Path, message: dict[str, Any]) -> str:
    file = folder / "message.json"
    file.write_text(json.dumps(message))
    return str(file)


@pytest.mark.parametrize("action", [{}, {"hpcs_action": "UPDATE"}, {"HPCS_Action": "update"}])
def test_update_returns_when_the_load_balancer_serves(
    fresh: Node,
    libra: Libra,
    configuration: dict[str, Any],
    tmp_path: Path,
    action: dict[str, str],
) -> None:
    # Given a configuration, with or without its action
    file = write(tmp_path, {**action, **configuration})
    # When it is sent
    ran = libra("update", fresh.name, file)
    # Then the command says so, and the load balancer serves
    assert (ran.code, ran.out, ran.err) == (Exit.OK, "node: UPDATE PASS ACTIVE\n", "")
    assert served(configuration) in ("one", "two")


def test_update_takes_standard_input_and_prints_the_answer_as_it_came(
    fresh: Node, libra: Libra, configuration: dict[str, Any]
) -> None:
    # Given a message with text and fields of its own on standard input
    message = {**configuration, "name": "lb #1 é\x1b[2J", "Extra": [1, None]}
    # When it is sent, and a program reads
    ran = libra("update", fresh.name, "-", "--json", stdin=json.dumps(message))
    # Then the answer is the message with fields added
    assert (ran.code, ran.err) == (Exit.OK, "")
    expected = {"hpcs_action": "UPDATE", "hpcs_response": "PASS", "lb_status": "ACTIVE"}
    assert ran.json == {**message, **expected}
    assert served(configuration) in ("one", "two")


def test_a_refused_update_names_every_fault_and_changes_nothing(
    active: Node, libra: Libra, configuration: dict[str, Any], tmp_path: Path
) -> None:
    # Given a message with two faults that only the node looks for
    node = {"address": "example.com", "port": 0}
    file = write(tmp_path, {"loadBalancers": [{"protocol": "HTTP", "nodes": [node]}]})
    # When it is sent
    ran = libra("update", active.name, file)
    # Then each fault has its line, and what served goes on serving
    assert (ran.code, ran.out) == (Exit.FAIL, "")
    lines = ran.err.splitlines()
    assert lines[0] == "libra: node: FAIL (malformed_message):"
    assert lines[1].startswith("  loadbalancers[0].nodes[0].address: must be an IPv4 or IPv6")
    assert lines[2] == "  loadbalancers[0].nodes[0].port: must be 1 to 65535, got 0"
    assert len(lines) == 3
    assert served(configuration) in ("one", "two")
    # And for a program the answer is on standard output, with the same exit code
    ran = libra("update", active.name, file, "--json")
    assert (ran.code, ran.err) == (Exit.FAIL, "")
    assert ran.json["hpcs_error_code"] == "malformed_message"
    assert "badRequest" in ran.json


def test_suspend_refuses_traffic_until_enable(
    active: Node, libra: Libra, configuration: dict[str, Any]
) -> None:
    # Given a load balancer that serves
    assert served(configuration) is not None
    # When it is suspended / Then connections are refused and stats says so
    ran = libra("suspend", active.name)
    assert (ran.code, ran.out) == (Exit.OK, "node: SUSPEND PASS SUSPENDED\n")
    assert served(configuration) is None
    assert [line.split()[3:] for line in libra("stats", active.name).out.splitlines()] == [
        ["status", "lb_status"],
        ["MAINT", "SUSPENDED"],
        ["MAINT", "SUSPENDED"],
    ]
    # When it is enabled / Then it serves again
    ran = libra("enable", active.name)
    assert (ran.code, ran.out) == (Exit.OK, "node: ENABLE PASS ACTIVE\n")
    until(lambda: served(configuration) is not None, "the load balancer serves")


def test_stats_is_a_table_of_the_nodes(
    active: Node, libra: Libra, configuration: dict[str, Any]
) -> None:
    # Given a load balancer with two nodes
    nodes = configuration["loadBalancers"][0]["nodes"]
    # When its statistics are asked for / Then each node has its row
    ran = libra("stats", active.name)
    assert (ran.code, ran.err) == (Exit.OK, "")
    assert [line.split() for line in ran.out.splitlines()] == [
        ["id", "address", "port", "status", "lb_status"],
        ["1", "127.0.0.1", nodes[0]["port"], "UP", "ACTIVE"],
        ["b", "127.0.0.1", nodes[1]["port"], "UP", "ACTIVE"],
    ]
    # And a program gets the answer
    found = libra("stats", active.name, "--json").json
    assert [one["id"] for one in found["nodes"]] == [1, "b"]
    assert found["hpcs_response"] == "PASS"


def test_discover_tells_version_release_actions_and_limits(node: Node, libra: Libra) -> None:
    # When a node is asked what it is
    ran = libra("discover", node.name)
    # Then all that callers decide by is there
    assert (ran.code, ran.err) == (Exit.OK, "")
    rows = {line.split("  ")[0]: line.split("  ")[-1] for line in ran.out.splitlines()}
    assert rows["version"].strip() == MESSAGES
    assert rows["release"].strip() == RELEASE
    assert "UPDATE, SUSPEND, ENABLE, DELETE" in rows["actions"]
    assert "limits max_nodes" in rows
    assert libra("discover", node.name, "--json").json["version"] == MESSAGES


def test_diagnostics_tells_what_the_node_reaches(
    active: Node, libra: Libra, gearmand: Gearmand
) -> None:
    # When a node is asked what it can reach / Then each part has its row
    ran = libra("diagnostics", active.name)
    assert (ran.code, ran.err) == (Exit.OK, "")
    rows = [line.split() for line in ran.out.splitlines()]
    assert ["network", "PASS"] in rows
    assert ["gearman", gearmand.address, "PASS"] in rows
    assert ["haproxy", "status", "PASS"] in rows
    assert libra("diagnostics", active.name, "--json").json["network"] == "PASS"


def test_delete_with_yes_erases_and_shows_the_totals(
    active: Node, libra: Libra, configuration: dict[str, Any]
) -> None:
    # Given a load balancer that has served something
    assert served(configuration) is not None
    # When it is deleted
    ran = libra("delete", active.name, "--yes")
    # Then the totals are shown and nothing serves any more
    assert (ran.code, ran.err) == (Exit.OK, "")
    lines = ran.out.splitlines()
    assert lines[0] == "node: DELETE PASS DELETED"
    assert lines[1].split() == ["protocol", "bytes_in", "bytes_out", "sessions"]
    protocol, bytes_in, bytes_out, sessions = lines[2].split()
    assert protocol == "HTTP"
    assert int(bytes_in) > 0
    assert int(bytes_out) > 0
    assert int(sessions) > 0
    assert served(configuration) is None
    # And what needs a load balancer fails with the node's reason
    ran = libra("stats", active.name)
    assert (ran.code, ran.out) == (Exit.FAIL, "")
    assert ran.err.startswith("libra: node: FAIL (deleted): ")
    assert libra("suspend", active.name).code == Exit.FAIL
    assert libra("enable", active.name, "--json").json["status"] == "DELETED"


@pytest.mark.parametrize(("answer", "deleted"), [(b"y\n", True), (b"\n", False), (b"no\n", False)])
def test_delete_on_a_terminal_asks_first(
    active: Node,
    gearmand: Gearmand,
    configuration: dict[str, Any],
    answer: bytes,
    deleted: bool,
) -> None:
    # Given a person at a terminal
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "--server", gearmand.address, "delete", active.name],
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
    # Then only yes deletes
    assert b"Erase the load balancers of node? It cannot be undone." in seen
    assert code == (Exit.OK if deleted else Exit.USAGE), seen
    assert (served(configuration) is None) == deleted
    assert (b"nothing was sent" in seen) != deleted


def test_validate_shows_the_file_that_the_node_then_writes(
    fresh: Node, libra: Libra, configuration: dict[str, Any], tmp_path: Path
) -> None:
    # Given the node's own settings, which name its HAProxy
    file = write(tmp_path, configuration)
    # When a message is validated
    ran = libra("validate", file, config=fresh.config)
    # Then the real HAProxy takes the configuration
    assert ran.code == Exit.OK, ran.err
    assert ran.err == f"{file}: good; HAProxy accepts the configuration\n"
    # And nothing was applied
    assert served(configuration) is None
    assert libra("stats", fresh.name).code == Exit.FAIL
    # And a node that gets the message writes the same servers and listeners
    assert libra("update", fresh.name, file).code == Exit.OK

    def lines(text: str) -> list[str]:
        words = ("server", "bind", "balance", "mode", "timeout", "cookie", "retries")
        return [line for line in text.splitlines() if line.split()[:1] and line.split()[0] in words]

    assert lines(ran.out) == lines(fresh.config_text())


@pytest.mark.parametrize("protocols", [("HTTP", "TCP"), ("GALERA",), ("TCP",)])
def test_validate_passes_the_real_haproxy_for_every_protocol_and_option(
    libra: Libra, tmp_path: Path, protocols: tuple[str, ...]
) -> None:
    # Given a message that uses all there is
    balancers = [
        {
            "protocol": protocol,
            "port": 8000 + position,
            "algorithm": "LEAST_CONNECTIONS",
            "monitor": {"type": "HTTP", "delay": 5, "attempts": 3, "path": "/a?b=c&d=$e"},
            "options": {"client_timeout": 1, "connect_retries": 0},
            "nodes": [
                {"address": "10.0.0.1", "port": 1, "weight": 0},
                {"id": "x.y-z", "address": "2001:db8::1", "port": 65535, "condition": "DISABLED"},
            ],
        }
        for position, protocol in enumerate(protocols)
    ]
    # When it is validated / Then HAProxy itself takes the configuration
    haproxy = program("haproxy")
    file = write(tmp_path, {"loadBalancers": balancers})
    ran = libra("validate", file, "--haproxy", haproxy, "--json")
    assert ran.code == Exit.OK, ran.out
    assert ran.json["haproxy_check"] == {"result": "passed", "message": None}
