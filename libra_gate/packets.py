"""Gearman's binary packets, cut out of a stream as it comes; no input or output.

A packet is four bytes of magic, its kind and the length of its body, both 32 bits big-endian, and
the body: fields with a NUL between them (https://gearman.org/protocol/). Only the first bytes of a
body are ever held back, those with the names that decide whether it may pass; the rest goes on as
it comes. So no length that somebody announces makes anybody collect that many bytes.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

REQUEST = b"\0REQ"
"""The magic of what clients and workers send."""

RESPONSE = b"\0RES"
"""The magic of what servers send."""

HEADER = struct.Struct("!4sII")

HEAD = 2048
"""Bytes of a body that are looked at: two function names (512 each), a unique (64), a handle."""


class Kind(enum.IntEnum):
    """The kinds of packets, by their names in the protocol's description."""

    CAN_DO = 1
    CANT_DO = 2
    RESET_ABILITIES = 3
    PRE_SLEEP = 4
    NOOP = 6
    SUBMIT_JOB = 7
    JOB_CREATED = 8
    GRAB_JOB = 9
    NO_JOB = 10
    JOB_ASSIGN = 11
    WORK_STATUS = 12
    WORK_COMPLETE = 13
    WORK_FAIL = 14
    GET_STATUS = 15
    ECHO_REQ = 16
    ECHO_RES = 17
    SUBMIT_JOB_BG = 18
    ERROR = 19
    STATUS_RES = 20
    SUBMIT_JOB_HIGH = 21
    SET_CLIENT_ID = 22
    CAN_DO_TIMEOUT = 23
    ALL_YOURS = 24
    WORK_EXCEPTION = 25
    OPTION_REQ = 26
    OPTION_RES = 27
    WORK_DATA = 28
    WORK_WARNING = 29
    GRAB_JOB_UNIQ = 30
    JOB_ASSIGN_UNIQ = 31
    SUBMIT_JOB_HIGH_BG = 32
    SUBMIT_JOB_LOW = 33
    SUBMIT_JOB_LOW_BG = 34
    SUBMIT_JOB_SCHED = 35
    SUBMIT_JOB_EPOCH = 36
    SUBMIT_REDUCE_JOB = 37
    SUBMIT_REDUCE_JOB_BACKGROUND = 38
    GRAB_JOB_ALL = 39
    JOB_ASSIGN_ALL = 40
    GET_STATUS_UNIQUE = 41
    STATUS_RES_UNIQUE = 42


_KINDS = frozenset(Kind)


class Malformed(ValueError):
    """What came is no packet; nothing behind it can be understood either."""


@dataclass(frozen=True, slots=True)
class Packet:
    """The beginning of a packet: `head` is its body, or the first `HEAD` bytes of that."""

    kind: int
    size: int
    head: bytes
    magic: bytes

    @property
    def raw(self) -> bytes:
        """What came so far, as it came."""
        return HEADER.pack(self.magic, self.kind, self.size) + self.head

    @property
    def whole(self) -> bool:
        """Whether `head` is all of the body."""
        return len(self.head) == self.size

    @property
    def label(self) -> str:
        """The name of its kind; the same for all that have none, for it is counted by."""
        return Kind(self.kind).name if self.kind in _KINDS else "UNKNOWN"

    def fields(self, count: int) -> list[bytes] | None:
        """Split the body into `count` fields, the last one perhaps cut; None if it has fewer."""
        found = self.head.split(b"\0", count - 1)
        return found if len(found) == count else None

    def __str__(self) -> str:
        return self.label if self.kind in _KINDS else f"packet of kind {self.kind}"


class Reader:
    """Takes bytes by `feed` and gives packets and the pieces of long ones by `next`, in order.

    A piece (bytes) belongs to the packet given before it.
    """

    def __init__(self, *, magic: bytes) -> None:
        self._magic = magic
        self._buffer = bytearray()
        self._left = 0

    @property
    def left(self) -> int:
        """Bytes of the packet under way that have not been given out; 0 between two packets."""
        return self._left

    @property
    def between(self) -> bool:
        """Whether nothing of a packet is here, neither a piece nor the beginning of a header."""
        return not self._left and not self._buffer

    def feed(self, data: bytes | memoryview) -> None:
        """Take what came."""
        self._buffer += data

    def next(self) -> Packet | bytes | None:
        """Give the next packet or piece, None when more must come first. Raises Malformed."""
        buffer = self._buffer
        if self._left:
            if not buffer:
                return None
            piece = bytes(buffer[: self._left]) if len(buffer) > self._left else bytes(buffer)
            del buffer[: len(piece)]
            self._left -= len(piece)
            return piece
        if not self._magic.startswith(bytes(buffer[:4])):
            raise Malformed(f"no gearman packet begins with {bytes(buffer[:12])!r}")
        if len(buffer) < HEADER.size:
            return None
        _, kind, size = HEADER.unpack_from(buffer)
        shown = min(size, HEAD)
        if len(buffer) < HEADER.size + shown:
            return None
        head = bytes(buffer[HEADER.size : HEADER.size + shown])
        del buffer[: HEADER.size + shown]
        self._left = size - shown
        return Packet(kind, size, head, self._magic)


def packet(magic: bytes, kind: int, *fields: bytes) -> bytes:
    """Make a whole packet."""
    body = b"\0".join(fields)
    return HEADER.pack(magic, kind, len(body)) + body


def error(code: str, text: str) -> bytes:
    """Make what a server says where it refuses: a word for programs, a text for people."""
    return packet(RESPONSE, Kind.ERROR, code.encode(), text.encode())
