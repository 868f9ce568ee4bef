"""Heartbeats: what the node serves, signed, by UDP to a controller's health manager.

A packet is zlib(JSON) and, as 64 hexadecimal digits, the HMAC-SHA256 of those compressed bytes.
Its version is 2: traffic as totals, not as what came since the last one (3), so that a datagram
that is lost loses nothing. The totals are those of the ledger, which outlive HAProxy and agent.

The receiver counts the listeners and takes the node for failed when enabled ones are missing. So
one that does not serve is left out, and where keepalived is configured and does not run nothing
is sent at all: its addresses are nowhere then.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import itertools
import json
import logging
import socket
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from libra_amphora.conf import HealthSettings
from libra_amphora.snapshot import Listener, Snapshot
from libra_common.settings.values import HostPort

LOG = logging.getLogger(__name__)

VERSION = 2
"""Totals; the receiver's word for it is `ver`."""

MOST_BYTES = 65507
"""What a datagram holds, and just about what the receiver reads."""

_SERVING = ("OPEN", "FULL")
_LEVEL = 9


def message(
    snapshot: Snapshot, *, amphora_id: str, sequence: int, boot: int | None = None
) -> dict[str, Any]:
    """What a heartbeat says of a snapshot, in the receiver's words.

    `boot` is Libra's own: it is higher at each start, and tells an old datagram from a new one.
    Octavia's receiver passes over it.
    """
    return {
        **({} if boot is None else {"boot": boot}),
        "id": amphora_id,
        "seq": sequence,
        "listeners": {
            listener.id: {"status": listener.status, "stats": _stats(listener)}
            for listener in snapshot.listeners
            if listener.status in _SERVING
        },
        "pools": {
            pool.backend: {
                "status": pool.status,
                "members": {member.id: member.status for member in pool.members},
            }
            for pool in snapshot.pools
        },
        "ver": VERSION,
    }


def packet(said: Mapping[str, Any], key: str) -> bytes:
    """The datagram that says it."""
    payload = zlib.compress(json.dumps(said).encode("utf-8"), _LEVEL)
    digest = hmac.new(key.encode("utf-8"), payload, hashlib.sha256).hexdigest()
    return payload + digest.encode("ascii")


class Heartbeat:
    """Sends one in each interval, to one controller after the other.

    `settings` are asked each time, so that key, interval and list may change at any moment.
    `fit` says whether the node may call itself alive. A controller that cannot be reached is
    passed over in silence: it will notice.
    """

    def __init__(
        self,
        *,
        amphora_id: str,
        settings: Callable[[], HealthSettings],
        snapshot: Callable[[], Snapshot],
        fit: Callable[[], bool],
    ) -> None:
        self._amphora_id = amphora_id
        self._settings = settings
        self._snapshot = snapshot
        self._fit = fit
        self._turns = itertools.count()
        self._sequence = itertools.count()
        self._boot: int | None = None
        self._changed = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._silent = False

    def start(self, *, boot: int | None = None) -> None:
        """Begin, with one at once; `boot` is which start of the agent this is."""
        self._boot = boot
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; none is sent after this returns."""
        self._stopping = True
        self._changed.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def changed(self) -> None:
        """The settings are others now: the next one is sent at once."""
        self._changed.set()

    def beat(self) -> HostPort | None:
        """Send one now; gives where to, None where none was sent."""
        settings = self._settings()
        where = settings.controller_ip_port_list
        if not where or not self._may_speak():
            return None
        said = message(
            self._snapshot(),
            amphora_id=self._amphora_id,
            sequence=next(self._sequence),
            boot=self._boot,
        )
        data = packet(said, settings.heartbeat_key)
        if len(data) > MOST_BYTES:
            LOG.error("a heartbeat of %d bytes fits into no datagram", len(data))
            return None
        target = where[next(self._turns) % len(where)]
        try:
            _send(data, target)
        except OSError as error:
            LOG.debug("no heartbeat to %s: %s", target, error)
        return target

    def _run(self) -> None:
        while not self._stopping:
            self._changed.clear()
            began = time.monotonic()
            try:
                self.beat()
            except Exception:  # the next one may be sent again
                LOG.exception("no heartbeat was sent")
            rest = self._settings().heartbeat_interval - (time.monotonic() - began)
            self._changed.wait(max(0.1, rest))

    def _may_speak(self) -> bool:
        fit = self._fit()
        if fit is self._silent:
            if fit:
                LOG.info("keepalived runs: heartbeats are sent again")
            else:
                LOG.error("keepalived is configured and does not run: no heartbeat is sent")
        self._silent = not fit
        return fit


def _stats(listener: Listener) -> dict[str, int]:
    traffic = listener.traffic
    return {
        "tx": traffic.bytes_out,
        "rx": traffic.bytes_in,
        "conns": traffic.connections,
        "totconns": traffic.total_connections,
        "ereq": traffic.request_errors,
    }


def _send(data: bytes, target: HostPort) -> None:
    """Send a datagram to the first address of a host. Raises OSError."""
    found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_DGRAM)
    family, kind, protocol, _, address = found[0]
    with contextlib.closing(socket.socket(family, kind, protocol)) as sender:
        sender.setblocking(False)
        sender.sendto(data, address)
