"""What a connection and the protocol that is spoken on it ask of each other."""

from __future__ import annotations

from typing import Protocol

from libra_common.roles import Identity


class Link(Protocol):
    """A connection, as the protocol on it sees it. Nothing here waits."""

    @property
    def who(self) -> Identity:
        """The holder of the client's certificate."""

    @property
    def packet_limit(self) -> int:
        """Bytes of the longest packet."""

    def to_server(self, data: bytes) -> None:
        """Send to gearmand."""

    def to_client(self, data: bytes) -> None:
        """Send to the client."""

    def may_take(self, function: bytes) -> bool:
        """Whether the client has not taken jobs of too many functions."""

    def passed(self, what: str, *, job: bool = False) -> None:
        """Count what is let through."""

    def refused(self, what: str, reason: str) -> None:
        """Count and log what is not."""

    def oversized(self, what: str, size: int) -> None:
        """Count and log a packet over the limit."""

    def go_on(self) -> None:
        """Have `Talk.step` called again, something has changed."""

    def end(self, reason: str) -> None:
        """End the connection once what was sent has gone out; the reason is logged."""


class Talk(Protocol):
    """One of gearman's two protocols on one connection."""

    begun: int
    """How many packets or commands have begun."""

    @property
    def missing(self) -> int | None:
        """How many bytes at least the client still owes of one; None between two."""

    @property
    def busy(self) -> bool:
        """Whether an end now would cost somebody an answer."""

    def feed(self, data: bytes) -> None:
        """Take what the client said."""

    def step(self) -> bool:
        """Deal with the next packet, or piece of one; False if more must come first.

        Raises packets.Malformed.
        """

    def from_server(self, data: bytes) -> None:
        """Take what gearmand said. Raises packets.Malformed."""

    def dismiss(self, reason: str) -> None:
        """Tell the client why its connection ends."""
