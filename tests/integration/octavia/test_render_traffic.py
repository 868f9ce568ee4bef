"""Each option does to traffic what Octavia says of it."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.support.backends import EchoBackend, HttpBackend
from tests.support.haproxies import HAPROXIES, Haproxy
from tests.support.octavia_trees import monitor
from tests.support.ports import free_port
from tests.support.session_backend import SessionBackend
from tests.support.traffic import bodies, get, refused
from tests.support.tree_server import TreeServer, member_of
from tests.support.wait import until

Serve = Callable[..., TreeServer]


@pytest.fixture(params=HAPROXIES, ids=str)
def haproxy(request: pytest.FixtureRequest) -> Haproxy:
    found: Haproxy = request.param
    return found


@pytest.fixture
def serve(haproxy: Haproxy, tmp_path: Path) -> Iterator[Serve]:
    """Starts a listener with its pool (both given by their fields)."""
    running: list[TreeServer] = []

    def start(front: dict[str, Any], behind: dict[str, Any] | None) -> TreeServer:
        server = TreeServer(haproxy, tmp_path, front, behind)
        running.append(server)
        return server.__enter__()

    yield start
    for server in running:
        server.__exit__()


@pytest.fixture
def webs() -> Iterator[list[HttpBackend]]:
    with HttpBackend("one") as one, HttpBackend("two") as two, HttpBackend("three") as three:
        yield [one, two, three]


@contextmanager
def tls_port(received: list[bytes]) -> Iterator[int]:
    """Speaks TLS, and HTTP inside it; keeps what it was asked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    listening = socket.create_server(("127.0.0.1", 0), backlog=64)

    def work() -> None:
        while True:
            try:
                plain, _ = listening.accept()
            except OSError:
                return
            try:
                plain.settimeout(5)
                with context.wrap_socket(plain, server_side=True) as opened:
                    received.append(opened.recv(4096))
                    opened.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello")
            except OSError:
                plain.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield int(listening.getsockname()[1])
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(10)


def test_weights_share_the_requests_out_and_weight_zero_gets_none(
    serve: Serve, webs: list[HttpBackend]
) -> None:
    members = [member_of(web, weight=weight) for web, weight in zip(webs, (3, 1, 0), strict=True)]
    server = serve({}, {"members": members})
    assert bodies(server.port, 12) == {"one": 9, "two": 3}


def test_a_member_that_is_down_by_hand_gets_nothing(serve: Serve, webs: list[HttpBackend]) -> None:
    members = [member_of(webs[0]), member_of(webs[1], admin_state_up=False)]
    assert bodies(serve({}, {"members": members}).port, 6) == {"one": 6}


def test_a_backup_serves_only_once_all_others_are_dead(
    serve: Serve, webs: list[HttpBackend]
) -> None:
    dead = free_port()
    members = [member_of(webs[0], protocol_port=dead), member_of(webs[1], backup=True)]
    alive = [member_of(webs[0]), *members[1:]]
    watching = monitor(type="TCP", delay=1, timeout=1, max_retries=1, max_retries_down=1)
    server = serve({}, {"members": alive, "healthmonitor": watching})
    assert bodies(server.port, 4) == {"one": 4}
    server.change({}, {"members": members, "healthmonitor": watching})
    until(lambda: get(server.port).body == b"two", "the backup serves")


@pytest.mark.parametrize("down", ["pool", "no pool"])
def test_what_is_down_serves_nobody(serve: Serve, webs: list[HttpBackend], down: str) -> None:
    behind = {"members": [member_of(webs[0])]}
    server = serve({}, behind)
    assert get(server.port).body == b"one"
    if down == "pool":
        server.change({}, behind | {"admin_state_up": False})
        assert get(server.port).status == 503
    else:
        server.change({"default_pool_id": None}, behind)
        assert get(server.port).status == 503


@pytest.mark.parametrize("algorithm", ["ROUND_ROBIN", "LEAST_CONNECTIONS", "SOURCE_IP"])
def test_each_algorithm_chooses_as_it_says(
    serve: Serve, webs: list[HttpBackend], algorithm: str
) -> None:
    members = [member_of(web) for web in webs]
    server = serve({}, {"members": members, "lb_algorithm": algorithm})
    found = bodies(server.port, 9)
    assert len(found) == (1 if algorithm == "SOURCE_IP" else 3)


def test_least_connections_avoids_a_busy_member(serve: Serve) -> None:
    with EchoBackend() as one, EchoBackend() as two:
        members = [member_of(one), member_of(two)]
        server = serve(
            {"protocol": "TCP"},
            {"protocol": "TCP", "members": members, "lb_algorithm": "LEAST_CONNECTIONS"},
        )
        opened = [socket.create_connection(("127.0.0.1", server.port), 5) for _ in range(4)]
        for one_of_them in opened:
            one_of_them.sendall(b"x")
            assert one_of_them.recv(1) == b"x"
        assert (one.accepted, two.accepted) == (2, 2)
        for one_of_them in opened:
            one_of_them.close()


def test_a_cookie_of_the_load_balancer_keeps_a_client_and_stays_out_of_the_application(
    serve: Serve, webs: list[HttpBackend]
) -> None:
    members = [member_of(web) for web in webs]
    behind = {"members": members, "session_persistence": {"type": "HTTP_COOKIE"}}
    server = serve({}, behind)
    first = get(server.port)
    cookie = first.headers["Set-Cookie"].partition(";")[0]
    again = {get(server.port, Cookie=cookie).body for _ in range(6)}
    assert again == {first.body}
    assert all("Cookie" not in sent for web in webs for sent in web.requests)
    # And the same cookie leads to the same member after a change.
    server.change({}, behind | {"members": members[::-1]})
    assert {get(server.port, Cookie=cookie).body for _ in range(6)} == {first.body}


def test_a_cookie_of_the_application_keeps_a_client(serve: Serve) -> None:
    with SessionBackend("one") as one, SessionBackend("two") as two:
        members = [member_of(one), member_of(two)]
        sticky = {"type": "APP_COOKIE", "cookie_name": "sid"}
        server = serve({}, {"members": members, "session_persistence": sticky})
        clients = [get(server.port) for _ in range(4)]
        assert {client.body for client in clients} == {b"one", b"two"}
        for client in clients:
            sent = client.headers["Set-Cookie"]
            assert {get(server.port, Cookie=sent).body for _ in range(4)} == {client.body}


def test_a_source_address_keeps_a_client(serve: Serve, webs: list[HttpBackend]) -> None:
    members = [member_of(web) for web in webs]
    server = serve({}, {"members": members, "session_persistence": {"type": "SOURCE_IP"}})
    assert len(bodies(server.port, 9)) == 1
    server.change({}, {"members": members})
    assert len(bodies(server.port, 9)) == 3


def test_a_monitor_asks_what_it_was_told_to_and_believes_only_the_codes_expected(
    serve: Serve, webs: list[HttpBackend]
) -> None:
    asked: list[str] = []
    webs[0].on_path = asked.append
    fields = {"delay": 1, "timeout": 1, "max_retries": 1, "max_retries_down": 1}
    right = monitor(
        url_path="/health?deep=1", http_version=1.1, domain_name="www.example.org", **fields
    )
    one = member_of(webs[0])
    server = serve({}, {"members": [one], "healthmonitor": right})
    until(lambda: webs[0].requests, "it is asked")
    assert asked[0] == "/health?deep=1"
    assert webs[0].requests[0]["Host"] == "www.example.org"
    until(lambda: server.status(one["member_id"]) == "UP", "it is up")
    # What answers 200 is none of these.
    server.change(
        {}, {"members": [one], "healthmonitor": right | {"expected_codes": "204,301-302"}}
    )
    until(lambda: server.status(one["member_id"]) == "DOWN", "it is down")
    assert get(server.port).status == 503
    server.change({}, {"members": [one], "healthmonitor": right | {"expected_codes": "199-204"}})
    until(lambda: get(server.port).status == 200, "it is up again")


def test_a_monitor_that_is_down_asks_nobody(serve: Serve) -> None:
    dead = free_port()
    watching = monitor(type="TCP", delay=1, timeout=1, admin_state_up=False)
    with HttpBackend("one") as web:
        one = member_of(web, monitor_port=dead)
        server = serve({}, {"members": [one], "healthmonitor": watching})
        assert server.status(one["member_id"]) == "no check"
        assert get(server.port).body == b"one"


def test_a_member_is_checked_where_its_monitor_port_says(
    serve: Serve, webs: list[HttpBackend]
) -> None:
    fields = {"delay": 1, "timeout": 1, "max_retries": 1, "max_retries_down": 1}
    watching = monitor(type="TCP", **fields)
    good = member_of(webs[0], monitor_port=webs[1].port, monitor_address="127.0.0.1")
    bad = member_of(webs[2], monitor_port=free_port())
    server = serve({}, {"members": [good, bad], "healthmonitor": watching})
    until(lambda: server.status(bad["member_id"]) == "DOWN", "the bad one is down")
    assert bodies(server.port, 4) == {"one": 4}


def test_a_monitor_that_pings_asks_for_the_host_alone(serve: Serve) -> None:
    fields = {"delay": 1, "timeout": 1, "max_retries": 1, "max_retries_down": 1}
    with HttpBackend("one") as one, HttpBackend("two", host="127.0.0.2") as two:
        good, silent = member_of(one), member_of(two, address="127.0.0.2")
        watching = monitor(type="PING", **fields)
        server = serve({}, {"members": [good, silent], "healthmonitor": watching})
        until(lambda: server.status(silent["member_id"]) == "DOWN", "the silent one is down")
        until(lambda: server.status(good["member_id"]) == "UP", "the other is up")
        assert bodies(server.port, 4) == {"one": 4}


@pytest.mark.parametrize("kind", ["HTTPS", "TLS-HELLO"])
def test_monitors_of_tls_know_who_speaks_it(
    serve: Serve, webs: list[HttpBackend], kind: str
) -> None:
    fields = {"delay": 1, "timeout": 1, "max_retries": 1, "max_retries_down": 1}
    received: list[bytes] = []
    with tls_port(received) as port:
        members = [member_of(webs[0], protocol_port=port), member_of(webs[1])]
        server = serve(
            {"protocol": "HTTPS"},
            {
                "protocol": "HTTPS",
                "members": members,
                "healthmonitor": monitor(type=kind, url_path="/tls", **fields),
            },
        )
        until(lambda: server.status(members[1]["member_id"]) == "DOWN", "plain HTTP is down")
        until(lambda: server.status(members[0]["member_id"]) == "UP", "TLS is up")
        if kind == "HTTPS":
            assert any(said.startswith(b"GET /tls ") for said in received)
        # And clients of the listener speak TLS with the member itself.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        client = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=10, context=context)
        client.request("GET", "/through")
        assert client.getresponse().read() == b"hello"
        client.close()
        assert any(said.startswith(b"GET /through ") for said in received)


@pytest.mark.parametrize(
    ("protocol", "start"),
    [("PROXY", b"PROXY TCP4 127.0.0.1"), ("PROXYV2", b"\r\n\r\n\0\r\nQUIT\n")],
)
def test_members_of_a_proxy_pool_are_told_the_client(
    serve: Serve, protocol: str, start: bytes
) -> None:
    with EchoBackend() as echo:
        server = serve({"protocol": "TCP"}, {"protocol": protocol, "members": [member_of(echo)]})
        with socket.create_connection(("127.0.0.1", server.port), 5) as client:
            client.settimeout(10)
            client.sendall(b"hello")
            said = b""
            while b"hello" not in said:
                said += client.recv(4096)
    assert said.startswith(start)


def test_no_more_clients_than_the_limit_are_served_at_once(serve: Serve) -> None:
    with EchoBackend() as echo:
        server = serve(
            {"protocol": "TCP", "connection_limit": 1},
            {"protocol": "TCP", "members": [member_of(echo)]},
        )
        first = socket.create_connection(("127.0.0.1", server.port), 5)
        second = socket.create_connection(("127.0.0.1", server.port), 5)
        for client in (first, second):
            client.settimeout(10)
            client.sendall(b"x")
        assert first.recv(1) == b"x"
        second.settimeout(0.5)
        with pytest.raises(TimeoutError):
            second.recv(1)
        assert echo.accepted == 1
        second.settimeout(10)
        first.close()
        assert second.recv(1) == b"x"
        second.close()


@pytest.mark.parametrize("field", ["timeout_client_data", "timeout_member_data"])
def test_a_side_that_is_silent_for_its_timeout_is_left(serve: Serve, field: str) -> None:
    with EchoBackend() as echo:
        server = serve(
            {"protocol": "TCP", field: 300}, {"protocol": "TCP", "members": [member_of(echo)]}
        )
        with socket.create_connection(("127.0.0.1", server.port), 5) as client:
            client.settimeout(20)
            client.sendall(b"x")
            assert client.recv(1) == b"x"
            assert client.recv(1) == b""


def test_a_listener_that_is_removed_is_refused_at_once(
    serve: Serve, webs: list[HttpBackend]
) -> None:
    members = {"members": [member_of(webs[0])]}
    server = serve({}, members)
    other = free_port()
    server.change({"protocol_port": other}, members)
    assert refused(server.port)
    assert get(other).body == b"one"
