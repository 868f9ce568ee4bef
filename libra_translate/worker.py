"""A worker's UPDATE message in the engine's own terms.

This stands in a room of its own because two doors need it, the worker to do what a message says
and the client to show what a node would make of it, and doors do not import each other. The
messages are pure and know no engine, the engine knows no messages; here, and only here, both are
known. Nothing here reads or writes anything.
"""

from __future__ import annotations

from libra_haproxy import model
from libra_messages import fields
from libra_messages.balancer import LoadBalancer, Monitor, Node
from libra_messages.worker import Update

_ALGORITHMS = {
    fields.Algorithm.ROUND_ROBIN: model.Algorithm.ROUND_ROBIN,
    fields.Algorithm.LEAST_CONNECTIONS: model.Algorithm.LEAST_CONNECTIONS,
}
_MONITORS = {
    fields.MonitorType.CONNECT: model.MonitorType.CONNECT,
    fields.MonitorType.HTTP: model.MonitorType.HTTP,
}


def to_model(request: Update) -> model.Model:
    """Translate a checked UPDATE into the engine's terms."""
    return model.Model(load_balancers=tuple(_load_balancer(lb) for lb in request.loadbalancers))


def _load_balancer(lb: LoadBalancer) -> model.LoadBalancer:
    http = lb.protocol is fields.Protocol.HTTP
    return model.LoadBalancer(
        protocol=model.Protocol.HTTP if http else model.Protocol.TCP,
        port=lb.port,
        servers=tuple(_server(node) for node in lb.nodes),
        algorithm=_ALGORITHMS[lb.algorithm],
        monitor=None if lb.monitor is None else _monitor(lb.monitor),
        timeouts=model.Timeouts(
            client=lb.options.client_timeout,
            server=lb.options.server_timeout,
            connect=lb.options.connect_timeout,
        ),
        retries=lb.options.connect_retries,
        # A Galera cluster has one writer: clients go back to it as soon as it is up again.
        sticky=lb.protocol is not fields.Protocol.GALERA,
        label=None if lb.id is None else str(lb.id),
    )


def _server(node: Node) -> model.Server:
    return model.Server(
        address=node.address,
        port=node.port,
        node_id=node.id_as_sent,
        weight=node.weight,
        enabled=node.condition is fields.Condition.ENABLED,
        backup=node.backup,
    )


def _monitor(monitor: Monitor) -> model.Monitor:
    return model.Monitor(
        type=_MONITORS[monitor.type],
        delay=monitor.delay,
        timeout=monitor.timeout,
        attempts=monitor.attempts,
        path=monitor.path,
    )
