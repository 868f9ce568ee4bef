"""A client's connection as far as TLS goes: bytes said and heard, and an end that can be read."""

from __future__ import annotations

import abc
import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import cast

from libra_gate.tls import TlsStream
from libra_gate.upstream import set_options

LOG = logging.getLogger(__name__)

_LINGER = 2.0
"""Seconds for which an ended connection's client may read why, before it is cut."""
_HIGH, _LOW = 256 * 1024, 64 * 1024
"""Bytes that wait for a client who does not read, before gearmand is not read from either."""


class Wire(asyncio.Protocol, abc.ABC):
    """One connection, in the event loop's thread. What happens on it is told to a subclass.

    `now` gives monotonic seconds.
    """

    def __init__(self, context: ssl.SSLContext, *, now: Callable[[], float]) -> None:
        self.now = now
        self._tls = TlsStream(context)
        self._transport: asyncio.Transport | None = None
        self._closing_since: float | None = None

    @property
    def leaving(self) -> bool:
        """Whether it is at its end: nothing is heard or said any more."""
        return self._closing_since is not None

    @property
    def shaken(self) -> bool:
        """Whether the handshake is done."""
        return self._tls.shaken

    @property
    def paused(self) -> bool:
        """Whether something that was heard waits to be dealt with."""
        return False

    # What a subclass does

    @abc.abstractmethod
    def arrived(self) -> None:
        """A connection is there."""

    @abc.abstractmethod
    def admit(self, certificate: bytes) -> None:
        """The handshake is done; `certificate` is the client's, DER, and verified."""

    @abc.abstractmethod
    def heard(self, data: bytes) -> None:
        """The client said something; never before it was admitted, or after `end`."""

    @abc.abstractmethod
    def let_go(self) -> None:
        """The connection is at its end; may be called twice."""

    @abc.abstractmethod
    def failed(self, reason: ssl.SSLError) -> None:
        """TLS has failed, perhaps in the handshake."""

    @abc.abstractmethod
    def left(self) -> None:
        """The connection is gone."""

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the handshake."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_HIGH, low=_LOW)
        set_options(self._transport)
        self.arrived()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - whatever it was
        """Let go of everything."""
        self._closing_since = self._closing_since or self.now()
        self.let_go()
        self.left()

    def data_received(self, data: bytes) -> None:
        """Go on with the handshake, or hear what was said."""
        if self.leaving:
            return
        shaken = self._tls.shaken
        try:
            said = self._tls.receive(data)
        except ssl.SSLError as reason:
            self._tls_failed(reason)
            return
        self._flush()
        if self._tls.shaken and not shaken:
            self.admit(self._tls.certificate())
        if said and not self.leaving:
            self.heard(said)
        self.end_if_over()

    def eof_received(self) -> bool:
        """Let the transport close once what is still to be sent has gone."""
        return False

    # What a subclass calls

    def say(self, data: bytes) -> None:
        """Send to the client."""
        if self.leaving:
            return
        try:
            self._tls.send(data)
        except ssl.SSLError as reason:
            self._tls_failed(reason)
            return
        self._flush()

    def hold(self) -> None:
        """Hear nothing for now."""
        if self._transport is not None and not self.leaving:
            self._transport.pause_reading()

    def go_on_hearing(self) -> None:
        """Hear again."""
        if self._transport is not None and not self.leaving:
            self._transport.resume_reading()

    def end_if_over(self) -> None:
        """End if the client has said that it says no more, and all of it was dealt with."""
        if self._tls.ended and not self.paused:
            self.hang_up()

    def hang_up(self) -> None:
        """End the connection once what was said has gone out."""
        if not self.leaving:
            self._tls.close()
            self._leave()

    def abort(self) -> None:
        """Cut the connection now."""
        if self._transport is not None:
            self._transport.abort()

    def has_lingered(self, now: float) -> bool:
        """Whether the client had its time to read why the connection ended."""
        return self._closing_since is not None and now - self._closing_since > _LINGER

    # The parts

    def _tls_failed(self, reason: ssl.SSLError) -> None:
        self.failed(reason)
        self._leave()

    def _leave(self) -> None:
        if self.leaving or self._transport is None:
            return
        self._closing_since = self.now()
        self.let_go()
        self._flush()
        if self._tls.ended:
            self._transport.close()
            return
        # Not closed at once: what the client still sends would reset the connection under what
        # was just said to it, an alert for example.
        self._transport.write_eof()
        self._transport.resume_reading()

    def _flush(self) -> None:
        data = self._tls.outgoing()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
