"""Whether job servers know a function as ours, in their own words.

A connection can look well from this side and lead nowhere, so the servers are asked by their
admin protocol (notes of gearmand's `workers` command). One whose gate refuses that question is
taken at our own word.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor

from libra_common.health.subject import Check
from libra_common.jobs import AdminClient, AdminRefused, GearmanServer, NoServer, TlsFiles

_SECONDS = 1.0
"""A server that takes longer to say whom it knows does not count."""


class Registration:
    """Looks for `function` as served by a client named `client_id` or `client_id/...`.

    `own` are the servers that our connections say we are registered at. What was found is kept
    for a second, since every page asks.
    """

    def __init__(
        self,
        *,
        servers: Sequence[GearmanServer],
        tls: TlsFiles | None,
        function: str,
        client_id: str,
        own: Callable[[], Collection[GearmanServer]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._servers = tuple(servers)
        self._tls = tls
        self._function = function
        self._client_id = client_id
        self._own = own
        self._clock = clock
        self._lock = threading.Lock()
        self._found: tuple[float, tuple[GearmanServer, ...]] | None = None

    def check(self) -> Check:
        """Registered at one server at least; says at which."""
        found = self.servers()
        missing = [server for server in self._servers if server not in found]
        words = [f"registered at {', '.join(map(str, found))}"] if found else []
        words += [f"not at {', '.join(map(str, missing))}"] if missing else []
        return Check(name="gearman", ok=bool(found), detail="; ".join(words))

    def servers(self) -> tuple[GearmanServer, ...]:
        """The servers that know us, asked all at once."""
        with self._lock:
            if self._found is None or self._clock() - self._found[0] > _SECONDS:
                with ThreadPoolExecutor(len(self._servers)) as threads:
                    known = list(threads.map(self._knows_us, self._servers))
                found = tuple(s for s, yes in zip(self._servers, known, strict=True) if yes)
                self._found = self._clock(), found
            return self._found[1]

    def _knows_us(self, server: GearmanServer) -> bool:
        try:
            lines = AdminClient(server=server, tls=self._tls, timeout=_SECONDS).workers()
        except AdminRefused:
            return server in self._own()
        except NoServer:
            return False
        ours = f"{self._client_id}/"
        return any(
            self._function in line.functions and f"{line.client_id}/".startswith(ours)
            for line in lines
        )
