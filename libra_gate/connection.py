"""One client's connection: admission, then one of gearman's protocols, with time limits.

    handshake -> admitted -> (first byte) talking, with a connection to gearmand -> leaving

Nothing here waits. Who sends too fast, or faster than gearmand takes it, is not read from.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import TYPE_CHECKING

from libra_common.roles import Identity, NoIdentity
from libra_gate import rules
from libra_gate.binary import BinaryTalk
from libra_gate.packets import Malformed, error
from libra_gate.patience import Patience
from libra_gate.text import TextTalk
from libra_gate.trust import Peer, peer_of
from libra_gate.upstream import NoGearmand, Upstream
from libra_gate.wire import Wire

if TYPE_CHECKING:
    from libra_gate.house import House
    from libra_gate.talk import Talk

LOG = logging.getLogger(__name__)


class Connection(Wire):
    """A client, from its first byte to its last; implements `talk.Link` and `upstream.Client`."""

    def __init__(self, house: House) -> None:
        super().__init__(house.context, now=house.now)
        self._house = house
        self._patience = Patience(
            started=house.now(),
            first=2.0 * house.limits.handshake_timeout,
            packet=house.limits.packet_timeout,
        )
        self._peer: Peer | None = None
        self._name = ""
        self._talk: Talk | None = None
        self._upstream: Upstream | None = None
        self._reaching: asyncio.Task[None] | None = None
        self._pauses: set[str] = set()  # why the client is not read from
        self._working = False
        self._to_server: list[bytes] = []

    # What the house asks

    @property
    def peer(self) -> Peer | None:
        """The holder of the certificate, once it is accepted."""
        return self._peer

    @property
    def busy(self) -> bool:
        """Whether an end now would cost somebody an answer."""
        return not self.leaving and self._talk is not None and self._talk.busy

    @property
    def upstream(self) -> Upstream | None:
        """The connection to gearmand."""
        return self._upstream

    def check(self, now: float) -> None:
        """End what takes too long; called about once a second."""
        house = self._house
        if self.leaving:
            if self.has_lingered(now):
                self.abort()
        elif not self.shaken:
            if now - self._patience.started > house.limits.handshake_timeout:
                house.counters.handshakes_late += 1
                self.abort()
        elif self._patience.is_over(now):
            house.counters.slow += 1
            house.say(self.who, "slow", f"{self._name} is too slow")
            self.end("too slow")

    def dismiss(self, reason: str) -> None:
        """End the connection, and tell the client why."""
        if self._talk is not None:
            self._talk.dismiss(reason)
        self.end(reason)

    # Wire

    @property
    def paused(self) -> bool:
        """Whether something that was heard waits to be dealt with."""
        return bool(self._pauses)

    def arrived(self) -> None:
        """Tell the house."""
        self._house.arrived(self)

    def left(self) -> None:
        """Tell the house."""
        self._house.left(self)

    def failed(self, reason: ssl.SSLError) -> None:
        """Count a handshake that failed."""
        if not self.shaken:
            self._house.counters.handshakes_failed += 1
        LOG.debug("TLS of %s failed: %s", self._name or "somebody", reason)

    def admit(self, certificate: bytes) -> None:
        """Let the holder of a certificate in, or tell it why not."""
        try:
            peer = peer_of(certificate)
        except NoIdentity as reason:
            self._turn_away("no_role", f"its certificate is for no role: {reason}")
            return
        if (refusal := self._house.admit(self, peer)) is not None:
            self._turn_away(*refusal, who=peer.identity)
            return
        self._peer, self._name = peer, str(peer.identity)

    def heard(self, data: bytes) -> None:
        """Take what the client said; with its first byte, reach for a gearmand."""
        self._house.counters.bytes_in += len(data)
        if self._talk is None:
            # Binary packets begin with a NUL, no command does. Nobody speaks both.
            self._talk = BinaryTalk(self) if data[:1] == b"\0" else TextTalk(self)
            self._pause("connecting")
            self._reaching = asyncio.get_running_loop().create_task(self._reach())
        self._talk.feed(data)
        self.go_on()

    def let_go(self) -> None:
        """Hang up on gearmand too."""
        if self._reaching is not None:
            self._reaching.cancel()
        if self._upstream is not None:
            self._upstream.close()

    def pause_writing(self) -> None:
        """Read no more from gearmand: the client does not take it."""
        self._patience.stuck(self.now())
        if self._upstream is not None:
            self._upstream.pause()

    def resume_writing(self) -> None:
        """Read from gearmand again."""
        self._patience.unstuck()
        if self._upstream is not None:
            self._upstream.resume()

    # talk.Link

    @property
    def who(self) -> Identity:
        """The holder of the client's certificate."""
        assert self._peer is not None, "only who was admitted is asked for"  # noqa: S101
        return self._peer.identity

    @property
    def packet_limit(self) -> int:
        """Bytes of the longest packet."""
        return self._house.limits.packet_limit

    def to_server(self, data: bytes) -> None:
        """Send to gearmand, together with what else the client said just now."""
        self._to_server.append(data)

    def to_client(self, data: bytes) -> None:
        """Send to the client."""
        self._house.counters.bytes_out += len(data)
        self.say(data)

    def may_take(self, function: bytes) -> bool:
        """Whether the client has not taken jobs of too many functions."""
        return self._house.shares.may_take(self._name, function)

    def passed(self, what: str, *, job: bool = False) -> None:
        """Count what is let through, and read more slowly where it is too much."""
        LOG.debug("%s sends %s", self._name, what)
        counters, role = self._house.counters, self.who.role
        counters.packets[role] += 1
        if job:
            counters.jobs[role] += 1
        self._throttle()

    def refused(self, what: str, reason: str) -> None:
        """Count and log what is refused."""
        self._house.refused(self.who, what, reason)
        self._throttle()

    def oversized(self, what: str, size: int) -> None:
        """Count and log a packet over the limit."""
        self._house.counters.too_large += 1
        self._house.say(self.who, what, f"{what} of {self._name} is too large: {size} bytes")
        self._throttle()

    def end(self, reason: str) -> None:
        """End the connection once what was sent has gone out."""
        if not self.leaving:
            LOG.debug("the connection of %s ends: %s", self._name or "somebody", reason)
            self._forward()
            self.hang_up()

    # upstream.Client

    def from_server(self, data: bytes) -> None:
        """Pass on what gearmand said."""
        if self.leaving or self._talk is None:
            return
        try:
            self._talk.from_server(data)
        except Malformed as reason:
            LOG.error("gearmand speaks no gearman: %s", reason)
            self.end(str(reason))

    def server_lost(self) -> None:
        """End: gearmand has hung up."""
        self.end("gearmand hung up")

    def server_full(self) -> None:
        """Read no more from the client: gearmand does not take it."""
        self._pause("gearmand")

    def server_ready(self) -> None:
        """Read from the client again."""
        self._unpause("gearmand")

    # The parts

    def _turn_away(self, what: str, reason: str, who: Identity | None = None) -> None:
        self._house.turned_away(who, what, reason)
        self.to_client(error(rules.CODE, reason))
        self.end(reason)

    async def _reach(self) -> None:
        try:
            upstream = await self._house.gearmands.reach(self)
        except NoGearmand as reason:
            self._house.say(self.who, "away", f"no gearmand for {self._name}: {reason}")
            self.end("there is no gearmand")
            return
        if self.leaving:
            upstream.close()
            return
        self._upstream = upstream
        if self._patience.is_stuck:
            upstream.pause()
        self._unpause("connecting")

    def go_on(self) -> None:
        """Deal with what the client said, as far as it may go on now."""
        talk = self._talk
        if talk is None or self._working:
            return
        self._working = True
        try:
            while self._may_go_on() and talk.step():
                pass
        except Malformed as reason:
            self._house.counters.malformed += 1
            self._house.say(self.who, "malformed", f"{self._name} speaks no gearman: {reason}")
            self.end(str(reason))
        finally:
            self._working = False
        if not self.leaving:
            self._forward()
            self._patience.owes(talk.begun, None if self._pauses else talk.missing, self.now())

    def _may_go_on(self) -> bool:
        # A gearmand that is full still takes what was heard already; no more will be heard.
        return not self.leaving and not (self._pauses - {"gearmand"})

    def _forward(self) -> None:
        """Send what was let through in one piece."""
        if self._to_server and self._upstream is not None:
            self._upstream.send(b"".join(self._to_server))
        self._to_server.clear()

    def _throttle(self) -> None:
        house = self._house
        seconds = house.shares.take(self._name, house.now())
        if seconds > 0 and "rate" not in self._pauses:
            house.counters.throttled += 1
            self._pause("rate")
            asyncio.get_running_loop().call_later(seconds, self._unpause, "rate")

    def _pause(self, why: str) -> None:
        self._pauses.add(why)
        self.hold()

    def _unpause(self, why: str) -> None:
        self._pauses.discard(why)
        if self.leaving:
            return
        self.go_on()
        if not self._pauses:
            self.go_on_hearing()
            self.end_if_over()
