"""Options of listeners, but for those of TLS."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

import pytest

from tests.support.options.registry import Refusal, by_kernel, served
from tests.support.options.stage import Stage
from tests.support.ports import free_port
from tests.support.wait import until

KIND = "listener"
TCP = {"protocol": "TCP"}


@served(
    KIND,
    "protocol HTTP",
    passes="a request of HTTP",
    fails="what is no HTTP: 400",
)
def protocol_http(stage: Stage) -> None:
    stage.simple(stage.web("one"))
    assert stage.get().body == b"one"
    with stage.connect() as opened:
        opened.sendall(b"EHLO example.org\r\n\r\n")
        assert opened.recv(100).split()[1] == b"400"


@served(
    KIND,
    "protocol TCP",
    passes="bytes of any protocol, both ways",
    fails="a connection whose members are dead: closed",
)
def protocol_tcp(stage: Stage) -> None:
    stage.simple(stage.echo(), front=TCP, behind=TCP)
    with stage.connect() as opened:
        opened.sendall(b"\0 any \r\n")
        assert opened.recv(100) == b"\0 any \r\n"
    stage.simple(stage.dead(), front=TCP, behind=TCP)
    with stage.connect() as opened:
        opened.sendall(b"x")
        assert _ended(opened)


@served(
    KIND,
    "protocol HTTPS",
    passes="TLS that a member ends itself",
    fails="no TLS: the member does not take it",
)
def protocol_https(stage: Stage) -> None:
    from tests.support.octavia_tls import client

    https = {"protocol": "HTTPS"}
    stage.simple(stage.tls("one"), front=https, behind=https)
    assert stage.get(context=client()).body == b"one"
    with stage.connect() as opened:
        opened.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert not opened.recv(100).startswith(b"HTTP/1.1 200")


@served(
    KIND,
    "protocol PROMETHEUS",
    passes="GET /metrics: the metrics of the load balancer in Octavia's words",
    fails="a request from an address that is not allowed: closed",
    refusal=Refusal({"protocol": "PROMETHEUS", "hsts_max_age": 10}, by="Octavia"),
)
def protocol_prometheus(stage: Stage) -> None:
    stage.serve(
        {
            "listeners": [
                {
                    "protocol": "PROMETHEUS",
                    "protocol_port": stage.port,
                    "allowed_cidrs": [f"{stage.near}/32"],
                }
            ]
        }
    )
    stage.soon(200, path="/metrics")
    lines = stage.get("/metrics").body.decode().splitlines()
    assert any(line.startswith("octavia_loadbalancer_connections_total ") for line in lines)
    assert any(line.startswith('octavia_listener_status{listener="') for line in lines)
    assert not any("haproxy_" in line.split("{")[0] for line in lines if line[0] != "#")
    with pytest.raises(OSError):
        stage.get("/metrics", source=stage.far)


by_kernel(
    KIND,
    "protocol UDP",
    passes="a datagram, and the answer to it",
    fails="a datagram once the listener is gone: no answer",
    by="test_datagrams_go_to_the_members_of_the_tree_as_soon_as_it_is_told",
    refusal=Refusal({"protocol": "UDP"}, "protocol.*needs IP_VS"),
)
by_kernel(
    KIND,
    "protocol SCTP",
    passes="an association",
    fails="one once its listener is gone",
    by="test_associations_of_sctp_go_to_the_members_that_answer",
    refusal=Refusal({"protocol": "SCTP"}, "protocol.*needs IP_VS"),
)


@served(
    KIND,
    "protocol_port",
    passes="a request at the port",
    fails="a connection to another port: refused",
    refusal=Refusal({"protocol_port": 0}, by="Octavia"),
)
def protocol_port(stage: Stage) -> None:
    stage.simple(stage.web("one"))
    assert stage.get().body == b"one"
    with pytest.raises(ConnectionRefusedError):
        stage.get(port=free_port())


@served(
    KIND,
    "admin_state_up",
    passes="a request while it is up",
    fails="a connection while it is down",
    refusal=Refusal({"admin_state_up": "perhaps"}, by="Octavia"),
)
def admin_state_up(stage: Stage) -> None:
    web = stage.web("one")
    stage.simple(web)
    assert stage.get().body == b"one"
    stage.simple(web, front={"admin_state_up": False})
    with pytest.raises(OSError):
        stage.get()


@served(
    KIND,
    "default_pool_id",
    passes="a request of a listener that has one",
    fails="a request of one that has none: 503",
    refusal=Refusal({"default_pool_id": "nothing"}, by="Octavia"),
)
def default_pool_id(stage: Stage) -> None:
    web = stage.web("one")
    stage.simple(web)
    assert stage.get().body == b"one"
    stage.simple(web, front={"default_pool": None})
    assert stage.get().status == 503


@served(
    KIND,
    "connection_limit",
    passes="as many connections as allowed",
    fails="one more: not before another one ends",
    refusal=Refusal({"connection_limit": 0}, "connection_limit"),
)
def connection_limit(stage: Stage) -> None:
    stage.simple(stage.echo(), front={**TCP, "connection_limit": 1}, behind=TCP)
    first, second = stage.connect(), stage.connect()
    for client in (first, second):
        client.sendall(b"x")
    assert first.recv(1) == b"x"
    second.settimeout(0.5)
    with pytest.raises(TimeoutError):
        second.recv(1)
    second.settimeout(15)
    first.close()
    assert second.recv(1) == b"x"
    second.close()


@served(
    KIND,
    "allowed_cidrs",
    passes="a connection from an address in one of them",
    fails="a connection from elsewhere: closed at once",
    refusal=Refusal({"allowed_cidrs": ["192.0.2.0/33"]}, by="Octavia"),
)
def allowed_cidrs(stage: Stage) -> None:
    web = stage.web("one")
    allowed = [f"{stage.near}/32", "198.51.100.0/24"]
    stage.simple(web, front={"allowed_cidrs": allowed})
    assert stage.get().body == b"one"
    with pytest.raises(OSError):
        stage.get(source=stage.far)
    stage.simple(web, front={"allowed_cidrs": ["0.0.0.0/0"]})
    assert stage.get(source=stage.far).body == b"one"


def _silent_side(stage: Stage, field: str) -> None:
    echo = stage.echo()
    stage.simple(echo, front={**TCP, field: 300}, behind=TCP)
    with stage.connect() as opened:
        opened.sendall(b"x")
        assert opened.recv(1) == b"x"
        assert _ended(opened)


for _field in ("timeout_client_data", "timeout_member_data"):

    def _proof(stage: Stage, field: str = _field) -> None:
        _silent_side(stage, field)

    served(
        KIND,
        _field,
        passes="a connection that speaks in time",
        fails="a connection that is silent for longer: closed",
        refusal=Refusal({_field: -1}, by="Octavia"),
    )(_proof)


@served(
    KIND,
    "timeout_member_connect",
    passes="a member that takes connections",
    fails="a member that is silent when it is connected to: 503",
    refusal=Refusal({"timeout_member_connect": -1}, by="Octavia"),
)
def timeout_member_connect(stage: Stage) -> None:
    web = stage.web("one")
    front = {"timeout_member_connect": 100}
    stage.simple(web, front=front)
    assert stage.get().body == b"one"
    # A queue that is full: the kernel leaves further connections without an answer.
    with socket.create_server((stage.home, 0), backlog=0) as full:
        port = full.getsockname()[1]
        kept = [socket.socket() for _ in range(8)]
        for one in kept:
            one.setblocking(False)
            one.connect_ex((stage.home, port))
        stage.simple({"address": stage.home, "protocol_port": port}, front=front)
        assert stage.get().status == 503
        for one in kept:
            one.close()


@served(
    KIND,
    "timeout_tcp_inspect",
    passes="a request of a listener that has one",
    fails="a member that is dead: 503",
    refusal=Refusal({"timeout_tcp_inspect": -1}, by="Octavia"),
    note="as on Octavia's own devices, nothing there is that has to wait for more to inspect",
)
def timeout_tcp_inspect(stage: Stage) -> None:
    front = {"timeout_tcp_inspect": 500}
    stage.simple(stage.web("one"), front=front)
    assert stage.get().body == b"one"
    stage.simple(stage.dead(), front=front)
    assert stage.get().status == 503


def _told(stage: Stage, headers: dict[str, str], **options: Any) -> dict[str, str]:
    """What a member is told of a request that claims something itself."""
    web = stage.web("one")
    stage.simple(web, front={"insert_headers": headers})
    claimed = dict.fromkeys(headers, "claimed")
    assert stage.get(headers=claimed, **options).status == 200
    return dict(web.requests[-1])


@served(
    KIND,
    "insert_headers X-Forwarded-For",
    passes="a request: its member is told the client's address",
    fails="what the client itself claims: stands before it, and alone with `false`",
    refusal=Refusal({"insert_headers": {"X-Forwarded-For": "perhaps"}}, "X-Forwarded-For"),
)
def x_forwarded_for(stage: Stage) -> None:
    web = stage.web("one")
    stage.simple(web, front={"insert_headers": {"X-Forwarded-For": "true"}})
    assert stage.get().status == 200
    assert web.requests[-1]["X-Forwarded-For"] == stage.near
    stage.simple(web, front={"insert_headers": {"X-Forwarded-For": "false"}})
    assert stage.get().status == 200
    assert "X-Forwarded-For" not in web.requests[-1]


@served(
    KIND,
    "insert_headers X-Forwarded-Port",
    passes="a request: its member is told the listener's port (`true`), or the one given",
    fails="what the client itself claims: replaced",
    refusal=Refusal({"insert_headers": {"X-Forwarded-Port": "0"}}, "X-Forwarded-Port"),
)
def x_forwarded_port(stage: Stage) -> None:
    told = _told(stage, {"X-Forwarded-Port": "true"})
    assert told["X-Forwarded-Port"] == str(stage.port)
    assert _told(stage, {"X-Forwarded-Port": "8443"})["X-Forwarded-Port"] == "8443"
    assert _told(stage, {"X-Forwarded-Port": "false"})["X-Forwarded-Port"] == "claimed"


@served(
    KIND,
    *(f"insert_headers {name}" for name in ("X-Forwarded-IP", "X-Client-IP", "X-Real-IP")),
    passes="a request: its member is told the client's address alone",
    fails="what the client itself claims: replaced",
    refusal=Refusal({"insert_headers": {"X-Real-IP": "perhaps"}}, "X-Real-IP"),
    note="newer than the provider driver guide, and not done by Octavia's own driver",
)
def address_of_client(stage: Stage) -> None:
    names = ("X-Forwarded-Ip", "X-Client-Ip", "X-Real-Ip")
    told = _told(stage, {name[:-1] + "P": "true" for name in names})
    assert {told[name] for name in names} == {stage.near}


@served(
    KIND,
    "insert_headers X-Forwarded-Proto",
    passes="a request: its member is told `http` (or `https` where TLS ends here)",
    fails="what the client itself claims: replaced",
    refusal=Refusal({"insert_headers": {"X-Forwarded-Proto": "gopher"}}, "X-Forwarded-Proto"),
)
def x_forwarded_proto(stage: Stage) -> None:
    from tests.support.octavia_tls import client, container

    assert _told(stage, {"X-Forwarded-Proto": "true"})["X-Forwarded-Proto"] == "http"
    web = stage.web("two")
    stage.simple(
        web,
        front={
            "protocol": "TERMINATED_HTTPS",
            "default_tls_container_ref": "www",
            "insert_headers": {"X-Forwarded-Proto": "true"},
        },
        secrets={"www": container("www.example.org")},
    )
    assert stage.get(context=client()).status == 200
    assert web.requests[-1]["X-Forwarded-Proto"] == "https"


def _ended(opened: socket.socket) -> bool:
    """Whether the other side closes a connection, in whatever way."""
    with contextlib.suppress(ConnectionError):
        until(lambda: opened.recv(100) == b"", "it is closed", seconds=15)
    return True
