"""Octavia as the agent sees it: trees and statuses, through octavia-lib's sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from octavia_lib.api.drivers import driver_lib, exceptions
from octavia_lib.common import constants

from libra_octavia.agent.report import Statuses
from libra_octavia.errors import OctaviaError
from libra_octavia.inventory import Kind
from libra_octavia.objects.fields import plain

SOCKETS = Path("/var/run/octavia")


class OctaviaAway(OctaviaError):
    """Octavia's driver-agent cannot be asked or did not take a report; it may be tried again."""

    code = "octavia_unavailable"


class Library(Protocol):
    """What is used of octavia-lib's DriverLibrary."""

    def get_loadbalancer(self, loadbalancer_id: str) -> Any:
        """The tree, None where there is none."""

    def get_listener(self, listener_id: str) -> Any:
        """A listener, or None."""

    def get_pool(self, pool_id: str) -> Any:
        """A pool, or None."""

    def get_member(self, member_id: str) -> Any:
        """A member, or None."""

    def get_healthmonitor(self, healthmonitor_id: str) -> Any:
        """A health monitor, or None."""

    def get_l7policy(self, l7policy_id: str) -> Any:
        """An L7 policy, or None."""

    def get_l7rule(self, l7rule_id: str) -> Any:
        """An L7 rule, or None."""

    def update_loadbalancer_status(self, status: Any) -> None:
        """Report statuses."""

    def update_listener_statistics(self, statistics: Any) -> None:
        """Report what went through listeners."""


def library(folder: Path = SOCKETS) -> Library:
    """The driver-agent whose sockets are in this folder. Raises OctaviaAway where none are.

    octavia-lib itself would wait two minutes for each.
    """
    paths = {name: folder / f"{name}.sock" for name in ("status", "stats", "get")}
    for path in paths.values():
        if not path.is_socket():
            raise OctaviaAway(f"Octavia's driver-agent has no socket {path}")
    found: Library = driver_lib.DriverLibrary(
        status_socket=str(paths["status"]),
        stats_socket=str(paths["stats"]),
        get_socket=str(paths["get"]),
    )
    return found


class Octavia:
    """Asks and tells Octavia; `connect` gives the library, which is made at each use.

    Every method raises OctaviaAway. May be used by several threads.
    """

    def __init__(self, connect: Callable[[], Library] = library) -> None:
        self._connect = connect

    def tree(self, load_balancer_id: str) -> Any:
        """A load balancer with all in it; None where Octavia has none, or not yet."""
        return self._ask(lambda octavia: octavia.get_loadbalancer(load_balancer_id))

    def owner(self, kind: Kind, name: str) -> str | None:
        """The load balancer that an object is in; None where Octavia has no such object."""
        if kind is Kind.LOAD_BALANCER:
            return name
        match kind:
            case Kind.LISTENER:
                found = self._ask(lambda octavia: octavia.get_listener(name))
            case Kind.POOL:
                found = self._ask(lambda octavia: octavia.get_pool(name))
            case Kind.MEMBER:
                found = self._ask(lambda octavia: octavia.get_member(name))
            case Kind.HEALTH_MONITOR:
                found = self._ask(lambda octavia: octavia.get_healthmonitor(name))
            case Kind.L7_POLICY:
                found = self._ask(lambda octavia: octavia.get_l7policy(name))
            case Kind.L7_RULE:
                found = self._ask(lambda octavia: octavia.get_l7rule(name))
        if found is None:
            return None
        above, field = _ABOVE[kind]
        return self.owner(above, str(plain(found)[field]))

    def report(self, statuses: Statuses) -> None:
        """Tell the statuses of objects, what is in others before these, the load balancer last.

        A small load balancer is told in one call. What is told twice does no harm.
        """
        for part in parts_of(statuses):
            self._tell(part)

    def _tell(self, part: dict[str, list[dict[str, str]]]) -> None:
        self._ask(lambda octavia: octavia.update_loadbalancer_status(part))

    def count(self, listeners: Sequence[Mapping[str, Any]]) -> None:
        """Tell the totals of listeners, of any load balancers, in one call."""
        self._ask(
            lambda octavia: octavia.update_listener_statistics(
                {constants.LISTENERS: [dict(row) for row in listeners]}
            )
        )

    def _ask(self, call: Callable[[Library], Any]) -> Any:
        try:
            return call(self._connect())
        except (
            exceptions.DriverAgentNotFound,
            exceptions.DriverAgentTimeout,
            exceptions.UpdateStatusError,
            exceptions.UpdateStatisticsError,
        ) as error:
            raise OctaviaAway(f"Octavia's driver-agent: {error.fault_string}") from error
        except exceptions.DriverError as error:
            raise OctaviaAway(f"Octavia's driver-agent: {error.__cause__ or error}") from error
        except OSError as error:
            raise OctaviaAway(f"Octavia's driver-agent: {error}") from error


MOST_AT_ONCE = 50
"""Objects in one report. Octavia's driver-agent writes them one by one, and may take 30 seconds."""

_SLOW = {constants.L7RULES: 10, constants.L7POLICIES: 10}
"""As many others one of these counts for: Octavia reads all of the load balancer for each."""

_FROM_BELOW = (
    *(constants.MEMBERS, constants.HEALTHMONITORS, constants.POOLS, constants.L7RULES),
    *(constants.L7POLICIES, constants.LISTENERS, constants.LOADBALANCERS),
)


def parts_of(statuses: Statuses) -> Iterator[dict[str, list[dict[str, str]]]]:
    """A report in parts that Octavia can take at once, in the order of `Octavia.report`."""
    rows = [(section, dict(row)) for section in _FROM_BELOW for row in statuses.get(section, ())]
    part: dict[str, list[dict[str, str]]] = {}
    left = MOST_AT_ONCE
    for section, row in rows:
        left -= _SLOW.get(section, 1)
        if left < 0:
            yield part
            part, left = {}, MOST_AT_ONCE - _SLOW.get(section, 1)
        part.setdefault(section, []).append(row)
    if part:
        yield part


_ABOVE = {
    Kind.LISTENER: (Kind.LOAD_BALANCER, "loadbalancer_id"),
    Kind.POOL: (Kind.LOAD_BALANCER, "loadbalancer_id"),
    Kind.MEMBER: (Kind.POOL, "pool_id"),
    Kind.HEALTH_MONITOR: (Kind.POOL, "pool_id"),
    Kind.L7_POLICY: (Kind.LISTENER, "listener_id"),
    Kind.L7_RULE: (Kind.L7_POLICY, "l7policy_id"),
}
