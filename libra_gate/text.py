"""Gearman's admin protocol on one connection: a command after the other, each judged first."""

from __future__ import annotations

from libra_common.roles import Role
from libra_gate import admin
from libra_gate.admin import Answering, Refused
from libra_gate.packets import Malformed
from libra_gate.talk import Link


class TextTalk:
    """Passes on the commands that are allowed, one at a time, and what may be shown of answers."""

    def __init__(self, link: Link) -> None:
        self.begun = 0
        self._link = link
        self._buffer = bytearray()
        self._answering: Answering | None = None

    @property
    def missing(self) -> int | None:
        """Bytes that the client still owes of its line: one at least."""
        return 1 if self._buffer and self._answering is None else None

    @property
    def busy(self) -> bool:
        """Whether an answer is under way."""
        return self._answering is not None

    def feed(self, data: bytes) -> None:
        """Take what the client said."""
        self._buffer += data

    def step(self) -> bool:
        """Deal with the next line, unless the last one's answer is still to come."""
        if self._answering is not None:
            return False
        line, end, _ = self._buffer.partition(b"\n")
        if len(line) > admin.LINE_LIMIT:
            raise Malformed("a command of gearmand is not that long")
        if not end:
            return False
        del self._buffer[: len(line) + 1]
        self.begun += 1
        try:
            asked = admin.ask(self._link.who, bytes(line))
        except Refused as reason:
            self._link.refused("command", f"{line[:40].decode('latin-1')!a}: {reason}")
            self._link.to_client(admin.refusal(str(reason)))
        else:
            self._link.passed(asked.name.decode())
            self._answering = Answering(asked)
            self._link.to_server(asked.line)
        return True

    def from_server(self, data: bytes) -> None:
        """Show of an answer what may be shown."""
        answering = self._answering
        if answering is None:
            # A second line of an answer; whoever sees only a part of answers misses nothing.
            if self._link.who.role is Role.OPERATOR:
                self._link.to_client(data)
            return
        shown = answering.feed(data)
        if shown:
            self._link.to_client(shown)
        if answering.done:
            self._answering = None
            self._link.go_on()

    def dismiss(self, reason: str) -> None:
        """Say why, unless an answer is under way."""
        if self._answering is None:
            self._link.to_client(admin.refusal(reason))
