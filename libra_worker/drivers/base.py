"""The interface between the messages and whatever balances the load.

A driver makes one load balancer node of some software. The controller hands it typed, checked
requests (`libra_messages.worker`) and turns what it returns or raises into answers. To write a
second driver, implement `Driver` and name it in `node.make_driver`.

The rules for every driver:

* A call returns when what was asked for is in force, read back from the software itself; else it
  raises a `LibraError`, whose `code` and text go into the answer, and has changed nothing.
* Every change is idempotent: gearmand may run a job a second time.
* Calls come from several threads. Changes take effect in the order in which they were called;
  reads (`stats`, `metrics`, `lb_status`, `healthy`) never wait for a change.
* Nothing waits for ever: a software that hangs is a `LibraError` within five seconds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from libra_common.errors import LibraError
from libra_common.health import Family
from libra_messages.fields import Protocol
from libra_messages.worker import Metrics, Rollback, Update
from libra_worker.archive.base import Log


class LbStatus(StrEnum):
    """The state of the node's load balancers, as answers carry it in `lb_status`."""

    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    DELETED = "DELETED"


class NoLoadBalancerError(LibraError):
    """There is no load balancer to do this to."""

    code = "no_load_balancer"


class DeletedError(LibraError):
    """The load balancer was deleted; only UPDATE makes a new one."""

    code = "deleted"


@dataclass(frozen=True, kw_only=True)
class Updated:
    """What became of an UPDATE; `superseded` where one that came later is in force instead."""

    lb_status: LbStatus
    superseded: bool = False


@dataclass(frozen=True, kw_only=True)
class NodeStatus:
    """One node as STATS tells it: its id as it was sent, its place, and UP, DOWN, MAINT, DRAIN."""

    id: int | str
    address: str
    port: int
    status: str


@dataclass(frozen=True, kw_only=True)
class Totals:
    """What went through one load balancer in its whole life, in bytes and sessions."""

    protocol: str
    bytes_in: int
    bytes_out: int
    sessions: int


@dataclass(frozen=True, kw_only=True)
class KeptNode:
    """One node of a kept configuration, in the words of UPDATE."""

    id: int | str
    address: str
    port: int
    weight: int
    condition: str
    backup: bool


@dataclass(frozen=True, kw_only=True)
class KeptLoadBalancer:
    """One load balancer of a kept configuration."""

    protocol: str
    port: int
    nodes: tuple[KeptNode, ...]


@dataclass(frozen=True, kw_only=True)
class HistoryEntry:
    """One configuration that was in force, as HISTORY tells it.

    `entry` names it for ROLLBACK, `time` is when it came into force (ISO 8601, UTC), `generation`
    the sender's own number and `job` the id of the job, where they are known.
    """

    entry: int
    time: str
    reason: str
    generation: int | None
    job: str | None
    load_balancers: tuple[KeptLoadBalancer, ...]


@dataclass(frozen=True, kw_only=True)
class Volume:
    """An amount of traffic; `requests` by the class of their answer (`1xx` to `5xx`), if any."""

    bytes_in: int
    bytes_out: int
    sessions: int
    requests: Mapping[str, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Metered:
    """What went through one load balancer, `http` or `tcp`: in the report's time, and ever."""

    protocol: str
    period: Volume
    totals: Volume


@dataclass(frozen=True, kw_only=True)
class TrafficReport:
    """A report as METRICS tells it: its number, and that of the one it follows, 0 for none."""

    lb_status: LbStatus
    report: int
    after: int
    utc_start: datetime
    utc_end: datetime
    load_balancers: tuple[Metered, ...]


@dataclass(frozen=True, kw_only=True)
class LinesMissed:
    """Access log lines that no archive will hold.

    `lost` are those that came faster than they could be taken, `dropped` those that were removed
    unsent or found no room, to keep to the bounds of the settings.
    """

    lost: int
    dropped: int


@dataclass(frozen=True, kw_only=True)
class Activity:
    """What goes through a load balancer: requests, or connections where it sees no requests."""

    protocol: str
    requests_per_second: int


@dataclass(frozen=True, kw_only=True)
class Stats:
    """What STATS tells; `generation` is the sender's own, where it gave one."""

    lb_status: LbStatus
    generation: int | None
    nodes: tuple[NodeStatus, ...]
    load_balancers: tuple[Activity, ...]


@dataclass(frozen=True, kw_only=True)
class DriverHealth:
    """How the software is: whether it serves what is stored, in words too.

    `figures` asks for what else there is to tell beside that.
    """

    ok: bool
    detail: str
    figures: Callable[[], Iterable[Family]] = tuple


class Driver(ABC):
    """One load balancer node."""

    @abstractmethod
    def open(self) -> None:
        """Bring the software to the stored state; called once, before any job is taken."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the software, which goes on serving without us."""

    @abstractmethod
    def look(self) -> None:
        """See after the software; called every second."""

    @abstractmethod
    def update(self, request: Update) -> Updated:
        """Make the request the whole configuration; a suspended node stays suspended.

        Updates that wait together may be carried out as one, the last of them.
        Raises an error of code `stale_generation` where the request's generation is older than
        the applied one, or equal with another configuration.
        """

    @abstractmethod
    def rollback(self, request: Rollback) -> LbStatus:
        """Apply a configuration of the history once more, otherwise as `update`.

        Raises NoLoadBalancerError, DeletedError, or an error of code `no_such_entry`.
        """

    @abstractmethod
    def history(self) -> tuple[HistoryEntry, ...]:
        """The last configurations that were in force, newest first.

        Raises NoLoadBalancerError or DeletedError.
        """

    @abstractmethod
    def suspend(self) -> LbStatus:
        """Refuse traffic until `enable`. Raises NoLoadBalancerError or DeletedError."""

    @abstractmethod
    def enable(self) -> LbStatus:
        """Serve again. Raises NoLoadBalancerError or DeletedError."""

    @abstractmethod
    def delete(self) -> tuple[Totals, ...]:
        """Erase everything, for good; without a load balancer this is no fault.

        Returns the final totals of each load balancer that was there.
        """

    @abstractmethod
    def stats(self) -> Stats:
        """Each node's status and what goes through now, asked of the software.

        Raises NoLoadBalancerError or DeletedError, or the driver's own error when it does not
        answer.
        """

    @abstractmethod
    def metrics(self, request: Metrics) -> TrafficReport:
        """What went through since an earlier report, each byte in exactly one of a row of reports.

        With `ack` that is the report of this number, else the last that was asked for without;
        without such a one, all since the load balancer was made. The report is remembered before
        this returns. Raises NoLoadBalancerError or DeletedError.
        """

    @abstractmethod
    def logs(
        self, protocol: Protocol, label: str | None, *, seconds: float
    ) -> AbstractContextManager[Sequence[Log]]:
        """Rotate a load balancer's access log, and have all that wait, oldest first, for oneself.

        `label` is the id in the message. Logs outlive DELETE for a time, and are had by the id of
        their load balancer then. Entering raises NoLoadBalancerError where there never was one,
        or an error of code `busy` where another has them for longer than `seconds`.
        """

    @abstractmethod
    def lines_missed(self) -> LinesMissed | None:
        """What no archive will hold, since the load balancer was made; None if it is not known."""

    @abstractmethod
    def lb_status(self) -> LbStatus | None:
        """The state in force, without asking the software; None when there never was any."""

    @abstractmethod
    def healthy(self) -> bool | None:
        """Whether the software answers; None when it need not run."""

    @abstractmethod
    def releases(self) -> tuple[str, str]:
        """The release of the software that runs and the one on disk; empty where unknown."""

    @abstractmethod
    def renew(self) -> None:
        """Have the one on disk take over without a loss. Raises LibraError, changing nothing."""

    @abstractmethod
    def health(self) -> DriverHealth:
        """How the software is now, for health and metrics; raises nothing that is foreseen.

        Asked often, so it costs one question to the software at most.
        """

    @abstractmethod
    def describe(self) -> Mapping[str, object]:
        """What DIAGNOSTICS may say of the software beside that: counters, versions."""
