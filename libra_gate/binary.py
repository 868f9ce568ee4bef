"""Gearman's binary protocol on one connection: each packet judged by its head, then passed on."""

from __future__ import annotations

from collections import deque

from libra_common.roles import Role
from libra_gate import rules
from libra_gate.packets import REQUEST, RESPONSE, Kind, Packet, Reader, error, packet
from libra_gate.talk import Link

_ASSIGNING = frozenset({Kind.JOB_ASSIGN, Kind.JOB_ASSIGN_UNIQ, Kind.JOB_ASSIGN_ALL})
_ANSWERS = frozenset({Kind.WORK_COMPLETE, Kind.WORK_FAIL, Kind.WORK_EXCEPTION})
_MOST_REFUSALS = 64
"""Refusals after which a connection ends; somebody tries things out."""
_LONGEST_SKIPPED = 64 * 1024 * 1024
"""Bytes of the longest packet that is read and thrown away; a longer one ends the connection."""


class BinaryTalk:
    """Passes on what the rules allow, and answers the rest with an ERROR packet in its place.

    What gearmand says is passed on as it is, and followed: an ERROR of ours goes between two of
    its packets, and a connection is `busy` while an answer is under way on it.
    """

    def __init__(self, link: Link) -> None:
        self.begun = 0
        self._link = link
        self._requests = Reader(magic=REQUEST)
        self._responses = Reader(magic=RESPONSE)
        self._passing = False  # whether the pieces of the packet under way go on
        self._errors: list[bytes] = []  # that wait for gearmand's packet to end
        self._refusals = 0
        # What is under way: submitted and not created yet (whether in the foreground), in the
        # foreground and not answered, asked for and not assigned, assigned and not answered.
        self._submitted: deque[bool] = deque()
        self._awaited = 0
        self._grabs = 0
        self._held = 0

    @property
    def missing(self) -> int | None:
        """Bytes that the client still owes."""
        return None if self._requests.between else max(1, self._requests.left)

    @property
    def busy(self) -> bool:
        """Whether a job is under way here, as a client's or as a worker's."""
        return bool(self._submitted) or self._awaited + self._grabs + self._held > 0

    def feed(self, data: bytes) -> None:
        """Take what the client said."""
        self._requests.feed(data)

    def step(self) -> bool:
        """Judge the next packet, or pass on the next piece of one."""
        found = self._requests.next()
        if found is None:
            return False
        if isinstance(found, Packet):
            self.begun += 1
            self._passing = self._judge(found)
            if self._passing:
                self._link.to_server(found.raw)
        elif self._passing:
            self._link.to_server(found)
        return True

    def from_server(self, data: bytes) -> None:
        """Pass on what gearmand said, with our errors between its packets."""
        self._responses.feed(data)
        out = bytearray()
        while (found := self._responses.next()) is not None:
            if isinstance(found, Packet):
                self._follow(found)
                out += found.raw
            else:
                out += found
            if not self._responses.left:
                out += b"".join(self._errors)
                self._errors.clear()
        if out:
            self._link.to_client(bytes(out))

    def dismiss(self, reason: str) -> None:
        """Say why, unless a packet of gearmand's is under way."""
        if not self._responses.left:
            self._link.to_client(error(rules.CODE, reason))

    def _judge(self, asked: Packet) -> bool:
        """Whether a packet passes; if not, the client has been told."""
        refusal = rules.refusal_of(self._link.who, asked) or self._too_many(asked)
        if refusal is not None:
            self._refuse(asked, rules.CODE, refusal.reason)
            self._link.refused(asked.label, refusal.reason)
            self._refusals += 1
            if refusal.ends or self._refusals >= _MOST_REFUSALS:
                self._link.end(refusal.reason)
            return False
        if asked.size > self._link.packet_limit:
            self._leave_out(asked)
            return False
        self._link.passed(asked.label, job=rules.is_job(asked.kind))
        self._note(asked)
        return True

    def _too_many(self, asked: Packet) -> rules.Refusal | None:
        function = rules.function_of(asked)
        if function is None or self._link.who.role is Role.OPERATOR:
            return None
        if self._link.may_take(function):
            return None
        return rules.Refusal("it takes the jobs of too many functions", ends=True)

    def _leave_out(self, asked: Packet) -> None:
        """Skip a packet over the limit, and say so to whoever waits for what was in it."""
        self._link.oversized(asked.label, asked.size)
        reason = f"{asked.size} bytes, at most {self._link.packet_limit} pass"
        self._refuse(asked, rules.TOO_LARGE, reason)
        if rules.is_end(asked.kind):
            # An answer too long to pass must not leave its client waiting for ever.
            handle = asked.head.partition(b"\0")[0]
            self._held = max(0, self._held - 1)
            self._link.to_server(packet(REQUEST, Kind.WORK_FAIL, handle))
        if asked.size > _LONGEST_SKIPPED:
            self._link.end(reason)

    def _refuse(self, asked: Packet, code: str, reason: str) -> None:
        said = error(code, f"{asked}: {reason}")
        if self._responses.left:
            self._errors.append(said)
        else:
            self._link.to_client(said)

    def _note(self, asked: Packet) -> None:
        """Keep account of what the client waits for."""
        if rules.is_job(asked.kind):
            self._submitted.append(rules.is_foreground(asked.kind))
        elif rules.is_grab(asked.kind):
            self._grabs += 1
        elif rules.is_end(asked.kind):
            self._held = max(0, self._held - 1)

    def _follow(self, said: Packet) -> None:
        """Keep account of what gearmand has given."""
        kind = said.kind
        if kind == Kind.JOB_CREATED and self._submitted:
            self._awaited += self._submitted.popleft()
        elif kind == Kind.ERROR and self._submitted:
            self._submitted.popleft()
        elif kind in _ANSWERS:
            self._awaited = max(0, self._awaited - 1)
        elif kind == Kind.NO_JOB or kind in _ASSIGNING:
            self._grabs = max(0, self._grabs - 1)
            self._held += kind in _ASSIGNING
