"""Receives heartbeats by UDP, and does nothing else: what it reads goes into the inbox."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable

from libra_common.settings.values import HostPort
from libra_octavia.health.envelope import MOST_BYTES, BadDatagram, unwrap
from libra_octavia.health.message import Beat, read
from libra_octavia.health.tally import Tally

LOG = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5
_AGAIN_SECONDS = 5.0
_BUFFER = 4 * 1024 * 1024
"""Bytes that the kernel keeps for us while we are busy; it may give less."""


def listen(where: HostPort) -> socket.socket:
    """A socket bound to an address. Raises OSError."""
    found = socket.getaddrinfo(
        where.host, where.port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE
    )
    family, kind, protocol, _, address = found[0]
    opened = socket.socket(family, kind, protocol)
    try:
        with contextlib.suppress(OSError):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        opened.bind(address)
    except OSError:
        opened.close()
        raise
    opened.settimeout(_LOOK_SECONDS)
    return opened


class Receiver:
    """A thread that receives. `taken` is given each heartbeat and says whether it took it.

    Where the address cannot be had it is tried again and again: load balancers serve without.
    """

    def __init__(
        self, *, where: HostPort, key: str, taken: Callable[[Beat], bool], tally: Tally
    ) -> None:
        self._where = where
        self._key = key
        self._taken = taken
        self._tally = tally
        self._ends = threading.Event()
        self._bound = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeats", daemon=True)

    @property
    def bound(self) -> bool:
        """Whether heartbeats can come."""
        return self._bound.is_set()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """End within `seconds`."""
        self._ends.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        while not self._ends.is_set():
            try:
                with listen(self._where) as opened:
                    LOG.info("heartbeats are received at %s", self._where)
                    self._bound.set()
                    self._receive(opened)
            except OSError as error:
                LOG.error("no heartbeats can be received at %s: %s", self._where, error)
                self._bound.clear()
                self._ends.wait(_AGAIN_SECONDS)

    def _receive(self, opened: socket.socket) -> None:
        while not self._ends.is_set():
            self._tally.say()
            try:
                datagram, address = opened.recvfrom(MOST_BYTES + 1)
            except TimeoutError:
                continue
            source = str(address[0])
            try:
                beat = read(unwrap(datagram, self._key))
            except BadDatagram as error:
                self._tally.add(str(error), source)
                continue
            except Exception as error:  # noqa: BLE001 - one datagram must not end all others
                self._tally.add(f"cannot be read, a fault of Libra ({error!r:.100})", source)
                continue
            if not self._taken(beat):
                self._tally.add("came late or twice", source)
