"""Where options are tried: backends, a load balancer that serves a body, and its clients."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from libra_amphora.namespace import Namespace
from libra_amphora.prometheus import BACKEND, MetricsProxy
from libra_octavia.files import files
from libra_octavia.model import LoadBalancer
from libra_octavia.render import Place, render
from libra_octavia.translate import translate
from tests.support.backends import EchoBackend, HttpBackend
from tests.support.haproxies import Haproxy
from tests.support.health_backend import HealthBackend
from tests.support.options.graph import Body, shown
from tests.support.ports import free_port
from tests.support.tls_backend import TlsBackend
from tests.support.traffic import Answer
from tests.support.wait import until

B = TypeVar("B")

PEER = "device-1"
FAST = {"delay": 1, "timeout": 1, "max_retries": 1, "max_retries_down": 1}
"""A health monitor that finds out soon."""


class Stage:
    """What a proof has. Load balancers serve at `host`; clients come from `near` or `far`.

    Members are at `home` and `home6` (empty for none); nobody answers at `silent`.
    """

    host = "127.0.0.1"
    near = "127.0.0.1"
    far = "127.0.0.2"
    home = "127.0.0.1"
    home6 = "::1"
    silent = "127.0.0.2"

    def __init__(self) -> None:
        self.port = free_port()
        self._open = contextlib.ExitStack()

    def close(self) -> None:
        """End all that was started."""
        self._open.close()

    # -- what is behind ------------------------------------------------------------------------

    def web(self, name: str, host: str | None = None) -> HttpBackend:
        """A web server that says its name."""
        return self._open.enter_context(HttpBackend(name, host=host or self.home))

    def echo(self) -> EchoBackend:
        """A server that sends back what it gets."""
        return self._open.enter_context(EchoBackend(self.home))

    def tls(self, name: str, **options: Any) -> TlsBackend:
        """A web server by TLS."""
        return self._open.enter_context(TlsBackend(name, host=self.home, **options))

    def health(self, name: str, status: int = 200) -> HealthBackend:
        """A web server whose health can be said."""
        return self._open.enter_context(HealthBackend(name, status, self.home))

    def start(self, backend: B) -> B:
        """Any other."""
        self._open.enter_context(backend)  # type: ignore[arg-type]
        return backend

    def dead(self) -> Body:
        """A member that is dead."""
        return {"address": self.home, "protocol_port": free_port(self.home)}

    def member(self, backend: Any, **fields: Any) -> Body:
        """A backend as a member."""
        return {"address": self.home, "protocol_port": backend.port, **fields}

    # -- the load balancer ---------------------------------------------------------------------

    def serve(self, body: Body, secrets: Mapping[str, Any] | None = None) -> None:
        """Have exactly this served. Called again, it replaces what is served."""
        raise NotImplementedError

    def simple(
        self,
        *backends: Any,
        front: Body | None = None,
        behind: Body | None = None,
        secrets: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> None:
        """Serve one listener at `port`, with one pool of these backends or members."""
        members = [one if isinstance(one, dict) else self.member(one) for one in backends]
        pool = {
            "name": "pool",
            "protocol": "HTTP",
            "lb_algorithm": "ROUND_ROBIN",
            "members": members,
            **(behind or {}),
        }
        listener = {
            "protocol": "HTTP",
            "protocol_port": self.port,
            "default_pool": {"name": "pool"},
            **(front or {}),
        }
        self.serve({"listeners": [listener], "pools": [pool], **fields}, secrets)

    # -- its clients ---------------------------------------------------------------------------

    def get(
        self,
        path: str = "/",
        *,
        headers: Mapping[str, str] | None = None,
        context: ssl.SSLContext | None = None,
        name: str = "www.example.org",
        source: str | None = None,
        port: int | None = None,
    ) -> Answer:
        """One GET on a connection of its own, by TLS where there is a context."""
        with self.connect(context=context, name=name, source=source, port=port) as opened:
            connection = http.client.HTTPConnection(self.host, port or self.port, timeout=15)
            connection.sock = opened
            connection.request("GET", path, headers={"Connection": "close", **(headers or {})})
            response = connection.getresponse()
            got = {key.title(): value for key, value in response.headers.items()}
            return Answer(response.status, response.read(), got)

    def connect(
        self,
        *,
        context: ssl.SSLContext | None = None,
        name: str = "www.example.org",
        source: str | None = None,
        port: int | None = None,
    ) -> socket.socket:
        """A connection to the listener."""
        plain = socket.create_connection(
            (self.host, port or self.port), 15, source_address=(source or self.near, 0)
        )
        if context is None:
            return plain
        try:
            return context.wrap_socket(plain, server_hostname=name)
        except BaseException:
            plain.close()
            raise

    def bodies(self, times: int, **options: Any) -> dict[str, int]:
        """Who answered how often."""
        found: dict[str, int] = {}
        for _ in range(times):
            said = self.get(**options).body.decode()
            found[said] = found.get(said, 0) + 1
        return found

    def soon(self, status: int = 200, **options: Any) -> None:
        """Wait until requests are answered so."""
        until(lambda: self.get(**options).status == status, f"an answer of {status}")


class Runner:
    """A HAProxy that serves what is rendered; certificates lie in `folder`."""

    def __init__(self, haproxy: Haproxy, folder: Path) -> None:
        self._haproxy = haproxy.path()
        self._folder = folder
        self._peers = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.text = ""

    def serve(self, balancer: LoadBalancer) -> None:
        """Replace what runs; nothing runs where nothing is served."""
        self.stop()
        place = Place(
            maxconn=1000,
            peer=(PEER, "127.0.0.1", self._peers),
            certificates=PurePosixPath(self._folder / "certs"),
        )
        self.text = text = render(balancer, place)
        for name, content in files(balancer, folder=place.certificates).items():
            path = self._folder / "certs" / balancer.id / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if not text:
            return
        # A node puts its own program in the place of this one; ours knows one host that answers.
        ping = self._folder / "ping"
        ping.write_text('#!/bin/sh\ntest "$3" = 127.0.0.1\n')
        ping.chmod(0o755)
        text = text.replace("/var/lib/octavia/ping-wrapper.sh", str(ping))
        file = self._folder / "haproxy.cfg"
        admin = f"global\n    stats socket {self._folder / 'admin.sock'} level admin\n"
        file.write_text(admin + text)
        self._process = subprocess.Popen(
            [self._haproxy, "-db", "-L", PEER, "-f", str(file)],
            env={},
            stdin=subprocess.DEVNULL,
            stderr=(self._folder / "haproxy.said").open("wb"),
        )
        until(self._answers, "HAProxy answers")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        assert self._process is not None
        said = (self._folder / "haproxy.said").read_text(errors="replace")
        assert self._process.poll() is None, f"{said}\n{self.text}"
        try:
            with socket.socket(socket.AF_UNIX) as asked:
                asked.settimeout(10)
                asked.connect(str(self._folder / "admin.sock"))
                asked.sendall(b"show info\n")
                return bool(asked.recv(100))
        except OSError:
            return False


class RenderedStage(Stage):
    """What Octavia's tree would be is read, rendered and served by a HAProxy on the loopback."""

    def __init__(self, haproxy: Haproxy, folder: Path) -> None:
        super().__init__()
        self._ids: dict[str, str] = {}
        self._runner = Runner(haproxy, folder)
        self._open.callback(self._runner.stop)
        self._metrics = MetricsProxy(Namespace(""))
        self._open.callback(self._metrics.close)

    def serve(self, body: Body, secrets: Mapping[str, Any] | None = None) -> None:
        tree = shown({"vip_address": self.host, **body}, secrets or {}, self._ids)
        self._runner.serve(translate(tree))
        self._metrics.look(wanted=BACKEND in self._runner.text)
