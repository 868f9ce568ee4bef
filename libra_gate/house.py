"""What all connections share: who is there, what they may have, what is counted and logged."""

from __future__ import annotations

import datetime
import logging
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from libra_common.roles import Identity
from libra_common.settings.values import HostPort
from libra_gate.connection import Connection
from libra_gate.counters import Counters
from libra_gate.limits import Shares
from libra_gate.trust import Peer, Trust
from libra_gate.upstream import Gearmands

LOG = logging.getLogger(__name__)

_MOST_SHAKING = 2048
"""Connections in their handshake; one more, and the oldest of them goes."""
_QUIET = 10.0
"""Seconds in which the same is not logged again about the same name."""
_SOON = datetime.timedelta(days=30)
"""How long before a certificate's end its holder is warned of, once a day."""
_A_DAY = 86400.0
_MOST_SAID = 10_000
"""Names and matters that are remembered for that."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a client may take. Times in seconds, `packet_limit` in bytes."""

    handshake_timeout: float
    packet_timeout: float
    packet_limit: int
    connections: int


class House:
    """The gate's state; used in the event loop's thread alone, but for the counters.

    `now` is monotonic seconds. `context`, `trust` and `limits` may be replaced at any time; the
    connections there are ended only where the new trust does not hold for them.
    """

    def __init__(
        self,
        *,
        context: ssl.SSLContext,
        trust: Trust,
        limits: Limits,
        shares: Shares,
        counters: Counters,
        servers: Iterable[HostPort],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.context = context
        self.trust = trust
        self.limits = limits
        self.shares = shares
        self.counters = counters
        self.gearmands = Gearmands(servers=tuple(servers), counters=counters, on_change=self._moved)
        self.now = now
        self._shaking: dict[Connection, None] = {}  # the oldest first
        self._admitted: set[Connection] = set()
        self._said: dict[tuple[str, str], float] = {}

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._shaking) + len(self._admitted)

    @property
    def busy(self) -> int:
        """On how many of them an answer is under way."""
        return sum(one.busy for one in self._admitted)

    # What connections tell

    def arrived(self, connection: Connection) -> None:
        """Take in a connection; where there is no room, the oldest that nobody knows goes."""
        self.counters.accepted += 1
        self._shaking[connection] = None
        if len(self._shaking) > _MOST_SHAKING or self.connections > self.limits.connections:
            self.counters.handshakes_late += 1
            oldest = next(iter(self._shaking))
            self._shaking.pop(oldest)
            oldest.abort()

    def admit(self, connection: Connection, peer: Peer) -> tuple[str, str] | None:
        """Let a holder in; None, or the word and the reason why not."""
        moment = _utc()
        if fault := self.trust.fault_of(peer, moment):
            return "untrusted", fault
        if not self.shares.enter(str(peer.identity)):
            return "too_many", f"{peer.identity} has {self.shares.most} connections already"
        self._shaking.pop(connection, None)
        self._admitted.add(connection)
        self.counters.admitted[peer.identity.role] += 1
        left = peer.not_after - moment
        if left < _SOON:
            text = f"the certificate of {peer.identity} ends in {left.days} days"
            self.say(peer.identity, "ends soon", text, quiet=_A_DAY)
        return None

    def left(self, connection: Connection) -> None:
        """Forget a connection."""
        self._shaking.pop(connection, None)
        if connection in self._admitted:
            self._admitted.discard(connection)
            if connection.peer is not None:
                self.shares.leave(str(connection.peer.identity))

    def turned_away(self, who: Identity | None, what: str, reason: str) -> None:
        """Count and log who is not let in."""
        self.counters.turned_away[what] += 1
        self.say(who, what, f"{who or 'somebody'} is not let in: {reason}")

    def refused(self, who: Identity, what: str, reason: str) -> None:
        """Count and log what is not let through."""
        self.counters.refused[who.role, what] += 1
        self.say(who, what, f"refused {what} of {who}: {reason}")

    def say(self, who: Identity | None, what: str, text: str, *, quiet: float = _QUIET) -> None:
        """Log a warning, unless the same matter of the same name was logged in `quiet` seconds."""
        key, now = (str(who), what), self.now()
        if now - self._said.get(key, -quiet) < quiet:
            return
        if len(self._said) >= _MOST_SAID:
            self._said.clear()
        self._said[key] = now
        LOG.warning("%s", text)

    # What the server does now and then

    def check(self) -> None:
        """End what takes too long, and what has lost its right to be here."""
        now, moment = self.now(), _utc()
        for connection in [*self._shaking, *self._admitted]:
            connection.check(now)
            peer = connection.peer
            if peer is not None and peer.not_after <= moment:
                self._cut_off(connection, peer, self.trust.fault_of(peer, moment))

    def believe(self, trust: Trust) -> None:
        """Trust these from now on, and end the connections of others."""
        self.trust = trust
        moment = _utc()
        for connection in tuple(self._admitted):
            peer = connection.peer
            if peer is not None and (fault := trust.fault_of(peer, moment)):
                self._cut_off(connection, peer, fault)

    def drain(self) -> None:
        """End every connection on which no answer is under way."""
        for connection in [*self._shaking, *self._admitted]:
            if not connection.busy:
                connection.end("the gate stops")

    def abort(self) -> None:
        """Cut every connection."""
        for connection in [*self._shaking, *self._admitted]:
            connection.abort()

    def _cut_off(self, connection: Connection, peer: Peer, fault: str) -> None:
        if not connection.leaving:
            self.counters.cut_off += 1
            self.say(peer.identity, "cut off", f"{peer.identity} is cut off: {fault}")
            connection.dismiss(fault)

    def _moved(self, server: HostPort) -> None:
        for connection in tuple(self._admitted):
            if connection.upstream is not None and connection.upstream.server != server:
                connection.end(f"gearmand {server} is used now")


def _utc() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
