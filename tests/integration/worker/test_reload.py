"""A change of a running load balancer loses nothing: no request, no byte, no connection."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.backends import EchoBackend, HttpBackend
from tests.support.load import Stream, Tally, Wrk, posting
from tests.support.node import Node
from tests.support.ports import free_port
from tests.support.responder import Responder
from tests.support.traffic import get
from tests.support.wait import until

RELOADS = 20


def reload(node: Node, ports: tuple[int, int], http: Any, tcp: Any, round_: int) -> None:
    """One change that no running process can take over, proved by another body than before."""
    before = node.worker_pid
    result = node.update(
        {
            "protocol": "HTTP",
            "port": ports[0],
            "nodes": [http.node(id=round_)],
            "options": {"client_timeout": 20_000 + round_},
        },
        {"protocol": "TCP", "port": ports[1], "nodes": [tcp.node(id=1)]},
    )
    assert result.ok, result.error
    assert node.worker_pid != before
    assert get(ports[0]).body == http.name.encode()


@pytest.mark.parametrize("keep_alive", [True, False], ids=["keep-alive", "new connections"])
@pytest.mark.parametrize(
    "requests", [0, pytest.param(100_000, marks=pytest.mark.slow)], ids=["short", "long"]
)
@pytest.mark.timeout(300)
def test_twenty_reloads_under_load_lose_no_request_and_cut_no_stream(
    node: Node, folder: Path, keep_alive: bool, requests: int
) -> None:
    # Given an HTTP load balancer under wrk, and a TCP one with a stream that never pauses
    ports = free_port(), free_port()
    total, reloads = Tally(), 0
    with (
        Responder("a", folder) as a,
        Responder("b", folder) as b,
        EchoBackend() as echo,
        ExitStack() as stack,
    ):
        assert node.update(
            {"protocol": "HTTP", "port": ports[0], "nodes": [a.node(id=1_000)]},
            {"protocol": "TCP", "port": ports[1], "nodes": [echo.node(id=1)]},
        ).ok
        stream = stack.enter_context(Stream(ports[1]))
        # When it is changed twenty times, or until enough requests were made
        while reloads < RELOADS or total.done < requests:
            wrk = Wrk(ports[0], seconds=8, keep_alive=keep_alive)
            for _ in range(RELOADS):
                if not wrk.running:
                    break
                reload(node, ports, (b, a)[reloads % 2], echo, reloads)
                reloads += 1
                time.sleep(0.1)
            tally = wrk.tally()
            total.done += tally.done
            total.failures += tally.failures
    # Then nothing was lost
    assert reloads >= RELOADS
    assert total.failures == []
    assert stream.failures == []
    assert stream.bytes > 0
    assert stream.sent.digest() == stream.received.digest()


@pytest.mark.timeout(300)
def test_twenty_reloads_lose_no_byte_of_large_bodies_both_ways(node: Node) -> None:
    # Given clients that send a megabyte and get it back, time and again
    ports = free_port(), free_port()
    with HttpBackend("a") as a, HttpBackend("b") as b, EchoBackend() as echo:
        assert node.update(
            {"protocol": "HTTP", "port": ports[0], "nodes": [a.node(id=1_000)]},
            {"protocol": "TCP", "port": ports[1], "nodes": [echo.node(id=1)]},
        ).ok
        with (
            posting(ports[0], 1 << 20) as one,
            posting(ports[0], 1 << 20) as two,
            Stream(ports[1]) as stream,
        ):
            # When it is changed twenty times
            for round_ in range(RELOADS):
                reload(node, ports, (b, a)[round_ % 2], echo, round_)
                time.sleep(0.1)
    # Then every body came back whole
    assert one.tally.failures == two.tally.failures == stream.failures == []
    assert one.tally.done + two.tally.done >= RELOADS
    assert stream.sent.digest() == stream.received.digest()


def test_connections_of_a_replaced_process_are_cut_when_their_time_is_over(
    make_node: Callable[..., Node],
) -> None:
    # Given a load balancer whose client stays, and a second of time for what a reload leaves
    node, port = make_node(linger=1), free_port()
    with EchoBackend() as echo:
        lb = {"protocol": "TCP", "port": port, "nodes": [echo.node(id=1)]}
        assert node.update(lb).ok
        with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
            client.sendall(b"hello")
            assert client.recv(5) == b"hello"
            before = node.worker_pid
            # When HAProxy is reloaded
            assert node.update({**lb, "options": {"client_timeout": 12_345}}).ok
            assert node.worker_pid != before
            # Then the client is cut, the old process ends, and nothing else is touched
            assert client.recv(1) == b""
        until(lambda: before not in node.pids(), "the replaced process has ended")
        with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
            client.sendall(b"again")
            assert client.recv(5) == b"again"
