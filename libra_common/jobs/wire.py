"""One connection to a gearman server: pygearman's, with its socket handling replaced.

pygearman keeps the packet formats and the command queues. What is replaced, and why:

* IPv4 only, no connect timeout, no keepalive, plain text unless three settings are set: `dial`;
* its TLS reads spin when there is nothing to read yet (session tickets of TLS 1.3 are enough);
* it reads 4 KB at a time, a thousand turns of its loop for a message of 4 MB, and copies what
  is left after every partial write;
* there is no limit: a length of 2 GB makes it collect 2 GB.
"""

from __future__ import annotations

import select
import socket
import ssl
import struct
from typing import Any, NoReturn

from gearman import protocol
from gearman.connection import GearmanConnection
from gearman.errors import ConnectionError as GearmanConnectionError
from gearman.errors import ProtocolError

from libra_common.jobs.dial import CONNECT_TIMEOUT, dial
from libra_common.jobs.servers import GearmanServer, TlsFiles

HEADER_ROOM = 64 * 1024
"""Bytes a packet may have beyond its message, for handle, function and unique."""

DISCARD_LIMIT = 1024**3
"""Bytes of an oversized job that are read and thrown away; one longer still ends the connection.

Hanging up at once would be worse than reading on: the server would hand the same job out again
and again, and nobody would ever be told.
"""

_HEADER = struct.Struct("!4sII")
_MAGIC = b"\0RES"
_HEAD = 4096  # of an oversized job: enough for handle (64), function (512) and unique (64)
_READ = 256 * 1024  # bytes asked of the socket at once
_TURN = 1024 * 1024  # bytes taken before packets are looked at
_JOBS = (protocol.GEARMAN_COMMAND_JOB_ASSIGN, protocol.GEARMAN_COMMAND_JOB_ASSIGN_UNIQ)


class Cut(bytes):
    """The data of a job over the limit: its first bytes only, and the size that it had."""

    size: int

    @classmethod
    def of(cls, head: bytes, size: int) -> Cut:
        """Keep `head` of data that is `size` bytes long."""
        cut = cls(head)
        cut.size = size
        return cut


class Connection(GearmanConnection):  # type: ignore[misc]  # pygearman carries no types
    """A connection whose reads and writes never block and whose buffers are bounded.

    `message_limit` is in bytes: a job with more arrives as `Cut`, any other packet ends the
    connection. Errors are those of pygearman: `gearman.errors.ConnectionError` when the
    connection is gone, `ProtocolError` when the server speaks nonsense.
    """

    def __init__(
        self,
        *,
        server: GearmanServer,
        tls: TlsFiles | None = None,
        message_limit: int,
        connect_timeout: float = CONNECT_TIMEOUT,
    ) -> None:
        self.server = server
        self._tls = tls
        self._packet_limit = message_limit + HEADER_ROOM
        self._connect_timeout = connect_timeout
        super().__init__(host=server.host, port=server.port)

    # Set-up

    def _reset_connection(self) -> None:
        super()._reset_connection()
        self._incoming_buffer = bytearray()
        self._outgoing_buffer = memoryview(b"")
        self._skip = 0  # bytes of an oversized job still to be thrown away
        self._cut: tuple[int, dict[str, bytes]] | None = None  # that job, delivered afterwards
        self._read_wants_write = False
        self._write_wants_read = False

    def _create_client_socket(self) -> None:
        try:
            opened = dial(self.server, tls=self._tls, timeout=self._connect_timeout)
        except OSError as error:
            self.throw_exception(exception=error)
        opened.setblocking(False)
        self.gearman_socket = opened

    def throw_exception(
        self, message: str | None = None, exception: BaseException | None = None
    ) -> NoReturn:
        """Give the connection up, with a reason in plain words; the catcher names the server."""
        self.connected = False
        if isinstance(exception, OSError) and exception.strerror:
            message = exception.strerror
        raise GearmanConnectionError(message or str(exception))

    # What the poll loop asks

    def interest(self) -> int:
        """Events to poll the socket for; TLS may have to write to read and the other way round."""
        writes = self._read_wants_write or (self.writable() and not self._write_wants_read)
        return select.POLLIN | (select.POLLOUT if writes else 0)

    def pending(self) -> bool:
        """Whether TLS has bytes decrypted already, which poll cannot see."""
        opened = self.gearman_socket
        return isinstance(opened, ssl.SSLSocket) and opened.pending() > 0

    # Reading

    def read_data_from_socket(self, bytes_to_read: int = _READ) -> int:
        """Take what the socket has, up to a bound; return the bytes taken, 0 for "not yet"."""
        if not self.connected:
            self.throw_exception(message="disconnected")
        opened: socket.socket = self.gearman_socket
        self._read_wants_write = self._write_wants_read = False
        taken = 0
        while taken < _TURN:
            try:
                chunk = opened.recv(bytes_to_read)
            except (BlockingIOError, ssl.SSLWantReadError):
                break
            except ssl.SSLWantWriteError:
                self._read_wants_write = True
                break
            except OSError as error:
                self.throw_exception(exception=error)
            if not chunk:
                if taken:
                    break  # what came before the end is still good; the end is met again
                self.throw_exception(message="the server closed the connection")
            taken += len(chunk)
            skipped = min(self._skip, len(chunk))
            self._skip -= skipped
            self._incoming_buffer += memoryview(chunk)[skipped:]
        return taken

    def read_commands_from_buffer(self) -> int:
        """Queue every whole packet; return how many. Raises ProtocolError on nonsense."""
        received = 0
        while (command := self._next_command()) is not None:
            self._incoming_commands.append(command)
            received += 1
        return received

    def _next_command(self) -> tuple[int, dict[str, bytes]] | None:
        if self._skip:
            return None
        if self._cut is not None:
            command, self._cut = self._cut, None
            return command
        buffered: bytearray = self._incoming_buffer
        if not _MAGIC.startswith(buffered[:4]):
            raise ProtocolError(f"not a gearman packet: {bytes(buffered[:16])!r}")
        if len(buffered) < _HEADER.size:
            return None
        _, kind, length = _HEADER.unpack_from(buffered)
        if length > self._packet_limit:
            return self._cut_short(kind, length)
        size = _HEADER.size + length
        if len(buffered) < size:
            return None
        # One copy, and a view for pygearman's slices: megabytes are not copied once per field.
        with memoryview(buffered) as view:
            packet = bytes(view[:size])
        del buffered[:size]
        kind, arguments, _ = protocol.parse_binary_command(memoryview(packet), is_response=True)
        return kind, arguments

    def _cut_short(self, kind: int, length: int) -> tuple[int, dict[str, bytes]] | None:
        """Begin to throw a packet over the limit away, keeping what names the job."""
        if kind not in _JOBS or length > DISCARD_LIMIT:
            raise ProtocolError(f"packet of kind {kind} announces {length} bytes")
        buffered: bytearray = self._incoming_buffer
        if len(buffered) < _HEADER.size + _HEAD:
            return None
        names = protocol.GEARMAN_PARAMS_FOR_COMMAND[kind]
        fields = bytes(buffered[_HEADER.size : _HEADER.size + _HEAD]).split(b"\0", len(names) - 1)
        if len(fields) != len(names):
            raise ProtocolError(f"packet of kind {kind} lacks fields")
        fields[-1] = Cut.of(fields[-1], length - _HEAD + len(fields[-1]))
        dropped = min(len(buffered), _HEADER.size + length)
        del buffered[:dropped]
        self._skip = _HEADER.size + length - dropped
        self._cut = kind, dict(zip(names, fields, strict=True))
        return self._next_command()

    # Writing

    def send_commands_to_buffer(self) -> None:
        """Pack the queued commands behind what is still to be sent."""
        if not self._outgoing_commands:
            return
        packed: list[Any] = [self._outgoing_buffer]
        while self._outgoing_commands:
            packed.append(self._pack_command(*self._outgoing_commands.popleft()))
        self._outgoing_buffer = memoryview(b"".join(packed))

    def send_data_to_socket(self) -> int:
        """Send as much as the socket takes now; return the bytes sent."""
        if not self.connected:
            self.throw_exception(message="disconnected")
        self._write_wants_read = False
        sent = 0
        while self._outgoing_buffer:
            try:
                count = self.gearman_socket.send(self._outgoing_buffer[:_READ])
            except (BlockingIOError, ssl.SSLWantWriteError):
                break
            except ssl.SSLWantReadError:
                self._write_wants_read = True
                break
            except OSError as error:
                self.throw_exception(exception=error)
            sent += count
            self._outgoing_buffer = self._outgoing_buffer[count:]
        return sent

    def flush(self) -> int:
        """Pack and send what is queued, as far as it goes now; return the bytes sent."""
        self.send_commands_to_buffer()
        return self.send_data_to_socket()
