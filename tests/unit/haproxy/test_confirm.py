from __future__ import annotations

from dataclasses import replace

import pytest

from libra_haproxy.confirm import differences
from libra_haproxy.model import LoadBalancer, Model, Protocol, Server
from libra_haproxy.readings import ServerRow

SERVER = Server(address="2001:db8::1", port=80, node_id=7, number=3, weight=2)
MODEL = Model(load_balancers=(LoadBalancer(protocol=Protocol.HTTP, port=80, servers=(SERVER,)),))
ROW = ServerRow("http-servers", "id-7", 3, "2001:DB8:0::1", 80, 2, maintenance=False)
OPEN = {"http-in": "OPEN"}


def test_what_is_served_as_asked_is_in_force() -> None:
    assert differences(MODEL, suspended=False, frontends=OPEN, servers=[ROW]) == []


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"number": 4}, "number 4"),
        ({"address": "2001:db8::2"}, "2001:db8::2"),
        ({"port": 81}, "port 81"),
        ({"weight": 1}, "weight 1"),
        ({"maintenance": True}, "in maintenance"),
        ({"name": "id-8"}, "id-7 is missing"),
        ({"backend": "tcp-servers"}, "tcp-servers is still there"),
    ],
)
def test_every_lie_of_haproxy_is_found(change: dict[str, object], word: str) -> None:
    row = replace(ROW, **change)  # type: ignore[arg-type]
    found = differences(MODEL, suspended=False, frontends=OPEN, servers=[row])
    assert word in "; ".join(found)


def test_a_server_too_many_is_found() -> None:
    rows = [ROW, replace(ROW, name="id-8", number=9)]
    found = differences(MODEL, suspended=False, frontends=OPEN, servers=rows)
    assert found == ["http-servers/id-8 is still there"]


@pytest.mark.parametrize("frontends", [{}, {"http-in": "STOP"}])
def test_a_frontend_that_does_not_listen_is_found(frontends: dict[str, str]) -> None:
    found = differences(MODEL, suspended=False, frontends=frontends, servers=[ROW])
    assert found == ["http-in is not open"]


def test_a_frontend_that_was_left_out_must_be_gone() -> None:
    frontends = {**OPEN, "tcp-in": "OPEN"}
    found = differences(MODEL, suspended=False, frontends=frontends, servers=[ROW])
    assert found == ["tcp-in is still open"]


def test_suspended_means_that_nothing_is_open() -> None:
    assert differences(MODEL, suspended=True, frontends={}, servers=[]) == []
    found = differences(MODEL, suspended=True, frontends=OPEN, servers=[ROW])
    assert found == ["http-in is still open"]
