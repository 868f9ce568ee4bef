"""The interface between the messages and whatever balances the load.

A driver makes one load balancer node of some software. The controller hands it typed, checked
requests (`libra_messages.worker`) and turns what it returns or raises into answers. To write a
second driver, implement `Driver` and name it in `node.make_driver`.

The rules for every driver:

* A call returns when what was asked for is in force, read back from the software itself; else it
  raises a `LibraError`, whose `code` and text go into the answer, and has changed nothing.
* Every change is idempotent: gearmand may run a job a second time.
* Calls come from several threads. Changes take effect in the order in which they were called;
  reads (`stats`, `lb_status`, `healthy`) never wait for a change.
* Nothing waits for ever: a software that hangs is a `LibraError` within five seconds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from libra_common.errors import LibraError
from libra_messages.worker import Update


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
    def update(self, request: Update) -> LbStatus:
        """Make the request the whole configuration; a suspended node stays suspended."""

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
    def stats(self) -> tuple[LbStatus, tuple[NodeStatus, ...]]:
        """Each node's status, asked of the software now.

        Raises NoLoadBalancerError or DeletedError, or the driver's own error when it does not
        answer.
        """

    @abstractmethod
    def lb_status(self) -> LbStatus | None:
        """The state in force, without asking the software; None when there never was any."""

    @abstractmethod
    def healthy(self) -> bool | None:
        """Whether the software answers; None when it need not run."""

    @abstractmethod
    def describe(self) -> Mapping[str, object]:
        """What DIAGNOSTICS may say of the software beside that: counters, versions."""
