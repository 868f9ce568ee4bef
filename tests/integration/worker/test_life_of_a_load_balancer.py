"""The actions of the worker messages on a real node, one promise a test."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.backends import EchoBackend, HttpBackend
from tests.support.gearmand import Gearmand
from tests.support.need import program
from tests.support.node import Node
from tests.support.ports import free_port
from tests.support.traffic import bodies, get, refused
from tests.support.wait import until


def http(port: int, *nodes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"protocol": "HTTP", "port": port, "nodes": list(nodes), **fields}


def tcp(port: int, *nodes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"protocol": "TCP", "port": port, "nodes": list(nodes), **fields}


def test_an_update_is_served_by_all_nodes_when_it_is_answered(
    node: Node, a: HttpBackend, b: HttpBackend
) -> None:
    # Given a port and two nodes, one id a number and the other a text
    port = free_port()
    # When an UPDATE names them
    result = node.update(http(port, a.node(id=7), b.node(id="8")))
    # Then PASS means served, by both, from the first request on
    assert result.ok
    assert result.answer["lb_status"] == "ACTIVE"
    assert bodies(port, 10) == {"a": 5, "b": 5}


def test_an_update_is_the_whole_configuration(node: Node, a: HttpBackend, b: HttpBackend) -> None:
    # Given an HTTP and a TCP load balancer
    ports = free_port(), free_port()
    assert node.update(http(ports[0], a.node()), tcp(ports[1], b.node())).ok
    assert (get(ports[0]).body, get(ports[1]).body) == (b"a", b"b")
    # When an UPDATE names the TCP one alone, with another node
    assert node.update(tcp(ports[1], a.node())).ok
    # Then the HTTP one is gone and the TCP one has only the new node
    assert refused(ports[0])
    assert bodies(ports[1], 4) == {"a": 4}


def test_the_stock_command_line_client_works(
    node: Node, gearmand: Gearmand, a: HttpBackend, folder: Path
) -> None:
    # Given a message in a file
    port = free_port()
    message = {"hpcs_action": "UPDATE", "loadBalancers": [http(port, a.node(id=1))]}
    file = folder / "update.json"
    file.write_text(json.dumps(message))
    # When the stock client submits it
    with file.open() as update:
        done = subprocess.run(
            [program("gearman"), "-p", str(gearmand.port), "-h", "127.0.0.1", "-f", node.name],
            stdin=update,
            capture_output=True,
            check=True,
            timeout=60,
        )
    # Then it prints the answer and the load balancer serves
    answer = json.loads(done.stdout)
    assert answer == {**message, "hpcs_response": "PASS", "lb_status": "ACTIVE"}
    assert get(port).body == b"a"


def test_an_unchanged_update_does_not_reload(node: Node, a: HttpBackend) -> None:
    # Given a served UPDATE
    lb = http(free_port(), a.node(id=1))
    assert node.update(lb).ok
    pid, text = node.worker_pid, node.config_text()
    # When it comes again, in another spelling
    result = node.update({"PROTOCOL": "http", "Port": str(lb["port"]), "NODES": lb["nodes"]})
    # Then it passes and the same process serves the same file
    assert result.ok
    assert (node.worker_pid, node.config_text()) == (pid, text)


def test_a_cookie_keeps_a_client_on_its_node_over_reloads(
    node: Node, a: HttpBackend, b: HttpBackend
) -> None:
    # Given two nodes and a client that was given a cookie
    port = free_port()
    assert node.update(http(port, a.node(id=41), b.node(id=42))).ok
    first = get(port)
    cookie = re.match(r"SERVERID=(id-4[12]);", first.headers["Set-Cookie"])
    assert cookie is not None
    # When the load balancer is reloaded with another node in front
    with HttpBackend("c") as c:
        assert node.update(http(port, c.node(id=40), a.node(id=41), b.node(id=42))).ok
        # Then the client stays where it was
        stays = {get(port, Cookie=f"SERVERID={cookie[1]}").body for _ in range(6)}
    assert stays == {first.body}
    # And the cookie itself is not passed on
    assert all("Cookie" not in seen for seen in (a.requests + b.requests))


def test_http_nodes_see_the_clients_address(node: Node, a: HttpBackend) -> None:
    port = free_port()
    assert node.update(http(port, a.node())).ok
    get(port)
    assert a.requests[-1]["X-Forwarded-For"] == "127.0.0.1"


def test_tcp_keeps_a_source_on_its_node(node: Node, a: HttpBackend, b: HttpBackend) -> None:
    port = free_port()
    assert node.update(tcp(port, a.node(), b.node())).ok
    assert len(bodies(port, 8)) == 1


def test_galera_writes_go_to_one_node_and_come_back_to_it(node: Node, b: HttpBackend) -> None:
    # Given a Galera load balancer whose first node, the writer, is away
    port, writer_port = free_port(), free_port()
    writer = {"address": "127.0.0.1", "port": writer_port, "id": 1}
    monitor = {"type": "CONNECT", "delay": 1, "timeout": 1, "attempts": 1}
    galera = {
        "protocol": "GALERA",
        "port": port,
        "nodes": [{**writer, "backup": "FALSE"}, b.node(id=2, backup="TRUE")],
        "monitor": monitor,
    }
    assert node.update(galera).ok
    until(lambda: _status(node)["1"] == "DOWN", "the writer is seen to be down")
    assert bodies(port, 3) == {"b": 3}
    # When the writer comes
    with HttpBackend("writer", writer_port):
        until(lambda: _status(node)["1"] == "UP", "the writer is seen to be up")
        # Then everything goes to it at once
        assert bodies(port, 5) == {"writer": 5}


def test_weights_conditions_and_backups_mean_what_they_say(
    node: Node, a: HttpBackend, b: HttpBackend
) -> None:
    port = free_port()
    with HttpBackend("c") as c, HttpBackend("d") as d:
        nodes = [
            a.node(id=1, weight="3"),
            b.node(id=2, weight=1),
            c.node(id=3, condition="disabled"),
            d.node(id=4, backup="true"),
        ]
        # Given one heavy, one light, one disabled and one backup node
        assert node.update(http(port, *nodes)).ok
        # Then traffic is shared by weight, and the other two get none
        assert bodies(port, 8) == {"a": 6, "b": 2}
        assert _status(node)["3"] == "MAINT"
        # When the first two take nothing any more
        nodes[0]["weight"] = nodes[1]["condition"] = None
        nodes[0]["condition"] = nodes[1]["condition"] = "DISABLED"
        assert node.update(http(port, *nodes)).ok
        # Then the backup serves
        assert bodies(port, 4) == {"d": 4}


def test_a_node_of_weight_zero_takes_no_new_traffic(
    node: Node, a: HttpBackend, b: HttpBackend
) -> None:
    port = free_port()
    assert node.update(http(port, a.node(weight=0), b.node(weight=256))).ok
    assert bodies(port, 6) == {"b": 6}


def test_an_http_monitor_asks_for_its_path_and_takes_a_sick_node_out(
    node: Node, a: HttpBackend, b: HttpBackend
) -> None:
    # Given a monitor that asks for a page which one of the nodes does not have
    port = free_port()
    monitor = {"type": "http", "delay": "1", "timeout": 1, "attempts": 1, "path": "/a%20b?c='"}
    assert not node.update(http(port, a.node(), monitor=monitor)).ok
    monitor["path"] = "/a%20b?c=$d"
    dead = {"address": "127.0.0.1", "port": free_port(), "id": 9}
    assert node.update(http(port, a.node(id=1), dead, monitor=monitor)).ok
    # Then the sick one is seen, and gets no request
    until(lambda: _status(node) == {"1": "UP", "9": "DOWN"}, "the dead node is down")
    assert bodies(port, 5) == {"a": 5}


def test_ipv6_nodes_are_served(node: Node) -> None:
    with HttpBackend("six", host="::1") as six:
        port = free_port()
        assert node.update(http(port, six.node())).ok
        assert get(port).body == b"six"


def test_without_a_bind_address_both_families_are_served(
    make_node: Callable[..., Node], a: HttpBackend
) -> None:
    node, port = make_node(bind_address=""), free_port()
    assert node.update(http(port, a.node())).ok
    assert get(port, host="127.0.0.1").body == b"a"
    assert get(port, host="::1").body == b"a"


def test_stats_tells_every_nodes_status_with_its_id_as_sent(
    node: Node, a: HttpBackend, b: HttpBackend
) -> None:
    assert node.update(http(free_port(), a.node(id=5), b.node(id="six"))).ok
    answer = node.do("STATS").answer
    assert answer["lb_status"] == "ACTIVE"
    assert [(row["id"], row["status"]) for row in answer["nodes"]] == [(5, "UP"), ("six", "UP")]


def test_a_suspended_load_balancer_refuses_at_once_and_cuts_what_is_going_on(node: Node) -> None:
    # Given a long connection through the load balancer
    port = free_port()
    with EchoBackend() as echo:
        assert node.update(tcp(port, echo.node(id=1))).ok
        import socket

        stream = socket.create_connection(("127.0.0.1", port), timeout=10)
        stream.sendall(b"hello")
        assert stream.recv(5) == b"hello"
        # When it is suspended
        result = node.do("SUSPEND")
        # Then new connections are refused, the old one ends, and STATS says so
        assert result.answer["lb_status"] == "SUSPENDED"
        assert refused(port)
        assert stream.recv(1) == b""
        stats = node.do("STATS")
        assert stats.ok
        assert stats.answer["lb_status"] == "SUSPENDED"
        assert [row["status"] for row in stats.answer["nodes"]] == ["MAINT"]
        # And a second SUSPEND changes nothing
        assert node.do("SUSPEND").answer["lb_status"] == "SUSPENDED"
        # When it is enabled, twice
        assert node.do("ENABLE").answer["lb_status"] == "ACTIVE"
        assert node.do("ENABLE").ok
        # Then it serves
        assert not refused(port)


def test_an_update_of_a_suspended_load_balancer_takes_effect_with_enable(
    node: Node, a: HttpBackend, b: HttpBackend
) -> None:
    port = free_port()
    assert node.update(http(port, a.node())).ok
    assert node.do("SUSPEND").ok
    # When an UPDATE comes while suspended
    result = node.update(http(port, b.node()))
    # Then it is stored and nothing is served
    assert result.ok
    assert result.answer["lb_status"] == "SUSPENDED"
    assert refused(port)
    # And a bad one is refused as ever
    assert node.update(http(port, {"address": "x", "port": 1})).error_code == "malformed_message"
    # When it is enabled
    assert node.do("ENABLE").ok
    # Then the new configuration serves
    assert bodies(port, 3) == {"b": 3}


def test_suspended_survives_a_restart_and_a_reboot(node: Node, a: HttpBackend) -> None:
    port = free_port()
    assert node.update(http(port, a.node())).ok
    assert node.do("SUSPEND").ok
    # When the worker restarts, and then everything is gone as after a reboot
    node.kill()
    node.start()
    assert refused(port)
    node.kill()
    node.stop_haproxy()
    node.start()
    # Then it is suspended still, and ENABLE serves
    assert refused(port)
    assert node.do("STATS").answer["lb_status"] == "SUSPENDED"
    assert node.do("ENABLE").ok
    assert get(port).body == b"a"


def test_an_active_load_balancer_comes_back_after_a_reboot_before_jobs_are_taken(
    node: Node, a: HttpBackend
) -> None:
    port = free_port()
    assert node.update(http(port, a.node())).ok
    node.kill()
    node.stop_haproxy()
    assert refused(port)
    # When the node comes up, and gearmand has just heard of it
    node.start()
    # Then it serves already
    assert get(port).body == b"a"


def test_delete_erases_everything_and_answers_the_final_bytes(node: Node, a: HttpBackend) -> None:
    # Given a load balancer with some traffic, over a reload
    port = free_port()
    assert node.update(http(port, a.node(id=1))).ok
    got = sum(len(get(port).body) for _ in range(3))
    assert node.update(http(port, a.node(id=1, weight=2))).ok
    got += sum(len(get(port).body) for _ in range(4))
    # When it is deleted
    result = node.do("DELETE")
    # Then the answer carries what went through, and nothing is left
    assert result.ok
    [total] = result.answer["totals"]
    assert (total["protocol"], total["sessions"]) == ("HTTP", 7)
    assert total["bytes_out"] > got
    assert refused(port)
    assert sorted(path.name for path in node.state_dir.iterdir()) == [
        "ledger",
        "owner",
        "state.json",
    ]
    assert not list((node.state_dir / "ledger").iterdir())
    assert not node.pids()
    # And again, even by a new process, it is the same answer
    node.kill()
    node.start()
    assert node.do("DELETE").answer["totals"] == [total]


@pytest.mark.parametrize("action", ["SUSPEND", "ENABLE", "STATS", "METRICS"])
def test_a_deleted_load_balancer_is_said_to_be_deleted(
    node: Node, a: HttpBackend, action: str
) -> None:
    assert node.update(http(free_port(), a.node())).ok
    assert node.do("DELETE").ok
    result = node.do(action)
    assert (result.ok, result.answer["status"], result.error_code) == (False, "DELETED", "deleted")


def test_only_an_update_makes_a_new_load_balancer_after_delete_and_from_nothing(
    node: Node, a: HttpBackend, b: HttpBackend
) -> None:
    port = free_port()
    assert node.update(http(port, a.node())).ok
    assert node.do("SUSPEND").ok
    assert node.do("DELETE").ok
    # When an UPDATE comes
    result = node.update(http(port, b.node()))
    # Then nothing of the old one is left, not even that it was suspended
    assert result.answer["lb_status"] == "ACTIVE"
    assert bodies(port, 3) == {"b": 3}


@pytest.mark.parametrize("action", ["SUSPEND", "ENABLE", "STATS"])
def test_without_a_load_balancer_there_is_nothing_to_do_it_to(node: Node, action: str) -> None:
    result = node.do(action)
    assert (result.ok, result.error_code) == (False, "no_load_balancer")
    assert "no load balancer" in (result.error or "")


def test_delete_without_a_load_balancer_passes(node: Node) -> None:
    assert node.do("DELETE").ok


def test_discover_tells_version_actions_and_limits(node: Node) -> None:
    answer = node.do("DISCOVER").answer
    assert answer["version"] == "1.0"
    assert answer["release"]
    assert {
        *("UPDATE", "SUSPEND", "ENABLE", "DELETE", "STATS", "DISCOVER", "DIAGNOSTICS"),
        *("HISTORY", "ROLLBACK"),
    } <= set(answer["actions"])
    assert answer["limits"]["max_nodes"] == 10_000


def test_diagnostics_tells_which_gearmand_can_be_reached(
    make_node: Callable[..., Node], gearmand: Gearmand, a: HttpBackend
) -> None:
    # Given a node whose second job server is away
    away = free_port()
    node = make_node(start=False)
    node.servers = (gearmand.address, f"127.0.0.1:{away}")
    node.write_config()
    node.start()
    assert node.update(http(free_port(), a.node())).ok
    # When it is asked
    answer = node.do("DIAGNOSTICS").answer
    # Then it says which is which, and that HAProxy answers
    assert [(server["port"], server["status"]) for server in answer["gearman"]] == [
        (gearmand.port, "PASS"),
        (away, "FAIL"),
    ]
    assert (answer["network"], answer["haproxy"]["status"]) == ("PASS", "PASS")


def _status(node: Node) -> dict[str, str]:
    return {str(row["id"]): row["status"] for row in node.do("STATS").answer["nodes"]}
