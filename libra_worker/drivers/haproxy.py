"""HAProxy as a driver: typed messages in, the engine's model out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from typing_extensions import override

from libra_haproxy import model
from libra_haproxy.errors import LoadBalancerDeleted, NoLoadBalancer
from libra_haproxy.instance import Instance
from libra_messages.worker import Update
from libra_translate.worker import to_model
from libra_worker.drivers.base import (
    DeletedError,
    Driver,
    LbStatus,
    NodeStatus,
    NoLoadBalancerError,
    Totals,
)


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
            state, servers = self._instance.statuses()
            return LbStatus(state.status), tuple(
                NodeStatus(
                    id=server.node_id,
                    address=server.address,
                    port=server.port,
                    status=server.status,
                )
                for server in servers
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


@contextmanager
def _in_our_words() -> Iterator[None]:
    """Raise the interface's errors for the engine's."""
    try:
        yield
    except NoLoadBalancer as error:
        raise NoLoadBalancerError(str(error)) from error
    except LoadBalancerDeleted as error:
        raise DeletedError(str(error)) from error
