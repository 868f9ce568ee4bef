"""Options of health monitors."""

from __future__ import annotations

import socket
from typing import Any

from tests.support.options.registry import Refusal, by_kernel, served
from tests.support.options.stage import FAST, Stage
from tests.support.wait import until

KIND = "health monitor"
METHODS = ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")
HEALTH = {"type": "HTTP", "url_path": "/health", **FAST}


def watched(stage: Stage, *backends: Any, **monitor: Any) -> None:
    """A listener with a pool that is watched so."""
    stage.simple(*backends, behind={"healthmonitor": {**HEALTH, **monitor}})


@served(
    KIND,
    "type HTTP",
    "url_path",
    passes="a member that answers as expected at the path",
    fails="one that does not: no request, 503 without another one",
    refusal=Refusal({"url_path": "/a'b"}, "url_path"),
)
def type_http(stage: Stage) -> None:
    one = stage.health("one")
    watched(stage, one, url_path="/health/%20?deep=1&x")
    until(lambda: one.checked, "it is asked")
    assert one.checked[0].startswith("GET /health/%20?deep=1&x HTTP/1.0\r\n")
    assert stage.get().body == b"one"
    one.status = 500
    stage.soon(503)
    one.status = 200
    stage.soon(200)


@served(
    KIND,
    "type HTTPS",
    "type TLS-HELLO",
    passes="a member that speaks TLS",
    fails="one that does not: no request",
)
def type_tls(stage: Stage) -> None:
    from tests.support.octavia_tls import client

    https = {"protocol": "HTTPS"}
    for kind in ("HTTPS", "TLS-HELLO"):
        good, bad = stage.tls("good"), stage.web("bad")
        monitor = {"type": kind, "url_path": "/", **FAST}
        if kind == "TLS-HELLO":
            del monitor["url_path"]
        stage.simple(good, bad, front=https, behind={**https, "healthmonitor": monitor})

        def all_good() -> bool:
            try:
                return stage.bodies(4, context=client()) == {"good": 4}
            except OSError:
                return False

        until(all_good, f"only TLS serves after {kind}")


@served(
    KIND,
    "type TCP",
    passes="a member that takes connections",
    fails="one that does not: no request",
)
def type_tcp(stage: Stage) -> None:
    dead = stage.dead()
    one = stage.web("one")
    stage.simple(one, dead, behind={"healthmonitor": {"type": "TCP", **FAST}})
    until(lambda: stage.bodies(4) == {"one": 4}, "the dead one is out")


@served(
    KIND,
    "type PING",
    passes="a member whose host answers",
    fails="one whose host is silent: no request",
)
def type_ping(stage: Stage) -> None:
    one = stage.web("one")
    silent = {"address": stage.silent, "protocol_port": one.port}
    stage.simple(one, silent, behind={"healthmonitor": {"type": "PING", **FAST}})
    until(lambda: stage.bodies(4) == {"one": 4}, "the silent one is out")


by_kernel(
    KIND,
    "type UDP-CONNECT",
    passes="a member that does not refuse a datagram",
    fails="one that does: no datagram",
    by="test_datagrams_go_to_the_members_of_the_tree_as_soon_as_it_is_told",
    refusal=Refusal({"type": "UDP-CONNECT"}, by="Octavia"),
)
by_kernel(
    KIND,
    "type SCTP",
    passes="a member that makes an association",
    fails="one that does not: none of clients",
    by="test_associations_of_sctp_go_to_the_members_that_answer",
    refusal=Refusal({"type": "SCTP"}, by="Octavia"),
)


@served(
    KIND,
    "delay",
    "timeout",
    "max_retries",
    "max_retries_down",
    passes="a member that answers in time, as often as asked for",
    fails="one that is silent for longer than the timeout: no request",
    refusal=Refusal({"delay": 0}, "delay"),
)
def times(stage: Stage) -> None:
    one = stage.health("one")
    with socket.create_server((stage.home, 0), backlog=64) as silent:
        deaf = {"address": stage.home, "protocol_port": silent.getsockname()[1]}
        front = {"timeout_member_data": 500}
        monitor = {**HEALTH, "delay": 2, "max_retries": 2, "max_retries_down": 2}
        stage.simple(one, deaf, front=front, behind={"healthmonitor": monitor})
        until(lambda: stage.bodies(4) == {"one": 4}, "the deaf one is out")
    one.status = 500
    stage.soon(503)
    before = len(one.checked)
    one.status = 200
    stage.soon(200)
    assert len(one.checked) >= before + 2


@served(
    KIND,
    "http_method",
    passes="a member that answers the method",
    fails="one that answers it otherwise: 503",
    refusal=Refusal({"http_method": "BREW"}, by="Octavia"),
)
def http_method(stage: Stage) -> None:
    for method in METHODS:
        one = stage.health("one")
        watched(stage, one, http_method=method)
        until(lambda one=one: one.checked, f"it is asked by {method}")  # type: ignore[misc]
        assert one.checked[0].startswith(f"{method} /health ")
        assert stage.get().body == b"one"
    one.status = 405
    stage.soon(503)


@served(
    KIND,
    "http_version",
    "domain_name",
    passes="a member that is asked by the version, for the host",
    fails="one that does not answer that as expected: 503",
    refusal=Refusal({"http_version": 1.1, "domain_name": "a'b"}, by="Octavia"),
)
def http_version(stage: Stage) -> None:
    one = stage.health("one")
    watched(stage, one, http_version=1.1, domain_name="www.example.org")
    until(lambda: one.checked, "it is asked")
    head = one.checked[0].lower().split("\r\n")
    assert head[0] == "get /health http/1.1"
    assert "host: www.example.org" in head
    two = stage.health("two", status=404)
    watched(stage, two, http_version=1.0)
    stage.soon(503)
    assert two.checked[0].startswith("GET /health HTTP/1.0\r\n")


@served(
    KIND,
    "expected_codes",
    passes="a member that answers one of them, in a list or in a range",
    fails="one that answers another: 503",
    refusal=Refusal({"expected_codes": "200 or so"}, by="Octavia"),
)
def expected_codes(stage: Stage) -> None:
    one = stage.health("one", status=302)
    for codes, status in (("200", 503), ("301-303", 200), ("200-204", 503), ("200,302", 200)):
        watched(stage, one, expected_codes=codes)
        stage.soon(status)


@served(
    KIND,
    "admin_state_up",
    passes="a member that nobody checks while the monitor is down",
    fails="one that is checked and fails while it is up: 503",
    refusal=Refusal({"admin_state_up": "perhaps"}, by="Octavia"),
)
def admin_state_up(stage: Stage) -> None:
    one = stage.health("one", status=500)
    watched(stage, one)
    stage.soon(503)
    # Sick as it is, it serves once nobody asks.
    watched(stage, one, admin_state_up=False)
    stage.soon(200)
