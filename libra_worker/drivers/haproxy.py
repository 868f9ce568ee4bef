"""HAProxy as a driver: typed messages in, the engine's model out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from typing_extensions import override

from libra_haproxy import model
from libra_haproxy.errors import EngineError, LoadBalancerDeleted, NoLoadBalancer
from libra_haproxy.history import Entry
from libra_haproxy.instance import Instance
from libra_haproxy.ledger import COLUMNS
from libra_haproxy.logshelf import opened
from libra_haproxy.model import LoadBalancer, Protocol, Server
from libra_haproxy.sealed import Sealed
from libra_messages import fields
from libra_messages.worker import Metrics, Rollback, Update
from libra_translate.worker import to_model
from libra_worker.drivers.base import (
    Activity,
    DeletedError,
    Driver,
    DriverHealth,
    HistoryEntry,
    KeptLoadBalancer,
    KeptNode,
    LbStatus,
    LinesMissed,
    Metered,
    NodeStatus,
    NoLoadBalancerError,
    Stats,
    Totals,
    TrafficReport,
    Updated,
    Volume,
)
from libra_worker.drivers.haproxy_figures import figures


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
    def update(self, request: Update) -> Updated:
        applied = self._instance.apply(to_model(request), generation=request.generation)
        return Updated(lb_status=LbStatus(applied.state.status), superseded=applied.superseded)

    @override
    def rollback(self, request: Rollback) -> LbStatus:
        with _in_our_words():
            state = self._instance.rollback(request.entry, generation=request.generation)
            return LbStatus(state.status)

    @override
    def history(self) -> tuple[HistoryEntry, ...]:
        with _in_our_words():
            return tuple(_history_entry(entry) for entry in self._instance.history())

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
    def stats(self) -> Stats:
        with _in_our_words():
            state, servers, rates = self._instance.activity()
        return Stats(
            lb_status=LbStatus(state.status),
            generation=state.sender_generation,
            nodes=tuple(
                NodeStatus(
                    id=server.node_id,
                    address=server.address,
                    port=server.port,
                    status=server.status,
                )
                for server in servers
            ),
            load_balancers=tuple(
                Activity(
                    protocol=protocol.upper(),
                    requests_per_second=rate,
                )
                for protocol, rate in rates.items()
            ),
        )

    @override
    def metrics(self, request: Metrics) -> TrafficReport:
        with _in_our_words():
            state, report = self._instance.report(ack=request.ack)
        here = {lb.protocol for lb in state.model.load_balancers} if state.model else set()
        return TrafficReport(
            lb_status=LbStatus(state.status),
            report=report.number,
            after=report.after,
            utc_start=report.start,
            utc_end=report.end,
            load_balancers=tuple(
                Metered(
                    protocol=protocol.value,
                    period=_volume(protocol, period),
                    totals=_volume(protocol, report.totals.get(f"{protocol}-in", ())),
                )
                for protocol in Protocol
                # One that an UPDATE took away may have traffic that was never reported.
                if any(period := report.traffic.get(f"{protocol}-in", ())) or protocol in here
            ),
        )

    @contextmanager
    @override
    def logs(
        self, protocol: fields.Protocol, label: str | None, *, seconds: float
    ) -> Iterator[Sequence[SealedLog]]:
        kind = Protocol.HTTP if protocol is fields.Protocol.HTTP else Protocol.TCP
        with _in_our_words(), self._instance.logs(kind, label=label, seconds=seconds) as logs:
            yield [SealedLog(instance=self._instance, log=log) for log in logs]

    @override
    def lines_missed(self) -> LinesMissed | None:
        try:
            lost, dropped = self._instance.lines_missed()
        except EngineError:
            return None
        return LinesMissed(lost=lost, dropped=dropped)

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
    def releases(self) -> tuple[str, str]:
        return self._instance.releases()

    @override
    def renew(self) -> None:
        self._instance.renew()

    @override
    def health(self) -> DriverHealth:
        found = self._instance.standing()
        if found.in_force is None:
            detail = "there is no load balancer"
        else:
            detail = found.why_not or f"generation {found.generation} is in force"
        return DriverHealth(
            ok=found.in_force is not False,
            detail=detail,
            figures=lambda: tuple(figures(self._instance.health(found))),
        )

    @override
    def describe(self) -> Mapping[str, object]:
        state = self._instance.state
        return {"generation": state.generation, "restarts": self._instance.deaths}


@dataclass(frozen=True, kw_only=True)
class SealedLog:
    """A log that waits to be archived, as the engine keeps it."""

    instance: Instance
    log: Sealed

    @property
    def stamp(self) -> str:
        """Its moment and number."""
        return self.log.stamp

    def settle(self, name: str) -> str:
        """Its name in the store, for good."""
        return self.instance.settle(self.log, name)

    def open(self) -> BinaryIO:
        """Open it, to be read."""
        return opened(self.log)

    def remove(self) -> None:
        """Erase it."""
        self.log.remove()


def _volume(protocol: Protocol, numbers: Sequence[int]) -> Volume:
    """What the engine counted, by `ledger.COLUMNS`."""
    bytes_in, bytes_out, sessions, *classes = (*numbers, *[0] * len(COLUMNS))[: len(COLUMNS)]
    return Volume(
        bytes_in=bytes_in,
        bytes_out=bytes_out,
        sessions=sessions,
        requests=(
            {f"{first}xx": count for first, count in enumerate(classes, 1)}
            if protocol is Protocol.HTTP
            else None
        ),
    )


def _history_entry(entry: Entry) -> HistoryEntry:
    """An entry of the engine's history in the interface's words."""
    return HistoryEntry(
        entry=entry.number,
        time=entry.time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        reason=entry.reason,
        generation=entry.sender_generation,
        job=entry.job or None,
        load_balancers=tuple(_kept(lb) for lb in entry.model.load_balancers),
    )


def _kept(lb: LoadBalancer) -> KeptLoadBalancer:
    # Only GALERA makes a TCP one that keeps nobody on a node.
    galera = lb.protocol is Protocol.TCP and not lb.sticky
    return KeptLoadBalancer(
        protocol="GALERA" if galera else lb.protocol.upper(),
        port=lb.port,
        nodes=tuple(_kept_node(server) for server in lb.servers),
    )


def _kept_node(server: Server) -> KeptNode:
    return KeptNode(
        id="" if server.node_id is None else server.node_id,
        address=server.address,
        port=server.port,
        weight=server.weight,
        condition="ENABLED" if server.enabled else "DISABLED",
        backup=server.backup,
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
