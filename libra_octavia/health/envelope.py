"""What a heartbeat is wrapped in: compressed, and signed with a key that all agents share. Pure.

Octavia's own form: zlib(JSON) and behind it the HMAC-SHA256 of those compressed bytes, as 64
hexadecimal digits or, from very old senders, as 32 bytes.
"""

from __future__ import annotations

import hashlib
import hmac
import zlib

from libra_octavia.errors import OctaviaError

MOST_BYTES = 65536
"""More than any datagram holds."""

MOST_UNPACKED = 8 * 1024 * 1024
"""Bytes of JSON; a small datagram must not fill the memory."""

_HEX, _RAW = 64, 32


class BadDatagram(OctaviaError):
    """What came is no heartbeat of ours; says why in words that depend on no content."""

    code = "bad_datagram"


def unwrap(datagram: bytes, key: str) -> bytes:
    """The JSON in a datagram that was signed with `key`. Raises BadDatagram."""
    if len(datagram) > MOST_BYTES:
        raise BadDatagram("is too large")
    return _unpacked(_signed(datagram, key.encode()))


def _signed(datagram: bytes, key: bytes) -> bytes:
    for length in (_HEX, _RAW):
        packed, signature = datagram[:-length], datagram[-length:]
        right = hmac.new(key, packed, hashlib.sha256)
        wanted = right.hexdigest().encode() if length == _HEX else right.digest()
        if packed and hmac.compare_digest(wanted, signature):
            return packed
    raise BadDatagram("is not signed with our key")


def _unpacked(packed: bytes) -> bytes:
    unpacking = zlib.decompressobj()
    try:
        found = unpacking.decompress(packed, MOST_UNPACKED)
    except zlib.error:
        raise BadDatagram("is not compressed as heartbeats are") from None
    if not unpacking.eof or unpacking.unused_data:
        raise BadDatagram("is cut, too large, or has more behind it")
    return found
