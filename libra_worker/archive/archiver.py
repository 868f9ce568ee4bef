"""The story of an ARCHIVE: rotate, send, have it confirmed, and only then remove it here."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Protocol

from libra_common.crash import crash_point
from libra_common.errors import LibraError
from libra_messages import fields
from libra_messages.worker import Archive, ArchivedLoadBalancer
from libra_worker.archive.base import Log, Store, Stored, TimeLimit
from libra_worker.archive.destination import destination_of, prefix
from libra_worker.archive.stores import MakeStore, refuse_unknown

LOG = logging.getLogger(__name__)


class Logs(Protocol):
    """Where logs wait: the part of a driver that an archive needs."""

    def logs(
        self, protocol: fields.Protocol, label: str | None, *, seconds: float
    ) -> AbstractContextManager[Sequence[Log]]:
        """Rotate, and have the logs of a load balancer for oneself, oldest first."""


class Unfinished(LibraError):
    """An ARCHIVE came to an end too soon; `sent` is what was sent and removed until then."""

    def __init__(self, error: LibraError, sent: Sequence[tuple[str, Stored]]) -> None:
        super().__init__(str(error))
        self.code = error.code
        self.sent = sent


class Archiver:
    """Carries out ARCHIVE messages; several at once, of which none sends a line of another's.

    `deadline` is how many seconds one may take in all.
    """

    def __init__(
        self, *, logs: Logs, make_store: MakeStore, allow_http: bool, deadline: float
    ) -> None:
        self._logs = logs
        self._make_store = make_store
        self._allow_http = allow_http
        self._deadline = deadline

    def archive(self, request: Archive) -> list[tuple[str, Stored]]:
        """Send what there is; returns the objects written, each with its protocol.

        Raises Malformed or StoreTypeUnknown before anything was touched, else Unfinished: what
        was not sent and confirmed is on this node still.
        """
        refuse_unknown(request.hpcs_object_store_type)
        destination = destination_of(request, allow_http=self._allow_http)
        limit = TimeLimit(self._deadline)
        sent: list[tuple[str, Stored]] = []
        try:
            with ExitStack() as stack:
                store = self._make_store(destination, limit)
                stack.callback(store.close)
                for lb in _distinct(request.loadbalancers):
                    with self._of(lb, limit) as logs:
                        for log in logs:
                            stored = self._send(store, lb, log)
                            # One after the other: what was sent is told, whatever comes next.
                            sent.append((lb.protocol.value, stored))
        except LibraError as error:
            raise Unfinished(error, sent) from error
        return sent

    def _of(
        self, lb: ArchivedLoadBalancer, limit: TimeLimit
    ) -> AbstractContextManager[Sequence[Log]]:
        label = None if lb.id is None else str(lb.id)
        return self._logs.logs(lb.protocol, label, seconds=limit.left)

    @staticmethod
    def _send(store: Store, lb: ArchivedLoadBalancer, log: Log) -> Stored:
        name = log.settle(f"{prefix(lb.id, lb.protocol.value)}/haproxy-{log.stamp}.log.gz")
        crash_point("before_upload")
        with log.open() as file:
            stored = store.put(name, file)
        crash_point("after_upload")
        log.remove()
        crash_point("after_unlink")
        LOG.info("archived %s: %d lines, %d bytes", stored.name, stored.lines, stored.size)
        return stored


def fields_of(sent: Sequence[tuple[str, Stored]]) -> dict[str, Any]:
    """What an answer tells of the objects written."""
    told: dict[str, Any] = {
        "objects": [
            {"protocol": protocol, "name": one.name, "bytes": one.size, "lines": one.lines}
            for protocol, one in sent
        ],
        "bytes": sum(one.size for _, one in sent),
        "lines": sum(one.lines for _, one in sent),
    }
    return told if sent else {**told, "note": "nothing to send"}


def _distinct(balancers: Sequence[ArchivedLoadBalancer]) -> Iterator[ArchivedLoadBalancer]:
    seen = set()
    for lb in balancers:
        if (lb.protocol, str(lb.id)) not in seen:
            seen.add((lb.protocol, str(lb.id)))
            yield lb
