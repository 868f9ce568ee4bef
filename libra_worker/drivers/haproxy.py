"""HAProxy as a driver: typed messages in, the engine's model out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from typing_extensions import override

from libra_haproxy import model
from libra_haproxy.errors import LoadBalancerDeleted, NoLoadBalancer
from libra_haproxy.instance import Instance
from libra_messages import fields
from libra_messages.balancer import LoadBalancer, Monitor, Node
from libra_messages.worker import Update
from libra_worker.drivers.base import (
    DeletedError,
    Driver,
    LbStatus,
    NodeStatus,
    NoLoadBalancerError,
    Totals,
)

_ALGORITHMS = {
    fields.Algorithm.ROUND_ROBIN: model.Algorithm.ROUND_ROBIN,
    fields.Algorithm.LEAST_CONNECTIONS: model.Algorithm.LEAST_CONNECTIONS,
}
_MONITORS = {
    fields.MonitorType.CONNECT: model.MonitorType.CONNECT,
    fields.MonitorType.HTTP: model.MonitorType.HTTP,
}


class HaproxyDriver(Driver):
    """Drives one Instance in the name of `door`, which other doors are told."""

    def __init__(self, *, instance: Instance, door: str) -> None:
        self._instance = instance
        self._door = door

    @override
    def open(self) -> None:
        self._instance.open(self._door)

    @override
    def close(self) -> None:
        self._instance.close()

    @override
    def look(self) -> None:
        self._instance.look()

    @override
    def update(self, request: Update) -> LbStatus:
        return LbStatus(self._instance.apply(to_model(request)).status)

    @override
    def suspend(self) -> LbStatus:
        with _in_our_words():
            return LbStatus(self._instance.suspend().status)

    @override
    def enable(self) -> LbStatus:
        with _in_our_words():
            return LbStatus(self._instance.enable().status)

    @override
    def delete(self) -> tuple[Totals, ...]:
        return tuple(
            Totals(
                protocol=protocol.upper(),
                bytes_in=traffic.bytes_in,
                bytes_out=traffic.bytes_out,
                sessions=traffic.sessions,
            )
            for protocol, traffic in self._instance.delete().traffic.items()
        )

    @override
    def stats(self) -> tuple[LbStatus, tuple[NodeStatus, ...]]:
        with _in_our_words():
            state = self._instance.must_exist()
            return LbStatus(state.status), tuple(
                NodeStatus(
                    id=server.node_id,
                    address=server.address,
                    port=server.port,
                    status=server.status,
                )
                for server in self._instance.statuses()
            )

    @override
    def lb_status(self) -> LbStatus | None:
        status = self._instance.state.status
        return None if status is model.Status.NONE else LbStatus(status)

    @override
    def healthy(self) -> bool | None:
        if self._instance.state.model is None:
            return None
        return self._instance.answers()

    @override
    def describe(self) -> Mapping[str, object]:
        state = self._instance.state
        return {"generation": state.generation, "restarts": self._instance.deaths}


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


@contextmanager
def _in_our_words() -> Iterator[None]:
    """Raise the interface's errors for the engine's."""
    try:
        yield
    except NoLoadBalancer as error:
        raise NoLoadBalancerError(str(error)) from error
    except LoadBalancerDeleted as error:
        raise DeletedError(str(error)) from error
