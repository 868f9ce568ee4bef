"""One client's connection: TLS, admission, then one of gearman's protocols, with time limits.

    handshake -> admitted -> (first byte) talking, with a connection to gearmand -> closing

Everything happens in the event loop's thread, and nothing here waits. Who sends too fast, or waits
for a gearmand that does not take more, is not read from; nothing is ever collected without bound.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import TYPE_CHECKING, cast

from libra_common.roles import Identity, NoIdentity
from libra_gate import rules
from libra_gate.binary import BinaryTalk
from libra_gate.packets import Malformed, error
from libra_gate.text import TextTalk
from libra_gate.tls import TlsStream
from libra_gate.trust import Peer, peer_of
from libra_gate.upstream import NoGearmand, Upstream, set_options

if TYPE_CHECKING:
    from libra_gate.house import House
    from libra_gate.talk import Talk

LOG = logging.getLogger(__name__)

_LINGER = 2.0
"""Seconds for which an ended connection's client may read why, before it is cut."""
_SLOWEST = 64 * 1024
"""Bytes a second that a long packet must come with."""
_HIGH, _LOW = 256 * 1024, 64 * 1024
"""Bytes that wait for a client who does not read, before gearmand is not read from either."""


class Connection(asyncio.Protocol):
    """A client, from its first byte to its last; implements `talk.Link`."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._tls = TlsStream(house.context)
        self._started = house.now()
        self._peer: Peer | None = None
        self._name = ""
        self._talk: Talk | None = None
        self._upstream: Upstream | None = None
        self._reaching: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._pauses: set[str] = set()  # why the client is not read from
        self._working = False
        self._to_server: list[bytes] = []
        self._packet: tuple[int, float, float] | None = None  # which, since when, its seconds
        self._stuck_since: float | None = None
        self._closing_since: float | None = None

    # What the house asks

    @property
    def admitted(self) -> bool:
        """Whether a certificate was shown and accepted."""
        return self._peer is not None

    @property
    def peer(self) -> Peer | None:
        """The holder of the certificate, once it is accepted."""
        return self._peer

    @property
    def leaving(self) -> bool:
        """Whether it is at its end."""
        return self._closing_since is not None

    @property
    def busy(self) -> bool:
        """Whether an end now would cost somebody an answer."""
        return self._closing_since is None and self._talk is not None and self._talk.busy

    @property
    def upstream(self) -> Upstream | None:
        """The connection to gearmand."""
        return self._upstream

    def check(self, now: float) -> None:
        """End what takes too long; called about once a second."""
        house = self._house
        if self._closing_since is not None:
            if now - self._closing_since > _LINGER:
                self.abort()
        elif not self._tls.shaken:
            if now - self._started > house.limits.handshake_timeout:
                house.counters.handshakes_late += 1
                self.abort()
        elif self._is_late(now):
            house.counters.slow += 1
            self.end("too slow")

    def abort(self) -> None:
        """Cut the connection now."""
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the handshake."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_HIGH, low=_LOW)
        set_options(self._transport)
        self._house.arrived(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - whatever it was
        """Let go of gearmand too."""
        self._closing_since = self._closing_since or self._house.now()
        self._let_go()
        self._house.left(self)

    def data_received(self, data: bytes) -> None:
        """Go on with the handshake, or with the packets."""
        if self._closing_since is not None:
            return
        shaken = self._tls.shaken
        try:
            said = self._tls.receive(data)
        except ssl.SSLError as reason:
            self._tls_failed(reason)
            return
        self._flush()
        if self._tls.shaken and not shaken:
            self._admit()
        if said and self._closing_since is None:
            self._house.counters.bytes_in += len(said)
            self._heard(said)
        if self._tls.ended and not self._pauses:
            self.end("")

    def eof_received(self) -> bool:
        """Let the transport close once what is still to be sent has gone."""
        return False

    def pause_writing(self) -> None:
        """Read no more from gearmand: the client does not take it."""
        self._stuck_since = self._house.now()
        if self._upstream is not None:
            self._upstream.pause()

    def resume_writing(self) -> None:
        """Read from gearmand again."""
        self._stuck_since = None
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
        if self._closing_since is not None:
            return
        self._house.counters.bytes_out += len(data)
        try:
            self._tls.send(data)
        except ssl.SSLError as reason:
            self._tls_failed(reason)
            return
        self._flush()

    def passed(self, what: str, *, job: bool = False) -> None:
        """Count what is let through, and read more slowly where it is too much."""
        LOG.debug("%s sends %s", self._name, what)
        counters = self._house.counters
        counters.packets[self.who.role] += 1
        if job:
            counters.jobs[self.who.role] += 1
        self._throttle()

    def refused(self, what: str, reason: str) -> None:
        """Count and log what is refused."""
        self._house.refused(self.who, what, reason)
        self._throttle()

    def oversized(self, what: str, size: int) -> None:
        """Count and log a packet over the limit."""
        self._house.counters.too_large += 1
        self._house.say(self.who, what, f"{what} of {size} bytes is over the limit")
        self._throttle()

    def go_on(self) -> None:
        """Deal with what the client has said meanwhile."""
        self._work()

    def end(self, reason: str) -> None:
        """End the connection once what was sent has gone out."""
        if self._closing_since is not None or self._transport is None:
            return
        if reason:
            LOG.debug("the connection of %s ends: %s", self._name or "somebody", reason)
        self._forward()
        self._tls.close()
        self._leave()

    # The parts

    def _tls_failed(self, reason: ssl.SSLError) -> None:
        if not self._tls.shaken:
            self._house.counters.handshakes_failed += 1
        LOG.debug("TLS of %s failed: %s", self._name or "somebody", reason)
        self._leave()

    def _leave(self) -> None:
        """Send what is still to be sent, and hear no more."""
        if self._closing_since is not None or self._transport is None:
            return
        self._closing_since = self._house.now()
        self._let_go()
        self._flush()
        if self._tls.ended:
            self._transport.close()
            return
        # Not closed at once: what the client still sends would reset the connection under what
        # was just said to it, an alert for example.
        self._transport.write_eof()
        self._transport.resume_reading()

    def _admit(self) -> None:
        try:
            peer = peer_of(self._tls.certificate())
        except NoIdentity as reason:
            self._turn_away("no_role", f"its certificate is for no role: {reason}")
            return
        refusal = self._house.admit(self, peer)
        if refusal is None:
            self._peer = peer
            self._name = str(peer.identity)
        else:
            self._turn_away(*refusal, who=peer.identity)

    def _turn_away(self, what: str, reason: str, who: Identity | None = None) -> None:
        self._house.turned_away(who, what, reason)
        self.to_client(error(rules.CODE, reason))
        self.end(reason)

    def _heard(self, said: bytes) -> None:
        if self._talk is None:
            # Binary packets begin with a NUL, no command does. Nobody speaks both.
            self._talk = BinaryTalk(self) if said[:1] == b"\0" else TextTalk(self)
            self._pause("connecting")
            self._reaching = asyncio.get_running_loop().create_task(self._reach())
        self._talk.feed(said)
        self._work()

    async def _reach(self) -> None:
        try:
            upstream = await self._house.gearmands.reach(self)
        except NoGearmand as reason:
            self._house.say(self.who, "away", f"no gearmand for {self.who}: {reason}")
            self.end("there is no gearmand")
            return
        if self._closing_since is not None:
            upstream.close()
            return
        self._upstream = upstream
        if self._stuck_since is not None:
            upstream.pause()
        self._unpause("connecting")

    def _work(self) -> None:
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
            self._house.say(self.who, "malformed", f"{self.who} speaks no gearman: {reason}")
            self.end(str(reason))
        finally:
            self._working = False
        if self._closing_since is None:
            self._forward()
            self._keep_time(talk)

    def _may_go_on(self) -> bool:
        return self._closing_since is None and not (self._pauses - {"gearmand"})

    def _forward(self) -> None:
        """Send what was let through in one piece."""
        if self._to_server and self._upstream is not None:
            self._upstream.send(b"".join(self._to_server))
        self._to_server.clear()

    def _keep_time(self, talk: Talk) -> None:
        missing = talk.missing
        if missing is None or self._pauses:
            self._packet = None
        elif self._packet is None or self._packet[0] != talk.begun:
            seconds = self._house.limits.packet_timeout + missing / _SLOWEST
            self._packet = (talk.begun, self._house.now(), seconds)

    def _is_late(self, now: float) -> bool:
        limits = self._house.limits
        if self._stuck_since is not None and now - self._stuck_since > limits.packet_timeout:
            return True
        if self._talk is None:
            return now - self._started > 2 * limits.handshake_timeout
        return self._packet is not None and now - self._packet[1] > self._packet[2]

    def _throttle(self) -> None:
        house = self._house
        seconds = house.shares.take(self._name, house.now())
        if seconds > 0 and "rate" not in self._pauses:
            house.counters.throttled += 1
            self._pause("rate")
            asyncio.get_running_loop().call_later(seconds, self._unpause, "rate")

    def _pause(self, why: str) -> None:
        self._pauses.add(why)
        if self._transport is not None and self._closing_since is None:
            self._transport.pause_reading()

    def _unpause(self, why: str) -> None:
        self._pauses.discard(why)
        if self._closing_since is not None:
            return
        self._work()
        if not self._pauses and self._closing_since is None and self._transport is not None:
            if self._tls.ended:
                self.end("")
            else:
                self._transport.resume_reading()

    def _flush(self) -> None:
        data = self._tls.outgoing()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _let_go(self) -> None:
        if self._reaching is not None:
            self._reaching.cancel()
        if self._upstream is not None:
            self._upstream.close()

    # What the connection to gearmand tells

    def from_server(self, data: bytes) -> None:
        """Pass on what gearmand said."""
        if self._closing_since is not None or self._talk is None:
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
