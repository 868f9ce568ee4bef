"""Changes of a running HAProxy without a reload: the same result, and nobody notices."""

from __future__ import annotations

import http.client as http_client
import random
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import Any

import pytest

from libra_haproxy.readings import ServerRow
from tests.support.backends import EchoBackend, HttpBackend
from tests.support.haproxies import HAPROXIES
from tests.support.load import Stream, Tally, getting
from tests.support.need import program
from tests.support.node import Node
from tests.support.ports import free_port
from tests.support.traffic import bodies, get, refused
from tests.support.wait import until


@pytest.fixture(params=HAPROXIES, ids=str)
def any_node(request: pytest.FixtureRequest, make_node: Callable[..., Node]) -> Node:
    """A node on each release of HAProxy that is there."""
    return make_node(haproxy=request.param.path())


def http(port: int, *nodes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"protocol": "HTTP", "port": port, "nodes": list(nodes), **fields}


def rows(node: Node) -> set[tuple[Any, ...]]:
    """What HAProxy says that it serves."""
    return {_row(row) for row in node.haproxy_worker.servers()}


def _row(row: ServerRow) -> tuple[Any, ...]:
    return (row.backend, row.name, row.number, row.address, row.port, row.weight, row.maintenance)


def test_membership_weight_address_and_condition_change_without_a_reload(
    any_node: Node, a: HttpBackend, b: HttpBackend
) -> None:
    # Given a load balancer with one node
    node, port = any_node, free_port()
    assert node.update(http(port, a.node(id=1))).ok
    pid = node.worker_pid
    # When another comes
    assert node.update(http(port, a.node(id=1), b.node(id=2))).ok
    assert bodies(port, 6) == {"a": 3, "b": 3}
    # And the first gets more weight
    assert node.update(http(port, a.node(id=1, weight=3), b.node(id=2))).ok
    assert bodies(port, 8) == {"a": 6, "b": 2}
    # And is disabled
    assert node.update(http(port, a.node(id=1, condition="DISABLED"), b.node(id=2))).ok
    assert bodies(port, 4) == {"b": 4}
    # And enabled
    assert node.update(http(port, a.node(id=1), b.node(id=2))).ok
    assert bodies(port, 4) == {"a": 2, "b": 2}
    # And the second moves
    with HttpBackend("c") as c:
        assert node.update(http(port, a.node(id=1), c.node(id=2))).ok
        assert bodies(port, 4) == {"a": 2, "c": 2}
        # And the first goes
        assert node.update(http(port, c.node(id=2))).ok
        assert bodies(port, 4) == {"c": 4}
    # Then it was the same process all the time, and the file passes
    assert node.worker_pid == pid
    assert node.config_passes()


def test_a_node_that_moves_gets_nothing_more_at_its_old_place(
    any_node: Node, a: HttpBackend, b: HttpBackend
) -> None:
    # Given a request that the node has not answered yet
    node, port = any_node, free_port()
    asked, answered = threading.Event(), threading.Event()

    def slowly(path: str) -> None:
        if path == "/slow":
            asked.set()
            answered.wait(20)

    a.on_path = slowly
    assert node.update(http(port, a.node(id=1))).ok
    pid = node.worker_pid
    client = http_client.HTTPConnection("127.0.0.1", port, timeout=30)

    def ask(path: str) -> bytes:
        client.request("GET", path)
        return client.getresponse().read()

    with ThreadPoolExecutor() as pool, closing(client):
        # On a connection that has proved to be kept, else HAProxy would not use it again
        assert [ask("/") for _ in range(3)] == [b"a"] * 3
        slow = pool.submit(ask, "/slow")
        assert asked.wait(20)
        # When the node moves, and the request is answered after that
        assert node.update(http(port, b.node(id=1))).ok
        answered.set()
        assert slow.result(20) == b"a"
        assert [ask("/") for _ in range(3)] == [b"b"] * 3
    # Then no other goes over the connection that is left of it
    assert bodies(port, 20) == {"b": 20}
    assert node.worker_pid == pid


def test_a_node_that_was_disabled_gets_traffic_from_the_reload_that_enables_it(
    any_node: Node, a: HttpBackend, b: HttpBackend
) -> None:
    # Given a node that is disabled, at run time
    node, port = any_node, free_port()
    assert node.update(http(port, a.node(id=1), b.node(id=2))).ok
    assert node.update(http(port, a.node(id=1, condition="DISABLED"), b.node(id=2))).ok
    assert bodies(port, 4) == {"b": 4}
    # When it is enabled together with what no process can change
    lb = http(port, a.node(id=1), b.node(id=2))
    assert node.update({**lb, "options": {"client_timeout": 31_000}}).ok
    # Then it is not taken for dead until a check says otherwise
    assert bodies(port, 4) == {"a": 2, "b": 2}


def test_a_reload_and_a_cold_start_after_it_change_neither_traffic_nor_cookies(
    any_node: Node, a: HttpBackend, b: HttpBackend
) -> None:
    # Given nodes that came at run time, and a client with the cookie of one
    node, port = any_node, free_port()
    assert node.update(http(port, a.node(id=1))).ok
    assert node.update(http(port, a.node(id=1), b.node(id="two", weight=5))).ok
    cookie = {"Cookie": "SERVERID=id-two"}
    assert {get(port, **cookie).body for _ in range(6)} == {b"b"}
    before = rows(node)
    # When it is reloaded, and then started from nothing
    lb = http(port, a.node(id=1), b.node(id="two", weight=5), options={"client_timeout": 9999})
    assert node.update(lb).ok
    assert rows(node) == before
    node.kill()
    node.stop_haproxy()
    node.start()
    # Then everything is as it was
    assert rows(node) == before
    assert {get(port, **cookie).body for _ in range(6)} == {b"b"}


def test_suspend_and_enable_need_no_reload_and_survive_one(any_node: Node, a: HttpBackend) -> None:
    node, port = any_node, free_port()
    assert node.update(http(port, a.node(id=1))).ok
    pid = node.worker_pid
    assert node.do("SUSPEND").ok
    assert refused(port)
    assert node.do("ENABLE").ok
    assert get(port).body == b"a"
    assert node.worker_pid == pid
    # And a HAProxy that was started suspended is enabled all the same
    assert node.do("SUSPEND").ok
    node.kill()
    node.stop_haproxy()
    node.start()
    assert refused(port)
    assert node.do("ENABLE").ok
    assert get(port).body == b"a"


def test_a_port_that_was_taken_while_suspended_is_named_and_waited_for(
    any_node: Node, a: HttpBackend
) -> None:
    # Given a suspended load balancer on whose port somebody else has settled
    node, port = any_node, free_port()
    assert node.update(http(port, a.node(id=1))).ok
    assert node.do("SUSPEND").ok
    with HttpBackend("stranger", port):
        # When it is enabled
        result = node.do("ENABLE")
        # Then that is refused by name, and it stays suspended
        assert result.error_code == "port_taken"
        assert node.do("STATS").answer["lb_status"] == "SUSPENDED"
        assert get(port).body == b"stranger"
    # And once the port is free it is enabled
    assert node.do("ENABLE").ok
    assert get(port).body == b"a"


def test_a_change_that_leaves_less_room_for_connections_is_a_reload(
    make_node: Callable[..., Node], a: HttpBackend
) -> None:
    # Given a node that may open few files
    node, port = make_node(prefix=[program("prlimit"), "--nofile=600:600"]), free_port()
    assert node.update(http(port, a.node(id=1))).ok
    # When many more nodes come
    more = [{"address": f"127.0.2.{n}", "port": 9, "condition": "DISABLED"} for n in range(1, 100)]
    assert node.update(http(port, a.node(id=1), *more)).ok
    # Then the running process has the limit that fits
    limit = node.haproxy_worker.run(["show info"])
    assert f"Maxconn: {(600 - 128 - 100) // 2}" in limit


def test_a_removed_node_keeps_its_connections_and_gets_no_new_one(
    any_node: Node, b: HttpBackend
) -> None:
    # Given a stream through a node
    node, port = any_node, free_port()
    with EchoBackend() as echo:
        lb = {"protocol": "TCP", "port": port, "nodes": [echo.node(id=1), b.node(id=2, weight=0)]}
        assert node.update(lb).ok
        with Stream(port) as stream:
            # When the node is removed
            assert node.update({**lb, "nodes": [b.node(id=2)]}).ok
            accepted = echo.accepted
            with socket.create_connection(("127.0.0.1", port), timeout=5):
                sent = stream.bytes
                until(lambda: stream.bytes > sent, "the stream goes on")
        # Then the stream went on to its own end, and nobody else came
        assert stream.failures == []
        assert echo.accepted == accepted
        # And once it has ended, the server is forgotten
        until(lambda: {row[1] for row in rows(node)} == {"id-2"}, "it is gone", 30)
        # And may come again
        assert node.update(lb).ok


def test_a_node_that_comes_back_while_its_old_connections_last_is_served(
    any_node: Node, b: HttpBackend
) -> None:
    node, port = any_node, free_port()
    with EchoBackend() as echo:
        both = {"protocol": "TCP", "port": port, "nodes": [echo.node(id=1), b.node(id=2, weight=0)]}
        assert node.update(both).ok
        with Stream(port) as stream:
            # A connection that HAProxy has not taken yet would go elsewhere.
            until(lambda: stream.bytes > 0, "the stream runs")
            assert node.update({**both, "nodes": [b.node(id=2)]}).ok
            assert node.update(both).ok
            assert "id-1" in {row[1] for row in rows(node)}
            before = stream.bytes
            until(lambda: stream.bytes > before, "the stream runs on")
        assert stream.failures == []


def test_random_changes_leave_what_a_fresh_start_would_serve(
    any_node: Node, a: HttpBackend, b: HttpBackend
) -> None:
    # Given a load balancer that is asked for all the time
    node, port, dice = any_node, free_port(), random.Random(7)
    always = a.node(id=99)

    def some() -> dict[str, Any]:
        nodes = [
            b.node(
                id=n, weight=dice.randint(0, 256), condition=dice.choice(["ENABLED", "DISABLED"])
            )
            for n in dice.sample(range(8), dice.randint(0, 6))
        ]
        # Places must be different; only one of them is the living backend.
        for place, node_ in enumerate(nodes[1:]):
            node_["address"] = f"127.0.0.{place + 2}"
            node_["condition"] = "DISABLED"
        return http(port, always, *nodes)

    assert node.update(http(port, always)).ok
    with getting(port, {b"a", b"b"}) as client:
        for _ in range(40):
            # When it changes at random
            message = some()
            assert node.update(message).ok
            # Then HAProxy says of each server what the message says
            wanted = {
                f"id-{n['id']}": (
                    n["address"],
                    int(n["port"]),
                    n.get("weight", 1),
                    n.get("condition") == "DISABLED",
                )
                for n in message["nodes"]
            }
            found = {row[1]: (row[3], row[4], row[5], row[6]) for row in rows(node)}
            assert {name: found[name] for name in wanted} == wanted
            assert all(found[name][3] for name in found.keys() - wanted.keys())
        until(lambda: {row[1] for row in rows(node)} == set(wanted), "removed ones are gone", 60)
        at_run_time = rows(node)
        # And a fresh start serves the same
        node.kill()
        node.start()
    assert client.tally.failures == []
    assert client.tally.done > 0
    node.stop_haproxy()
    until(lambda: node.ask_keeper("status") is not None and rows_or_none(node), "it is back", 30)
    assert rows(node) == at_run_time


def rows_or_none(node: Node) -> Any:
    try:
        return rows(node)
    except Exception:  # noqa: BLE001 - it is just starting
        return None


def test_a_dead_node_gets_no_request_over_twenty_reloads(
    any_node: Node, a: HttpBackend, b: HttpBackend
) -> None:
    # Given a node that takes requests and whose checks fail
    node, port = any_node, free_port()
    asked: list[str] = []

    def broken(path: str) -> None:
        if path == "/health":
            raise ConnectionAbortedError
        asked.append(path)

    b.on_path = broken
    monitor = {"type": "HTTP", "delay": 1, "timeout": 1, "attempts": 1, "path": "/health"}

    def message(round_: int) -> dict[str, Any]:
        options = {"client_timeout": 20_000 + round_}
        return http(port, a.node(id=1), b.node(id=2), monitor=monitor, options=options)

    def down() -> bool:
        return bool(node.do("STATS").answer["nodes"][1]["status"] == "DOWN")

    assert node.update(message(0)).ok
    until(down, "it is seen to be down")
    # Which would get half of the requests if it were taken for up
    asked.clear()
    with getting(port, {b"a"}) as client:
        for round_ in range(1, 21):
            # When the load balancer is reloaded under load
            before = node.worker_pid
            assert node.update(message(round_)).ok
            assert node.worker_pid != before
            # Then the new process knows
            assert down()
            until(partial(_more, client.tally, client.tally.done + 10), "requests go on")
    assert client.tally.failures == []
    assert asked == []


def _more(tally: Tally, than: int) -> bool:
    return bool(tally.failures) or tally.done > than


@pytest.mark.timeout(180)
def test_a_source_stays_on_its_node_over_a_reload(
    any_node: Node, a: HttpBackend, b: HttpBackend
) -> None:
    # Given a TCP load balancer whose process is past its own first seconds
    node, port = any_node, free_port()
    lb = {"protocol": "TCP", "port": port, "nodes": [a.node(id=1), b.node(id=2)]}
    assert node.update(lb).ok
    time.sleep(7)
    first = get(port).body
    # When it is reloaded
    for round_ in range(3):
        assert node.update({**lb, "options": {"client_timeout": 10_000 + round_}}).ok
        # Then the source is where it was
        until(lambda: "key=" in _table(node), "the table is handed over")
        assert {get(port).body for _ in range(4)} == {first}
        time.sleep(0.5)


def _table(node: Node) -> str:
    return node.haproxy_worker.run(["show table tcp-servers"])
