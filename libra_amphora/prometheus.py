"""Metrics of traffic in Octavia's words, for its listeners of PROMETHEUS.

A configuration with such a listener has HAProxy's own metrics at one address of the loopback and
sends who asks for metrics to another one, where they are expected in Octavia's words (Octavia's
user guide, "Monitoring Load Balancers"). That other one is served here, while there is such a
configuration, inside the namespace of the traffic.
"""

from __future__ import annotations

import functools
import http.client
import logging
import os
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from libra_amphora.errors import AmphoraError
from libra_amphora.namespace import Namespace

LOG = logging.getLogger(__name__)

BACKEND = "prometheus-exporter-internal"
"""The backend of a configuration that expects the metrics here."""

_SOURCE = ("127.0.0.1", 9101)
_SERVED_AT = ("127.0.0.1", 9102)
_INTERNAL = "prometheus-exporter"
_SECONDS = 5.0

_NAME = re.compile(r"haproxy_(process|frontend|backend|server)_([a-z0-9_]+)")
_KINDS = {
    "process": "octavia_loadbalancer",
    "frontend": "octavia_listener",
    "backend": "octavia_pool",
    "server": "octavia_member",
}
_LABELS = {
    "frontend": (('proxy="', 'listener="'),),
    "backend": (('proxy="', 'pool="'),),
    "server": (('proxy="', 'pool="'), ('server="', 'member="')),
}
_NOT_OF_TRAFFIC = frozenset({"build_info", "start_time_seconds", "node"})


def translated(text: str) -> Iterator[str]:
    """HAProxy's metrics, line by line in Octavia's words; those without one are left out. Pure."""
    for line in text.splitlines():
        found = _NAME.search(line)
        if found is None or _INTERNAL in line:
            continue
        kind, rest = found[1], found[2]
        if kind == "process" and rest in _NOT_OF_TRAFFIC:
            continue
        prefix = "octavia_memory" if rest.startswith("pool_") else _KINDS[kind]
        said = line[: found.start()] + f"{prefix}_{rest}" + line[found.end() :]
        if not said.startswith("#"):
            for theirs, ours in _LABELS.get(kind, ()):
                said = said.replace(theirs, ours, 1)
        yield said


class NoMetrics(AmphoraError):
    """HAProxy's own metrics cannot be had."""

    code = "no_metrics"


class MetricsProxy:
    """Serves the metrics of the HAProxy inside `namespace`, between `look`s that want it."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._server: ThreadingHTTPServer | None = None
        self._complained = False

    def look(self, *, wanted: bool) -> None:
        """Begin or end to serve; what keeps it from that is logged once and tried again."""
        if wanted and self._server is None:
            self._open()
        elif not wanted and self._server is not None:
            self.close()

    def close(self) -> None:
        """Serve no more."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def metrics(self) -> str:
        """All metrics of this moment. Raises NoMetrics."""
        try:
            text = self._namespace.run(_asked)
        except (OSError, http.client.HTTPException, AmphoraError) as error:
            raise NoMetrics(f"HAProxy does not tell its metrics: {error}") from error
        return "\n".join((*_of_machine(), *translated(text), ""))

    def _open(self) -> None:
        try:
            self._server = self._namespace.run(
                lambda: ThreadingHTTPServer(_SERVED_AT, functools.partial(_Handler, self))
            )
        except (OSError, AmphoraError) as error:
            if not self._complained:
                LOG.warning("no metrics for Prometheus: %s", error)
            self._complained = True
            return
        self._complained = False
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    """Answers whatever is asked for with all metrics."""

    def __init__(self, proxy: MetricsProxy, *args: Any) -> None:
        self._proxy = proxy
        super().__init__(*args)

    def do_GET(self) -> None:
        """The metrics, or 502 where HAProxy does not tell them."""
        try:
            status, text = 200, self._proxy.metrics()
        except NoMetrics as error:
            status, text = 502, f"{error}\n"
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Nothing: HAProxy logs who asks."""


def _asked() -> str:
    connection = http.client.HTTPConnection(*_SOURCE, timeout=_SECONDS)
    try:
        connection.sock = socket.create_connection(_SOURCE, _SECONDS)
        connection.request("GET", "/metrics", headers={"Connection": "close"})
        response = connection.getresponse()
        if response.status != 200:
            raise NoMetrics(f"it answers {response.status}")
        return response.read().decode("utf-8", "replace")
    finally:
        connection.close()


def _of_machine() -> Iterator[str]:
    """How busy the node is, in percent."""
    load = os.getloadavg()[0] / (os.cpu_count() or 1) * 100
    yield "# HELP octavia_loadbalancer_cpu Load of the processors in percent."
    yield "# TYPE octavia_loadbalancer_cpu gauge"
    yield f"octavia_loadbalancer_cpu {load:.1f}"
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        kilobytes = {
            name: int(rest.split()[0]) for name, _, rest in (x.partition(":") for x in lines)
        }
        used = 100 - kilobytes["MemAvailable"] / kilobytes["MemTotal"] * 100
    except (OSError, KeyError, ValueError, IndexError):
        return
    yield "# HELP octavia_loadbalancer_memory Memory in use in percent."
    yield "# TYPE octavia_loadbalancer_memory gauge"
    yield f"octavia_loadbalancer_memory {used:.1f}"
