"""The rules of an UPDATE message that look at more than one field.

They read the folded message and not the models, and pass over any value that its own field
refuses, so that a message with one bad port is still told about its duplicate ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from libra_messages.balancer import DEFAULT_PORTS
from libra_messages.faults import Fault
from libra_messages.fields import Protocol
from libra_messages.readers import Refused, address, choice, flag, node_id, number

T = TypeVar("T")

_PAIR = "if two are given, one must be HTTP and the other TCP (or GALERA)"
_port = number(1, 65535)
_seconds = number(1, 3600)
_protocol = choice(Protocol)


def faults_of_update(folded: dict[str, Any], max_nodes: int) -> Iterator[Fault]:
    """Yield the faults of a folded UPDATE message that no single field has.

    `max_nodes` is the limit of nodes in the whole message. Source: worker messages, "UPDATE
    Message": one load balancer, or two of which one is HTTP and the other TCP.
    """
    balancers = folded.get("loadbalancers")
    if not isinstance(balancers, list):
        return
    if not 1 <= len(balancers) <= 2:
        found = len(balancers) or "none"
        yield Fault("loadbalancers", f"must be one or two load balancers, got {found}")
    total = sum(len(_nodes(balancer)) for balancer in balancers)
    if total > max_nodes:
        reason = f"at most {max_nodes} nodes are taken in one message, got {total}"
        yield Fault("loadbalancers", reason)
    yield from _of_the_pair(balancers)
    for position, balancer in enumerate(balancers[:10]):
        if isinstance(balancer, dict):
            yield from _of_a_balancer(balancer, f"loadbalancers[{position}]", max_nodes)


def _of_the_pair(balancers: list[Any]) -> Iterator[Fault]:
    """Two load balancers: HTTP beside TCP, on two ports."""
    if len(balancers) != 2 or not all(isinstance(balancer, dict) for balancer in balancers):
        return
    first, second = (_value(_protocol, balancer, "protocol") for balancer in balancers)
    if first is None or second is None:
        ports = [_value(_port, balancer, "port") for balancer in balancers]
    else:
        ports = [
            _value(_port, balancer, "port", DEFAULT_PORTS[protocol])
            for balancer, protocol in zip(balancers, (first, second), strict=True)
        ]
        if (first is Protocol.HTTP) == (second is Protocol.HTTP):
            both = f"two are {first}" if first is second else f"one is {first}, one is {second}"
            yield Fault("loadbalancers", f"{_PAIR}: {both}")
    if ports[0] is not None and ports[0] == ports[1]:
        yield Fault("loadbalancers[1].port", f"port {ports[0]} is that of loadbalancers[0] too")


def _of_a_balancer(balancer: dict[str, Any], path: str, max_nodes: int) -> Iterator[Fault]:
    nodes = _nodes(balancer)
    if not nodes and isinstance(balancer.get("nodes"), list):
        yield Fault(f"{path}.nodes", "must hold at least one node")
    yield from _of_the_nodes(nodes[:max_nodes], f"{path}.nodes")
    if _value(_protocol, balancer, "protocol") is Protocol.GALERA:
        yield from _of_galera(nodes, f"{path}.nodes")
    monitor = balancer.get("monitor")
    if isinstance(monitor, dict):
        delay = _value(_seconds, monitor, "delay", 30)
        timeout = _value(_seconds, monitor, "timeout")
        if delay is not None and timeout is not None and timeout > delay:
            reason = f"cannot be greater than delay, got {timeout} with a delay of {delay}"
            yield Fault(f"{path}.monitor.timeout", reason)


def _of_the_nodes(nodes: list[Any], path: str) -> Iterator[Fault]:
    """No id twice, no address and port twice."""
    ids: dict[str, int] = {}
    places: dict[tuple[str, int], int] = {}
    for position, node in enumerate(nodes):
        if not isinstance(node, dict):
            continue
        found = _value(node_id, node, "id")
        if found is not None:
            first = ids.setdefault(str(found), position)
            if first != position:
                reason = f"{str(found)!r} is the id of nodes[{first}] too"
                yield Fault(f"{path}[{position}].id", reason)
        host, port = _value(address, node, "address"), _value(_port, node, "port")
        if host is not None and port is not None:
            first = places.setdefault((host, port), position)
            if first != position:
                reason = f"address {host} port {port} is that of nodes[{first}] too"
                yield Fault(f"{path}[{position}]", reason)


def _of_galera(nodes: list[Any], path: str) -> Iterator[Fault]:
    """One writer, where the message says which nodes are backup."""
    if not all(isinstance(node, dict) for node in nodes):
        return
    if not any("backup" in node for node in nodes):
        return
    flags = [_value(flag, node, "backup", False) for node in nodes]
    writers = flags.count(False)
    if None in flags or writers == 1:
        return
    if writers:
        reason = f"all nodes but one must be backup, {writers} are not"
    else:
        reason = "one node must not be backup, all are"
    yield Fault(path, f"GALERA takes one writer: {reason}")


def _nodes(balancer: Any) -> list[Any]:
    """Return the nodes of a load balancer, none where there is no list of them."""
    nodes = balancer.get("nodes") if isinstance(balancer, dict) else None
    return nodes if isinstance(nodes, list) else []


def _value(
    read: Callable[[Any], T], folded: dict[str, Any], name: str, default: Any = None
) -> T | None:
    """Read a field, or `None` where it is absent or its own reader refuses it."""
    value = folded.get(name, default)
    try:
        return None if value is None else read(value)
    except Refused:
        return None
