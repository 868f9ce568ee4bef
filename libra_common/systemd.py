"""Word to systemd: ready, reloading, status, stopping, still alive (sd_notify(3)).

A few datagrams on a unix socket, so no library is needed. A daemon that systemd did not start
uses the same object, and every call then does nothing.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping
from typing import Self

_PRIVATE = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID", "WATCHDOG_USEC")


class Notifier:
    """The line to the service manager; it never raises and never blocks.

    `address` is the socket's name as NOTIFY_SOCKET gives it ("" for none), `watchdog_seconds`
    the time within which systemd wants a sign of life (0 for no watchdog).
    """

    def __init__(self, *, address: str = "", watchdog_seconds: float = 0.0) -> None:
        self.watchdog_seconds = watchdog_seconds
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket: socket.socket | None = None
        self._fed = float("-inf")
        self._status = ""

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str] | None = None) -> Self:
        """Take systemd's variables out of the environment, so that no child inherits them.

        A child that kept NOTIFY_SOCKET could report itself ready, or feed the watchdog, in our
        name. WATCHDOG_PID other than our own pid means that the watchdog is not for us.
        """
        source = os.environ if environ is None else environ
        address = source.pop("NOTIFY_SOCKET", "")
        private = {name: source.pop(name, "") for name in _PRIVATE}
        seconds = 0.0
        if private["WATCHDOG_PID"] in ("", str(os.getpid())):
            usec = private["WATCHDOG_USEC"]
            seconds = int(usec) / 1e6 if usec.isascii() and usec.isdigit() else 0.0
        return cls(address=address, watchdog_seconds=seconds)

    def ready(self) -> None:
        """Say that the start, or a reload, is over and the daemon does its work."""
        self._send("READY=1")

    def reloading(self) -> None:
        """Say that settings are being read again; `ready` must follow."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={now}")

    def stopping(self) -> None:
        """Say that the daemon is about to leave."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """Set the line that `systemctl status` shows; the same text again sends nothing."""
        line = " ".join(text.split())
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def alive(self) -> None:
        """Feed the watchdog; to be called for progress made only, as often as one likes."""
        now = time.monotonic()
        if self.watchdog_seconds and now - self._fed >= self.watchdog_seconds / 4:
            self._fed = now
            self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.sendto(
                message.encode("utf-8", "backslashreplace"), socket.MSG_DONTWAIT, self._address
            )
        except (OSError, ValueError):
            # A service manager that is gone or busy is no reason for a load balancer to fail.
            return
