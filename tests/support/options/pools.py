"""Options of pools, but for those of TLS."""

from __future__ import annotations

import contextlib
import http.client
import socket

from tests.support.options.registry import Refusal, by_kernel, served
from tests.support.options.stage import Stage

KIND = "pool"
TCP = {"protocol": "TCP"}
HTTPS = {"protocol": "HTTPS"}


@served(
    KIND,
    "protocol HTTP",
    passes="a request of a listener of HTTP",
    fails="one whose members are dead: 503",
)
def protocol_http(stage: Stage) -> None:
    stage.simple(stage.web("one"))
    assert stage.get().body == b"one"
    stage.simple(stage.dead())
    assert stage.get().status == 503


@served(
    KIND,
    "protocol TCP",
    "protocol HTTPS",
    passes="bytes of any protocol of a listener of TCP or HTTPS",
    fails="a connection whose members are dead: closed",
)
def protocol_tcp(stage: Stage) -> None:
    for front, behind in ((TCP, TCP), (HTTPS, HTTPS), (HTTPS, TCP), (TCP, HTTPS)):
        stage.simple(stage.echo(), front=front, behind=behind)
        with stage.connect() as opened:
            opened.sendall(b"\0any\r\n")
            assert opened.recv(100) == b"\0any\r\n"
    stage.simple(stage.dead(), front=TCP, behind=HTTPS)
    with stage.connect() as opened:
        opened.settimeout(15)
        with contextlib.suppress(ConnectionError):
            assert opened.recv(100) == b""


def _first_bytes(stage: Stage, protocol: str) -> bytes:
    stage.simple(stage.echo(), front=TCP, behind={"protocol": protocol})
    with stage.connect() as opened:
        opened.settimeout(15)
        opened.sendall(b"hello")
        said = b""
        while b"hello" not in said:
            said += opened.recv(4096)
    return said


@served(
    KIND,
    "protocol PROXY",
    "protocol PROXYV2",
    passes="a member that is told the client's address first",
    fails="a member that does not know the protocol: its answer is none of HTTP, 502",
)
def protocol_proxy(stage: Stage) -> None:
    assert _first_bytes(stage, "PROXY").startswith(f"PROXY TCP4 {stage.near} ".encode())
    said = _first_bytes(stage, "PROXYV2")
    assert said.startswith(b"\r\n\r\n\0\r\nQUIT\n\x21\x11")
    assert said[16:20] == socket.inet_aton(stage.near)
    for protocol in ("PROXY", "PROXYV2"):
        stage.simple(stage.web("one"), behind={"protocol": protocol})
        assert stage.get().status >= 400


by_kernel(
    KIND,
    "protocol UDP",
    passes="datagrams: each member as often as its weight",
    fails="a member that is down or of weight 0: none",
    by="test_datagrams_go_to_the_members_of_the_tree_as_soon_as_it_is_told",
    refusal=Refusal({"protocol": "UDP"}, "protocol.*needs IP_VS"),
)
by_kernel(
    KIND,
    "protocol SCTP",
    passes="an association with a member that answers",
    fails="a member that does not: none",
    by="test_associations_of_sctp_go_to_the_members_that_answer",
    refusal=Refusal({"protocol": "SCTP"}, "protocol.*needs IP_VS"),
)


@served(
    KIND,
    "lb_algorithm ROUND_ROBIN",
    passes="requests: each member in turn",
    fails="a member of weight 0: none",
    refusal=Refusal({"lb_algorithm": "RANDOM"}, by="Octavia"),
)
def round_robin(stage: Stage) -> None:
    webs = [stage.web(name) for name in ("one", "two", "three")]
    none = stage.member(webs[2], weight=0)
    stage.simple(webs[0], webs[1], none)
    assert stage.bodies(6) == {"one": 3, "two": 3}


@served(
    KIND,
    "lb_algorithm LEAST_CONNECTIONS",
    passes="a connection: the member with the fewest",
    fails="a member that is busy: none while another one is free",
)
def least_connections(stage: Stage) -> None:
    one, two = stage.echo(), stage.echo()
    stage.simple(one, two, front=TCP, behind={**TCP, "lb_algorithm": "LEAST_CONNECTIONS"})
    opened = [stage.connect() for _ in range(4)]
    for found in opened:
        found.sendall(b"x")
        assert found.recv(1) == b"x"
    assert (one.accepted, two.accepted) == (2, 2)
    for found in opened:
        found.close()


@served(
    KIND,
    "lb_algorithm SOURCE_IP",
    passes="all requests of one address: the same member",
    fails="the other members: none",
)
def source_ip(stage: Stage) -> None:
    webs = [stage.web(name) for name in ("one", "two", "three")]
    stage.simple(*webs, behind={"lb_algorithm": "SOURCE_IP"})
    assert len(stage.bodies(9)) == 1


@served(
    KIND,
    "lb_algorithm SOURCE_IP_PORT",
    passes="all requests of one connection: the same member",
    fails="connections from other ports: other members",
)
def source_ip_port(stage: Stage) -> None:
    webs = [stage.web(name) for name in ("one", "two", "three")]
    stage.simple(*webs, behind={"lb_algorithm": "SOURCE_IP_PORT"})
    kept = http.client.HTTPConnection(stage.host, stage.port, timeout=15)
    answers = set()
    for _ in range(6):
        kept.request("GET", "/")
        answers.add(kept.getresponse().read())
    kept.close()
    assert len(answers) == 1
    assert len(stage.bodies(30)) == 3


@served(
    KIND,
    "session_persistence SOURCE_IP",
    passes="all requests of one address: the same member",
    fails="without it: other members too",
    refusal=Refusal({"session_persistence": {"type": "MAGIC"}}, by="Octavia"),
)
def sticky_source(stage: Stage) -> None:
    webs = [stage.web(name) for name in ("one", "two", "three")]
    stage.simple(*webs, behind={"session_persistence": {"type": "SOURCE_IP"}})
    assert len(stage.bodies(9)) == 1
    stage.simple(*webs)
    assert len(stage.bodies(9)) == 3


@served(
    KIND,
    "session_persistence HTTP_COOKIE",
    passes="all requests with the cookie: the same member, which does not see it",
    fails="requests without it: other members too",
    refusal=Refusal(
        {"session_persistence": {"type": "HTTP_COOKIE", "cookie_name": "a"}}, by="Octavia"
    ),
)
def sticky_cookie(stage: Stage) -> None:
    webs = [stage.web(name) for name in ("one", "two", "three")]
    stage.simple(*webs, behind={"session_persistence": {"type": "HTTP_COOKIE"}})
    first = stage.get()
    cookie = {"Cookie": first.headers["Set-Cookie"].partition(";")[0]}
    assert stage.bodies(6, headers=cookie) == {first.body.decode(): 6}
    assert all("Cookie" not in sent for web in webs for sent in web.requests)
    assert len(stage.bodies(9)) == 3


@served(
    KIND,
    "session_persistence APP_COOKIE",
    "session_persistence cookie_name",
    passes="all requests with the application's cookie: the member that gave it",
    fails="requests without it: other members too",
    refusal=Refusal(
        {"session_persistence": {"type": "APP_COOKIE", "cookie_name": "a!b"}}, "cookie_name"
    ),
)
def sticky_application(stage: Stage) -> None:
    from tests.support.session_backend import SessionBackend

    webs = [stage.start(SessionBackend(name, stage.home)) for name in ("one", "two")]
    sticky = {"type": "APP_COOKIE", "cookie_name": "sid"}
    stage.simple(*webs, behind={"session_persistence": sticky})
    found = [stage.get() for _ in range(4)]
    assert {one.body for one in found} == {b"one", b"two"}
    for one in found:
        cookie = {"Cookie": one.headers["Set-Cookie"]}
        assert stage.bodies(4, headers=cookie) == {one.body.decode(): 4}


for _field, _value in (("persistence_timeout", 5), ("persistence_granularity", "255.255.0.0")):
    by_kernel(
        KIND,
        f"session_persistence {_field}",
        passes="datagrams of one address or network: all to one member",
        fails="those of another: not bound to that member",
        by="test_clients_of_a_network_stay_with_their_member",
        refusal=Refusal(
            {"session_persistence": {"type": "SOURCE_IP", _field: _value}}, by="Octavia"
        ),
    )


@served(
    KIND,
    "admin_state_up",
    passes="a request while it is up",
    fails="one while it is down: 503",
    refusal=Refusal({"admin_state_up": "perhaps"}, by="Octavia"),
)
def admin_state_up(stage: Stage) -> None:
    web = stage.web("one")
    stage.simple(web)
    assert stage.get().body == b"one"
    stage.simple(web, behind={"admin_state_up": False})
    assert stage.get().status == 503
