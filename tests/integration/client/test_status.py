"""`libra status` tells the truth of all that gearman servers know, whoever hangs."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from libra_client.cli.exits import Exit
from tests.integration.client.conftest import Libra
from tests.support.backends import HttpBackend
from tests.support.crowd import crowd
from tests.support.gearmand import Gearmand
from tests.support.need import program
from tests.support.node import Node
from tests.support.ports import free_port


@pytest.fixture
def other() -> Iterator[Gearmand]:
    with Gearmand() as server:
        yield server


def test_a_node_is_told_with_its_slots_release_state_and_members(
    libra: Libra, node: Node, backends: tuple[HttpBackend, HttpBackend]
) -> None:
    # Given a load balancer of two nodes, the sender's generation 8
    up, _ = backends
    port = free_port()
    nodes = [up.node(id="1"), {"id": "2", "address": "127.0.0.1", "port": "1"}]
    assert node.update({"protocol": "TCP", "port": port, "nodes": nodes}, generation=8).ok

    # When
    ran = libra("status", "node", "--json")

    # Then
    (row,) = ran.json["rows"]
    assert (row["name"], row["kind"], row["slots"]) == ("node", "node", 4)
    assert (row["lb_status"], row["generation"]) == ("ACTIVE", 8)
    assert (row["load_balancers"], row["nodes"]) == (1, 2)
    assert row["release"]
    assert row["error"] is None
    assert ran.code == Exit.OK
    table = libra("status")
    assert [line.split()[0] for line in table.out.splitlines()][:2] == ["name", "node"]


def test_a_name_that_nobody_serves_is_told_and_so_is_a_server_that_is_away(
    libra: Libra, node: Node
) -> None:
    ran = libra("status", "node", "nobody")
    assert ran.code == Exit.FAIL
    assert "nobody: nobody is registered for it" in ran.err
    ran = libra("status", "--server", "127.0.0.1:1", "--timeout", "2")
    assert ran.code == Exit.NO_ANSWER
    assert "127.0.0.1:1" in ran.err


def test_two_hundred_nodes_are_told_and_one_that_hangs_keeps_none_of_them(
    libra: Libra, other: Gearmand
) -> None:
    # Given 200 nodes, a pool manager, and one that takes jobs and never answers
    names = [f"node-{number:03}" for number in range(200)]
    port = other.address.split(":")[1]
    hung = subprocess.Popen(
        [program("gearman"), "-h", "127.0.0.1", "-p", port, "-w", "-f", "hung", "sleep", "1000"],
        start_new_session=True,
    )
    try:
        with crowd([*names, "libra_pool_mgm"], other.address):
            # When
            ran = libra("status", "--server", other.address, "--timeout", "5", "--json")
    finally:
        os.killpg(hung.pid, signal.SIGKILL)
        hung.wait()

    # Then
    rows = {row["name"]: row for row in ran.json["rows"]}
    assert rows["libra_pool_mgm"]["kind"] == "pool manager"
    assert "no answer within" in rows["hung"]["error"]
    assert [rows[name]["nodes_up"] for name in names] == [1] * 200
    assert [rows[name]["requests_per_second"] for name in names] == [7.0] * 200
    assert ran.code == Exit.FAIL
    assert ran.json["well"] is False


def test_a_gearmand_that_hangs_is_told_as_away_and_the_other_is_asked(
    libra: Libra, node: Node, other: Gearmand
) -> None:
    other.freeze()
    try:
        ran = libra(
            *("status", "--server", node.servers[0], "--server", other.address),
            *("--timeout", "2", "--json"),
        )
    finally:
        other.thaw()
    assert [row["name"] for row in ran.json["rows"] if row["slots"]] == ["node"]
    assert list(ran.json["servers_away"]) == [other.address]
    assert ran.code == Exit.FAIL
