"""METRICS tells every byte that clients received once, whatever is reloaded, killed or lost."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.backends import EchoBackend, HttpBackend
from tests.support.haproxies import HAPROXIES
from tests.support.node import Node, submit
from tests.support.ports import free_port
from tests.support.traffic import get
from tests.support.wait import until

TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}")


@pytest.fixture(params=HAPROXIES, ids=str)
def either(make_node: Callable[..., Node], request: pytest.FixtureRequest) -> Node:
    """A node with each release of HAProxy."""
    return make_node(haproxy=request.param.path())


def both(ports: tuple[int, int], http: HttpBackend, tcp: EchoBackend, round_: int = 0) -> Any:
    """An HTTP and a TCP load balancer; another round needs a reload."""
    return (
        {
            "protocol": "HTTP",
            "port": ports[0],
            "nodes": [http.node(id=1)],
            "options": {"client_timeout": 30_000 + round_},
        },
        {
            "protocol": "GALERA",
            "port": ports[1],
            "nodes": [tcp.node(id=1)],
            "options": {"client_timeout": 30_000 + round_},
        },
    )


def metrics(node: Node, **fields: Any) -> dict[str, Any]:
    result = node.send({"hpcs_action": "METRICS", **fields})
    assert result.ok, result.error
    return dict(result.answer)


def one(answer: dict[str, Any], protocol: str) -> dict[str, Any]:
    [found] = [one for one in answer["loadBalancers"] if one["protocol"] == protocol]
    return dict(found)


class Clients:
    """Clients of both load balancers that count each byte and each answer that they received."""

    def __init__(self, ports: tuple[int, int]) -> None:
        self.ports = ports
        self.bytes = {"http": 0, "tcp": 0}
        self.requests = 0
        self.connections = 0
        self.failures: list[str] = []

    def stream(self, size: int, chunks: int = 1) -> None:
        """Send some to the echo and take it all back, on one connection."""
        with socket.create_connection(("127.0.0.1", self.ports[1]), timeout=30) as connection:
            self.connections += 1
            for _ in range(chunks):
                connection.sendall(os.urandom(size))
                left = size
                while left:
                    got = len(connection.recv(left))
                    assert got, "the stream was cut"
                    left -= got
                    self.bytes["tcp"] += got

    def request(self) -> None:
        """One GET, read to the end of the connection as it comes over the wire."""
        with socket.create_connection(("127.0.0.1", self.ports[0]), timeout=30) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = bytearray()
            while chunk := connection.recv(65536):
                answer += chunk
        assert answer.startswith(b"HTTP/1.1 200 "), bytes(answer[:80])
        self.bytes["http"] += len(answer)
        self.requests += 1

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Go on all the time, with short connections and long ones."""
        end = threading.Event()

        def streams() -> None:
            self.stream(5_000)
            self.stream(20_000, 200)

        def go_on(step: Callable[[], None]) -> None:
            try:
                while not end.is_set():
                    step()
            except (OSError, AssertionError) as error:
                self.failures.append(repr(error))

        # Each counter has a thread of its own.
        threads = [
            threading.Thread(target=go_on, args=(step,), daemon=True)
            for step in (self.request, streams)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            end.set()
            for thread in threads:
                thread.join(60)
        assert self.failures == []


def added_headers(node: Node, clients: Clients) -> int:
    """By how much an HTTP answer on the wire is longer than HAProxy counts it, seen of one."""
    before = metrics(node, ack=0)
    wire = clients.bytes["http"]
    clients.request()
    seen = one(before, "http")["sessions"]
    until(lambda: one(metrics(node, ack=0), "http")["sessions"] > seen, "it is counted")
    answer = metrics(node, ack=before["report"])
    return clients.bytes["http"] - wire - int(one(answer, "http")["bytes_out"])


@pytest.mark.parametrize(
    ("reloads", "kills"),
    [(8, 2), pytest.param(80, 10, marks=pytest.mark.slow)],
    ids=["short", "long"],
)
@pytest.mark.timeout(600)
def test_what_clients_received_is_the_sum_of_the_reports_over_reloads_and_kills(
    either: Node, reloads: int, kills: int
) -> None:
    node = either
    # Given two load balancers under load, polled by a client without ack and by one with it
    ports = free_port(), free_port()
    plain, acked = {"http": 0, "tcp": 0}, {"http": 0, "tcp": 0}
    ack = 0

    def add(to: dict[str, int], answer: dict[str, Any]) -> None:
        for balancer in answer["loadBalancers"]:
            to[balancer["protocol"]] += balancer["bytes_out"]

    with HttpBackend("a") as a, EchoBackend() as echo:
        assert node.update(*both(ports, a, echo)).ok
        clients = Clients(ports)
        longer = added_headers(node, clients)
        with clients.busy():
            for round_ in range(1, reloads + 1):
                before = node.worker_pid
                change = both(ports, a, echo, round_)
                if round_ % (reloads // kills):
                    assert node.update(*change).ok
                else:
                    # When the worker is killed while the leaving process is held
                    node.kill()
                    node.start(crash_at="during_reload")
                    message = {"hpcs_action": "UPDATE", "loadBalancers": change}
                    client = submit(node, message)
                    until(node.ended, "the worker is killed")
                    node.start()
                    assert b'"PASS"' in client.communicate(timeout=60)[0]
                assert node.worker_pid != before
                if round_ % 2:
                    add(plain, metrics(node))
                answer = metrics(node, ack=ack)
                assert answer["after"] == ack
                # And every third answer is lost on its way to the client with ack
                if round_ % 3:
                    add(acked, answer)
                    ack = answer["report"]
        assert clients.failures == []
        # Then, with the load at its end, the sums are what was received, to the byte
        http = clients.bytes["http"] - longer * clients.requests

        def counted() -> bool:
            last = metrics(node, ack=0)
            return bool(
                one(last, "http")["bytes_out"] >= http
                and one(last, "tcp")["bytes_out"] >= clients.bytes["tcp"]
                and one(last, "tcp")["sessions"] >= clients.connections
            )

        until(counted, "everything is counted", 60)
        add(plain, metrics(node))
        add(acked, metrics(node, ack=ack))
    expected = {"http": http, "tcp": clients.bytes["tcp"]}
    assert acked == expected
    assert plain == expected
    # And so are the totals, and those of the answer to DELETE
    totals = {of["protocol"]: of["totals"] for of in metrics(node)["loadBalancers"]}
    assert {name: total["bytes_out"] for name, total in totals.items()} == expected
    assert totals["http"]["requests"] == {
        **dict.fromkeys(("1xx", "3xx", "4xx", "5xx"), 0),
        "2xx": clients.requests,
    }
    assert totals["tcp"]["sessions"] == clients.connections
    deleted = node.do("DELETE").answer["totals"]
    assert {total["protocol"].lower(): total["bytes_out"] for total in deleted} == expected
    assert not (node.state_dir / "reports.json").exists()


def test_the_answer_is_what_the_original_api_server_reads(node: Node, a: HttpBackend) -> None:
    # Given a load balancer with two requests, one of them refused by the node
    with EchoBackend() as echo:
        ports = free_port(), free_port()
        assert node.update(*both(ports, a, echo)).ok
        assert get(ports[0]).status == 200
        with socket.create_connection(("127.0.0.1", ports[0]), timeout=10) as connection:
            connection.sendall(b"NONSENSE\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 400")
        until(lambda: one(metrics(node, ack=0), "http")["requests"]["4xx"], "it is counted")
        # When it is asked, with fields of the answer in the message
        answer = metrics(node, UTC_START="x", loadbalancers=3, Report=1, mine="kept")
    # Then there are the original's fields, with their values, and more beside them
    assert answer["hpcs_action"] == "METRICS"
    assert answer["lb_status"] == "ACTIVE"
    assert TIME.fullmatch(answer["utc_start"])
    assert TIME.fullmatch(answer["utc_end"])
    assert answer["utc_start"] < answer["utc_end"]
    assert [of["protocol"] for of in answer["loadBalancers"]] == ["http", "tcp"]
    http, tcp = answer["loadBalancers"]
    assert http["bytes_out"] == http["totals"]["bytes_out"] > 0
    assert (http["sessions"], http["requests"]["2xx"], http["requests"]["4xx"]) == (2, 1, 1)
    assert (tcp["bytes_out"], "requests" in tcp) == (0, False)
    assert answer["mine"] == "kept"
    assert not {"UTC_START", "loadbalancers", "Report"} & set(answer)
    # And the next one begins where this one ended
    following = metrics(node)
    assert following["after"] == answer["report"]
    assert one(following, "http")["bytes_out"] == 0
    assert one(following, "http")["totals"] == http["totals"]
    assert following["utc_start"] > answer["utc_end"]
    assert "METRICS" in node.do("DISCOVER").answer["actions"]


def test_a_poll_that_was_answered_and_not_received_is_in_the_next_with_ack(
    node: Node, a: HttpBackend
) -> None:
    # Given a report that was received, and one that was not, by a worker that is no more
    port = free_port()
    assert node.update({"protocol": "HTTP", "port": port, "nodes": [a.node()]}).ok
    first = metrics(node, ack=0)
    get(port)
    until(lambda: one(metrics(node, ack=0), "http")["sessions"] == 1, "it is counted")
    lost = metrics(node, ack=str(first["report"]))
    node.kill()
    node.start()
    # When it is asked again
    answer = metrics(node, ack=first["report"])
    assert one(answer, "http")["bytes_out"] == one(lost, "http")["bytes_out"] > 0
    assert answer["after"] == first["report"]
    # Then with the new ack it is not told once more
    assert one(metrics(node, ack=answer["report"]), "http")["bytes_out"] == 0
    # And one that never heard of ack is told too
    assert one(metrics(node), "http")["bytes_out"] == one(answer, "http")["bytes_out"]


@pytest.mark.parametrize("ack", [-1, "x", True, [1], 2**60])
def test_an_ack_that_is_no_number_is_refused(node: Node, a: HttpBackend, ack: Any) -> None:
    assert node.update({"protocol": "HTTP", "port": free_port(), "nodes": [a.node()]}).ok
    result = node.send({"hpcs_action": "METRICS", "ack": ack})
    assert (result.ok, result.error_code) == (False, "malformed_message")
    assert "ack" in (result.error or "")


def test_a_suspended_load_balancer_is_metered_and_none_is_not(node: Node, a: HttpBackend) -> None:
    # Given no load balancer
    assert node.do("METRICS").error_code == "no_load_balancer"
    # When there is one with traffic, and it is suspended
    port = free_port()
    assert node.update({"protocol": "HTTP", "port": port, "nodes": [a.node()]}).ok
    get(port)
    assert node.do("SUSPEND").ok
    # Then its traffic is told
    until(lambda: one(metrics(node, ack=0), "http")["sessions"] == 1, "it is counted")
    answer = metrics(node)
    assert answer["lb_status"] == "SUSPENDED"
    assert one(answer, "http")["requests"]["2xx"] == 1


def test_a_load_balancer_that_went_away_is_told_once_more(node: Node, a: HttpBackend) -> None:
    ports = free_port(), free_port()
    with EchoBackend() as echo:
        http, tcp = both(ports, a, echo)
        assert node.update(http, tcp).ok
        clients = Clients(ports)
        clients.stream(1_000)
        assert node.update(http).ok
        until(lambda: one(metrics(node, ack=0), "tcp")["bytes_out"] == 1_000, "it is counted")
    assert one(metrics(node), "tcp")["bytes_out"] == 1_000
    assert [of["protocol"] for of in metrics(node)["loadBalancers"]] == ["http"]


def test_another_life_is_counted_anew_and_its_numbers_go_on(node: Node, a: HttpBackend) -> None:
    # Given a client that knows a report of a load balancer that was deleted
    port = free_port()
    assert node.update({"protocol": "HTTP", "port": port, "nodes": [a.node()]}).ok
    get(port)
    old = metrics(node, ack=0)
    assert node.do("DELETE").ok
    assert node.update({"protocol": "HTTP", "port": port, "nodes": [a.node()]}).ok
    get(port)
    until(lambda: one(metrics(node, ack=0), "http")["sessions"] == 1, "it is counted")
    # When it acknowledges that one
    answer = metrics(node, ack=old["report"])
    # Then it is told all of the new one
    assert (answer["after"], one(answer, "http")["sessions"]) == (0, 1)
    assert answer["report"] > old["report"]


@pytest.mark.timeout(180)
def test_a_new_keeper_reads_what_leaves_to_its_last_byte(either: Node) -> None:
    node = either
    # Given a stream on a process that is leaving, and one on the serving process
    ports = free_port(), free_port()
    with HttpBackend("a") as a, EchoBackend() as echo:
        assert node.update(*both(ports, a, echo)).ok
        old = node.worker_pid
        streams = []
        for round_ in (1, 2):
            streams.append(socket.create_connection(("127.0.0.1", ports[1]), timeout=30))
            assert _echoed(streams[-1], 10_000) == 10_000
            assert node.update(*both(ports, a, echo, round_)).ok
        streams.append(socket.create_connection(("127.0.0.1", ports[1]), timeout=30))
        assert _echoed(streams[-1], 10_000) == 10_000
        # When the keeper is killed, and much goes through before and after another adopts them
        killed = node.keeper_pid
        os.kill(killed, signal.SIGKILL)
        got = 30_000 + sum(_echoed(stream, 300_000) for stream in streams)
        until(lambda: node.ask_keeper("status"), "another keeper is there")
        assert node.keeper_pid != killed
        metrics(node, ack=0)
        # And a reload ends what holds them, while they go on
        assert node.update(*both(ports, a, echo, 3)).ok
        got += sum(_echoed(stream, 2_000_000) for stream in streams)
        for stream in streams:
            stream.close()
        # Then the leaving processes are let go, and every byte was counted
        until(lambda: not _runs(old), "the first process has gone", 60)
        until(lambda: one(metrics(node, ack=0), "tcp")["bytes_out"] >= got, "it is counted", 30)
        assert one(metrics(node), "tcp")["bytes_out"] == got
        assert one(metrics(node, ack=0), "tcp")["sessions"] == 3
        assert node.do("DELETE").answer["totals"][-1]["bytes_out"] == got


def _echoed(connection: socket.socket, size: int) -> int:
    """Send as much to the echo and take it back, in parts that fit into any buffer."""
    got = 0
    while got < size:
        part = min(20_000, size - got)
        connection.sendall(bytes(part))
        while part:
            came = len(connection.recv(part))
            assert came, "the stream was cut"
            got, part = got + came, part - came
    return got


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
