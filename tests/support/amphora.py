"""A real libra_amphora process, its authorities, and a controller's side of its API."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pwd
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme

from tests.support.need import missing, program
from tests.support.ports import free_port
from tests.support.wait import until

AMPHORA_ID = "6e2bc8a0-2548-4fb7-a5f0-fb1ef4a696ce"


@dataclass(frozen=True)
class Reply:
    """What came back: the body as JSON where it is JSON, else as text."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, response: http.client.HTTPResponse) -> Reply:
        data = response.read().decode()
        kind = response.headers.get_content_type()
        return cls(
            response.status,
            json.loads(data) if kind == "application/json" else data,
            {name.lower(): value for name, value in response.headers.items()},
        )


class Authorities:
    """Who signs what: controllers, agents, and somebody whom nobody knows."""

    def __init__(self) -> None:
        self.controllers = trustme.CA()
        self.agents = trustme.CA()
        self.strangers = trustme.CA()

    def server(self, name: str = AMPHORA_ID) -> bytes:
        """Key, certificate and chain of an agent."""
        leaf = self.agents.issue_cert(name, common_name=name, key_type=trustme.KeyType.RSA)
        return leaf.private_key_and_cert_chain_pem.bytes()


class Amphora:
    """One agent below `folder`, which must have a short name."""

    def __init__(
        self,
        *,
        folder: Path,
        authorities: Authorities | None = None,
        haproxy: str | None = None,
        amphora_id: str = AMPHORA_ID,
        **own: object,
    ) -> None:
        self.folder = folder
        self.id = amphora_id
        self.authorities = authorities or Authorities()
        self.haproxy = haproxy or program("haproxy")
        self.port = free_port()
        self.config = folder / "amphora-agent.conf"
        self.log = folder / "log"
        self.state_dir = folder / "state"
        self.run_dir = folder / "run"
        self.certificate = folder / "server.pem"
        self.process: subprocess.Popen[bytes] | None = None
        user = "haproxy" if _everybody_may_run(sys.executable) else "root"
        self._own: dict[str, object] = {"user": user, "group": user, **own}
        self.health: dict[str, object] = {}
        self.prefix: Sequence[str] = ()
        self.certificate.write_bytes(self.authorities.server(amphora_id))
        self.authorities.controllers.cert_pem.write_to_path(str(folder / "client_ca.pem"))
        self.write_config()

    def write_config(self, **own: object) -> None:
        self._own |= own
        lines = [
            "[DEFAULT]",
            "debug = True",
            f"log_file = {self.log}",
            "[amphora_agent]",
            f"agent_server_ca = {self.folder / 'client_ca.pem'}",
            f"agent_server_cert = {self.certificate}",
            f"amphora_id = {self.id}",
            "[haproxy_amphora]",
            "base_path = /var/lib/octavia",
            "base_cert_dir = /var/lib/octavia/certs",
            "bind_host = 127.0.0.1",
            f"bind_port = {self.port}",
            f"haproxy_cmd = {self.haproxy}",
            "[health_manager]",
            *(f"{key} = {value}" for key, value in self.health.items()),
            "[controller_worker]",
            "loadbalancer_topology = SINGLE",
            "[libra_amphora]",
            f"state_dir = {self.state_dir}",
            f"run_dir = {self.run_dir}",
            f"pid = {self.folder / 'pid'}",
            *(f"{key} = {value}" for key, value in self._own.items()),
        ]
        self.config.write_text("\n".join(lines) + "\n")

    # -- the process -------------------------------------------------------------------------

    def start(self, *, wait: bool = True, crash_at: str = "") -> Amphora:
        with (self.folder / "stderr").open("ab") as stderr:
            self.process = subprocess.Popen(
                [
                    *self.prefix,
                    *(sys.executable, "-m", "libra_amphora.main"),
                    *("--config-file", str(self.config)),
                ],
                env={**os.environ, "LIBRA_CRASH_AT": crash_at},
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
            )
        if wait:
            until(lambda: self.answers() or self.ended(), "the agent answers", 60)
            assert not self.ended(), self.said()
        return self

    def run_as_nobody(self) -> None:
        """Have the next start be an ordinary user's, without any capability."""
        if os.geteuid() != 0 or not _everybody_may_run(sys.executable):
            missing("only root can become another user, where that one may run this Python")
        nobody = pwd.getpwnam("nobody")
        for path in (self.folder, self.config, self.certificate, self.folder / "client_ca.pem"):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        self.prefix = [
            program("setpriv"),
            f"--reuid={nobody.pw_uid}",
            f"--regid={nobody.pw_gid}",
            *("--clear-groups", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"),
            # `setpriv` itself still has root's rights when it looks the command up.
            *("--no-new-privs", "--", "env"),
        ]

    def answers(self) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.local("GET", "/info").status == 200
        return False

    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def kill(self) -> None:
        """Kill -9 of the agent alone."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(30)

    def stop(self) -> int:
        """Stop the agent in good order; HAProxy goes on."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(60)

    def reread(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    def close(self) -> None:
        """End everything that belongs to this agent."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        for keeper in self.run_dir.glob("*/keeper.sock"):
            _ask(keeper, "stop")
        for pid in self.pids(b"keepalived"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        until(lambda: not self.pids(b""), "nothing of the agent is left")

    def __enter__(self) -> Amphora:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def said(self) -> str:
        """All that the agent wrote, for the report of a failed test."""
        return "".join(
            path.read_text(errors="replace")
            for path in (self.folder / "stderr", self.log)
            if path.exists()
        )

    def pids(self, *words_of_ours: bytes) -> list[int]:
        """Every keeper and HAProxy process of this agent, or those with other words."""
        wanted = words_of_ours or (b"-W", b"libra_haproxy.keeper")
        needle = str(self.folder).encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with contextlib.suppress(OSError):
                    words = (entry / "cmdline").read_bytes()
                    if needle in words and any(word in words for word in wanted):
                        found.append(int(entry.name))
        return found

    def masters(self) -> list[int]:
        """HAProxy's masters, as their keepers say."""
        said = (_ask(keeper, "status") for keeper in self.run_dir.glob("*/keeper.sock"))
        return [int(status["pid"]) for status in said if status and status["pid"]]

    # -- the API -----------------------------------------------------------------------------

    def context(
        self, leaf: trustme.LeafCert | None = None, *, anonymous: bool = False
    ) -> ssl.SSLContext:
        """A controller's TLS: it trusts the agents' authority and shows a certificate."""
        context = ssl.create_default_context()
        self.authorities.agents.configure_trust(context)
        if not anonymous:
            leaf = leaf or self.authorities.controllers.issue_cert(
                "controller", common_name="controller"
            )
            leaf.configure_cert(context)
        return context

    def connect(
        self, context: ssl.SSLContext | None = None, *, timeout: float = 30
    ) -> http.client.HTTPSConnection:
        """A connection that checks the server's name, as Octavia's client does: the id."""
        context = context or self.context()
        connection = http.client.HTTPSConnection(self.id, timeout=timeout, context=context)
        raw = socket.create_connection(("127.0.0.1", self.port), timeout)
        # As controllers' clients do; else a body waits for the acknowledgement of its head.
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            connection.sock = context.wrap_socket(raw, server_hostname=self.id)
        except BaseException:
            raw.close()
            raise
        return connection

    def call(
        self,
        method: str,
        path: str,
        body: bytes | str | None = None,
        *,
        json_body: object = None,
        context: ssl.SSLContext | None = None,
    ) -> Reply:
        """One request over mutual TLS."""
        connection = self.connect(context)
        try:
            return _asked(connection, method, path, body, json_body)
        finally:
            connection.close()

    def local(
        self, method: str, path: str, body: bytes | str | None = None, *, json_body: object = None
    ) -> Reply:
        """One request by the unix socket."""
        connection = http.client.HTTPConnection("localhost", timeout=30)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(30)
        try:
            connection.sock.connect(str(self.run_dir / "api.sock"))
            return _asked(connection, method, path, body, json_body)
        finally:
            connection.close()


def _asked(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | str | None,
    json_body: object,
) -> Reply:
    headers = {}
    if json_body is not None:
        body = json.dumps(json_body)
        headers["Content-Type"] = "application/json"
    connection.request(method, path, body=body, headers=headers)
    return Reply.read(connection.getresponse())


def _ask(keeper: Path, what: str) -> dict[str, Any] | None:
    with contextlib.suppress(OSError, ValueError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(keeper))
        connection.sendall(json.dumps({"do": what}).encode() + b"\n")
        answer: dict[str, Any] = json.loads(connection.makefile("rb").readline() or "null")
        return answer
    return None


def _everybody_may_run(path: str) -> bool:
    real = Path(path).resolve()
    return all(place.stat().st_mode & 0o001 for place in (real, *real.parents))
