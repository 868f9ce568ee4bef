"""gzip on the fly: a stretch of a file as compressed chunks, in constant memory.

The same stretch always gives the same bytes: no time and no name go into the header. gzip files
in a row are one gzip file (RFC 1952, 2.2), so a log that is sent in parts is read back in one.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

from libra_haproxy.errors import DiskError

_READ_BYTES = 1 << 18
_SEND_BYTES = 1 << 16
_GZIP = 31  # zlib's word for its largest window, in a gzip file
_LEVEL = 6  # as gzip(1)
_MOST_PARTS = 1000  # of a static large object, as Swift has it unless told otherwise


class Packed:
    """The `length` bytes of `file` from `start`; iterate once, then ask what it came to.

    `progress` is called for each chunk. Raises DiskError where the file cannot be read.
    """

    def __init__(
        self, file: BinaryIO, *, start: int, length: int, progress: Callable[[], None]
    ) -> None:
        self._file = file
        self._start = start
        self._left = length
        self._progress = progress
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.size = 0
        self.lines = 0

    @property
    def checksum(self) -> str:
        """The MD5 of all chunks so far, in hexadecimal, which is what Swift calls ETag."""
        return self._md5.hexdigest()

    def __iter__(self) -> Iterator[bytes]:
        packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        waiting = bytearray()
        self._seek()
        while chunk := self._read():
            waiting += packer.compress(chunk)
            if len(waiting) >= _SEND_BYTES:
                yield self._counted(waiting)
                waiting.clear()
            else:
                self._progress()
        waiting += packer.flush()
        yield self._counted(waiting)

    def _counted(self, waiting: bytearray) -> bytes:
        self._progress()
        chunk = bytes(waiting)
        self._md5.update(chunk)
        self.size += len(chunk)
        return chunk

    def _seek(self) -> None:
        try:
            self._file.seek(self._start)
        except OSError as error:
            raise DiskError(f"cannot read an access log: {error.strerror}") from error

    def _read(self) -> bytes:
        try:
            chunk = self._file.read(min(_READ_BYTES, self._left))
        except OSError as error:
            raise DiskError(f"cannot read an access log: {error.strerror}") from error
        self._left -= len(chunk)
        self.lines += chunk.count(b"\n")
        return chunk


def parts(size: int, *, most: int) -> list[tuple[int, int]]:
    """Where the parts of a log of `size` bytes begin, and how long they are.

    One part up to `most` bytes; more of this size, and never more than a store takes, above.
    """
    if size <= most:
        return [(0, size)]
    length = max(most, -(-size // _MOST_PARTS))
    return [(start, min(length, size - start)) for start in range(0, size, length)]


def size_of(file: BinaryIO) -> int:
    """How many bytes a log has."""
    return os.fstat(file.fileno()).st_size
