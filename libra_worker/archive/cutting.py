"""Cuts the connections of a requests session when the time is up.

requests bounds each step, a byte received for one; a store that says a byte now and then would
keep a caller for ever.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

Opened = Callable[[socket.socket], None]


class Sockets:
    """Every socket that `session` opens from now on; all are shut after `seconds`."""

    def __init__(self, session: requests.Session, *, seconds: float) -> None:
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._cut = False
        adapter = _Adapter(self._opened)
        for scheme in ("http://", "https://"):
            session.mount(scheme, adapter)
        self._timer = threading.Timer(seconds, self._shut)
        self._timer.daemon = True
        self._timer.start()

    def close(self) -> None:
        """Cut nothing any more."""
        self._timer.cancel()

    def _opened(self, one: socket.socket) -> None:
        with self._lock:
            self._open.append(one)
            late = self._cut
        if late:
            self._shut()

    def _shut(self) -> None:
        with self._lock:
            self._cut = True
            shut, self._open = self._open, []
        for one in shut:
            # One that is closed already is as well.
            with suppress(OSError, ValueError):
                one.shutdown(socket.SHUT_RDWR)


class _Adapter(HTTPAdapter):
    """Tells of each socket as soon as it is connected."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **more: Any) -> None:
        """Make pools whose connections tell."""
        super().init_poolmanager(*arguments, **more)
        manager: Any = self.poolmanager
        manager.pool_classes_by_scheme = {
            "http": partial(_pool, HTTPConnectionPool, HTTPConnection, self._opened),
            "https": partial(_pool, HTTPSConnectionPool, HTTPSConnection, self._opened),
        }


def _pool(kind: Any, connection: Any, opened: Opened, *arguments: Any, **more: Any) -> Any:
    class Telling(connection):  # type: ignore[misc]
        def connect(self) -> None:
            super().connect()
            opened(self.sock)

    pool = kind(*arguments, **more)
    pool.ConnectionCls = Telling
    return pool
