"""Messages for the tests, small and valid; each test changes the one thing it is about."""

from __future__ import annotations

from typing import Any

from libra_messages.balancer import LoadBalancer
from libra_messages.worker import Update, parse


def node(last: int = 1, **fields: Any) -> dict[str, Any]:
    return {"address": f"10.0.0.{last}", "port": 80, **fields}


def balancer(protocol: str = "HTTP", nodes: Any = None, **fields: Any) -> dict[str, Any]:
    return {"protocol": protocol, "nodes": [node()] if nodes is None else nodes, **fields}


def update(*balancers: Any, **fields: Any) -> dict[str, Any]:
    return {"hpcs_action": "UPDATE", "loadbalancers": list(balancers), **fields}


def parsed(*balancers: Any) -> tuple[LoadBalancer, ...]:
    request = parse(update(*balancers), max_nodes=100)
    assert isinstance(request, Update)
    return request.loadbalancers
