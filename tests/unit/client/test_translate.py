"""From an UPDATE message to the engine's model, as worker and client both see it."""

from __future__ import annotations

from typing import Any

from libra_haproxy import model
from libra_messages.worker import Update, parse
from libra_translate.worker import to_model


def translated(**balancer: Any) -> model.LoadBalancer:
    request = parse({"hpcs_action": "UPDATE", "loadbalancers": [balancer]}, max_nodes=10)
    assert isinstance(request, Update)
    (found,) = to_model(request).load_balancers
    return found


def test_a_message_with_nothing_optional_has_the_defaults() -> None:
    # Given the least that an UPDATE may say / Then the model has the defaults of the messages
    found = translated(protocol="http", nodes=[{"address": "10.0.0.1", "port": "81"}])
    assert found == model.LoadBalancer(
        protocol=model.Protocol.HTTP,
        port=80,
        servers=(model.Server(address="10.0.0.1", port=81),),
    )


def test_every_field_of_a_message_is_in_the_model() -> None:
    # Given an UPDATE that says all / Then the model says the same
    found = translated(
        id=15,
        protocol="TCP",
        port=4000,
        algorithm="least_connections",
        monitor={"type": "http", "delay": 9, "timeout": 8, "attempts": 7, "path": "/x"},
        options={
            "client_timeout": 1,
            "server_timeout": 2,
            "connect_timeout": 3,
            "connect_retries": 4,
        },
        nodes=[
            {
                "id": "a",
                "address": "::1",
                "port": 5,
                "weight": 6,
                "condition": "disabled",
                "backup": "true",
            },
            {"id": 2, "address": "10.0.0.2", "port": 5},
        ],
    )
    assert found == model.LoadBalancer(
        protocol=model.Protocol.TCP,
        port=4000,
        algorithm=model.Algorithm.LEAST_CONNECTIONS,
        monitor=model.Monitor(
            type=model.MonitorType.HTTP, delay=9, timeout=8, attempts=7, path="/x"
        ),
        timeouts=model.Timeouts(client=1, server=2, connect=3),
        retries=4,
        label="15",
        servers=(
            model.Server(address="::1", port=5, node_id="a", weight=6, enabled=False, backup=True),
            model.Server(address="10.0.0.2", port=5, node_id=2),
        ),
    )


def test_galera_is_tcp_with_one_writer_and_without_stickiness() -> None:
    # Given a Galera cluster / Then clients go to its writer whenever that is up
    nodes = [{"address": f"10.0.0.{last}", "port": 3306} for last in (1, 2)]
    found = translated(protocol="GALERA", nodes=nodes)
    assert (found.protocol, found.port, found.sticky) == (model.Protocol.TCP, 3306, False)
    assert [server.backup for server in found.servers] == [False, True]
