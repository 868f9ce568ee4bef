from __future__ import annotations

import pytest

from libra_haproxy.model import LoadBalancer, Model, Protocol, Server
from libra_haproxy.readings import Activity
from libra_haproxy.statuses import rates, server_statuses

LB = LoadBalancer(
    protocol=Protocol.HTTP,
    port=80,
    servers=(
        Server(address="192.0.2.1", port=81, node_id="7", number=1),
        Server(address="192.0.2.2", port=82, node_id=None, number=2),
    ),
)
MODEL = Model(load_balancers=(LB,))
FIRST, SECOND = ((LB.backend, server.name) for server in LB.servers)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("UP", "UP"),
        ("UP 1/2", "UP"),
        ("no check", "UP"),
        ("DOWN 1/2", "DOWN"),
        ("MAINT (via b/s)", "MAINT"),
        ("DRAIN", "DRAIN"),
        ("NOLB 1/2", "NOLB"),
    ],
)
def test_haproxys_words_are_told_as_one(said: str, told: str) -> None:
    found = Activity(servers={FIRST: said, SECOND: "UP"}, rates={})
    one, other = server_statuses(MODEL, found, suspended=False)
    assert (one.node_id, one.address, one.port, one.status) == ("7", "192.0.2.1", 81, told)
    assert (other.node_id, other.status) == ("", "UP")


def test_a_server_that_haproxy_does_not_name_is_down_or_in_maintenance_while_suspended() -> None:
    found = Activity(servers={}, rates={})
    for suspended, told in ((False, "DOWN"), (True, "MAINT")):
        statuses = server_statuses(MODEL, found, suspended=suspended)
        assert [one.status for one in statuses] == [told, told]


def test_a_frontend_that_haproxy_does_not_name_has_no_requests() -> None:
    assert rates(MODEL, Activity(servers={}, rates={LB.frontend: 5})) == {Protocol.HTTP: 5}
    assert rates(MODEL, Activity(servers={}, rates={})) == {Protocol.HTTP: 0}
