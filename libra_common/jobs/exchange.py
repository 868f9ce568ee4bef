"""Packets to and from one server for a caller that waits: a connection with deadlines."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Mapping
from typing import Any

from libra_common.jobs.errors import JobFailed
from libra_common.jobs.wire import Connection


class Exchange:
    """Sends commands and waits for the server's, on a connection of its own.

    Construction connects and may raise pygearman's ConnectionError; `close` ends it, and the
    server then drops a foreground job that is still queued. Deadlines are on `clock`, monotonic
    seconds.
    """

    def __init__(
        self, *, connection: Connection, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._poll = select.poll()
        connection.connect()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def quiet(self) -> bool:
        """Whether it is open and nothing has come; what comes unasked is its end."""
        connection = self._connection
        if not connection.connected or connection.pending():
            return False
        self._poll.register(connection.fileno(), select.POLLIN)
        return not self._poll.poll(0)

    def send(self, kind: int, **fields: bytes) -> None:
        """Queue a command; it goes out while `receive` waits."""
        self._connection.send_command(kind, fields)

    def receive(self, deadline: float, *, stall: float | None = None) -> tuple[int, dict[str, Any]]:
        """Wait for the server's next command: its kind and its fields (bytes).

        Raises TimeoutError at the deadline, or when for `stall` seconds not a byte went either
        way; pygearman's errors when the connection breaks or the server speaks nonsense.
        """
        connection = self._connection
        moved = self._clock()
        while True:
            command: tuple[int, dict[str, Any]] | None = connection.read_command()
            if command is not None:
                return command
            until = deadline if stall is None else min(deadline, moved + stall)
            left = until - self._clock()
            if left <= 0:
                raise TimeoutError
            if connection.flush():
                moved = self._clock()
            if not connection.pending():
                self._poll.register(connection.fileno(), connection.interest())
                if not self._poll.poll(int(left * 1000) + 1):
                    continue
            if connection.read_data_from_socket():
                moved = self._clock()
            connection.read_commands_from_buffer()


def refusal(fields: Mapping[str, bytes]) -> JobFailed:
    """What a server says by a command ERROR, which has these fields."""
    words = (fields["error_code"] + b" " + fields["error_text"]).decode("utf-8", "replace")
    return JobFailed(f"the gearman server says {words}")
