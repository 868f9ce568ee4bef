"""A real gate of one test's own, papers of every kind, and ways to speak to it."""

from __future__ import annotations

import contextlib
import datetime
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from libra_common.authority import Authority, Role
from libra_common.jobs import GearmanServer, TlsFiles
from libra_gate.packets import HEADER, REQUEST, packet
from tests.support.gearmand import Gearmand
from tests.support.need import program
from tests.support.ports import free_port
from tests.support.wait import until


class Papers:
    """An authority in a folder, and files of certificates that it made, by name."""

    def __init__(self, folder: Path, name: str = "Libra") -> None:
        self.folder = folder
        self.authority = Authority.create(folder / "ca", name=name)
        self.serials: dict[str, str] = {}

    @property
    def ca(self) -> Path:
        return self.folder / "ca" / "ca.pem"

    @property
    def crl(self) -> Path:
        return self.folder / "ca" / "crl.pem"

    def make(self, file: str, **asked: Any) -> tuple[Path, Path]:
        """Issue a certificate into FILE.crt and FILE.key, anew where they are there."""
        made = self.authority.issue(**asked)
        self.serials[file] = made.serial
        key, cert = self.folder / f"{file}.key", self.folder / f"{file}.crt"
        # Each by a rename, as an operator does it: nobody ever reads half a file.
        for path, text in ((key, made.key), (cert, made.certificate)):
            new = path.with_suffix(f"{path.suffix}.new")
            new.write_text(text)
            new.chmod(0o600)
            new.rename(path)
        return key, cert

    def holder(self, name: str, role: Role | str | None, **asked: Any) -> TlsFiles:
        """What a client called `name` speaks TLS with."""
        file = f"{role}-{name}"
        key, cert = self.make(file, name=name, role=role, **asked)
        return TlsFiles(key, cert, self.ca)

    def server(self, file: str = "gate", **asked: Any) -> tuple[Path, Path]:
        """The papers of a gate at 127.0.0.1."""
        usual = {"name": "gate", "addresses": ["127.0.0.1"], "usage": "server"}
        return self.make(file, **(usual | asked))

    def revoke(self, file: str) -> None:
        self.authority.revoke(self.serials[file])


class Gate:
    """The `libra_gate` daemon in the foreground, before the gearmands given."""

    def __init__(self, papers: Papers, *servers: Gearmand | str, **settings: object) -> None:
        self.papers = papers
        self.port = free_port()
        self._folder = papers.folder
        if not (papers.folder / "gate.key").exists():
            papers.server()
        self.settings: dict[str, object] = {
            "bind": f"127.0.0.1:{self.port}",
            "gearmand": ", ".join(one if isinstance(one, str) else one.address for one in servers),
            "ssl_key": papers.folder / "gate.key",
            "ssl_cert": papers.folder / "gate.crt",
            "ssl_ca": papers.ca,
            "crl": papers.crl,
            "pid": papers.folder / "gate.pid",
            **settings,
        }
        self._log = papers.folder / "gate.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> GearmanServer:
        return GearmanServer("127.0.0.1", self.port)

    @property
    def config(self) -> Path:
        """Its settings file, as the settings are now."""
        path = self._folder / "gate.cfg"
        lines = ["[gate]", *(f"{name} = {value}" for name, value in self.settings.items())]
        path.write_text("\n".join(lines) + "\n")
        return path

    @property
    def said(self) -> str:
        """Its log."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def command(self, *options: str) -> list[str]:
        return [sys.executable, "-m", "libra_gate.main", f"--config-file={self.config}", *options]

    def start(self) -> Self:
        """Start it and wait until it listens."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self.command("--log-level=info"), stderr=log)
        until(self.listens, "the gate listens")
        return self

    def listens(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the gate ended: {self.said}"
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return True
        return False

    def reload(self) -> None:
        """Send SIGHUP and wait for what comes of it."""
        assert self.process is not None
        before = self._reloads()
        self.process.send_signal(signal.SIGHUP)
        until(lambda: self._reloads() > before, "the gate has reloaded")

    def check(self) -> subprocess.CompletedProcess[str]:
        """Run --check-config."""
        return subprocess.run(
            self.command("--check-config"), capture_output=True, text=True, timeout=60, check=False
        )

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(60)

    def _reloads(self) -> int:
        return sum(
            self.said.count(word) for word in ("reloaded\n", "reload refused", "failed, the")
        )


class Raw:
    """A client that speaks packets of its own making, over TLS."""

    def __init__(self, gate: Gate, tls: TlsFiles, *, timeout: float = 20.0) -> None:
        plain = socket.create_connection(("127.0.0.1", gate.port), timeout=timeout)
        self.socket = tls.context.wrap_socket(plain, server_hostname="127.0.0.1")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, kind: int, *fields: bytes) -> None:
        self.socket.sendall(packet(REQUEST, kind, *fields))

    def receive(self) -> tuple[int, bytes] | None:
        """The next packet's kind and body; None at the end."""
        header = self._exactly(HEADER.size)
        if header is None:
            return None
        _, kind, size = HEADER.unpack(header)
        return kind, self._exactly(size) or b""

    def ask(self, line: bytes) -> bytes:
        """One line of the admin protocol, answered by one."""
        self.socket.sendall(line + b"\n")
        answer = b""
        while not answer.endswith(b"\n") and (more := self.socket.recv(4096)):
            answer += more
        return answer

    def ended(self) -> bool:
        """Whether the gate hangs up; what it says before is dropped."""
        try:
            while self.socket.recv(65536):
                pass
        except (ssl.SSLError, ConnectionError):
            return True
        return True

    def _exactly(self, size: int) -> bytes | None:
        data = b""
        while len(data) < size:
            try:
                more = self.socket.recv(size - len(data))
            except (ssl.SSLError, ConnectionError):
                return None
            if not more:
                return None
            data += more
        return data


_TUNNEL = """\
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen plain
    bind 127.0.0.1:{port}
    server gate 127.0.0.1:{target} ssl verify required ca-file {ca} crt {pem} {name}
"""


class Tunnel:
    """A plain port in front of a gate, for tools that speak no TLS: HAProxy with papers."""

    def __init__(self, gate: Gate, tls: TlsFiles) -> None:
        self.port = free_port()
        folder = gate.papers.folder
        pem = folder / f"tunnel-{self.port}.pem"
        pem.write_text(tls.cert.read_text() + tls.key.read_text())
        self._config = folder / f"tunnel-{self.port}.cfg"
        self._config.write_text(
            _TUNNEL.format(port=self.port, target=gate.port, ca=tls.ca, pem=pem, name="")
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [program("haproxy"), "-db", "-q", "-f", str(self._config)], stdout=subprocess.DEVNULL
        )
        until(self._listens, "the tunnel listens")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def run(self, tool: str, *options: str, **how: Any) -> subprocess.CompletedProcess[bytes]:
        """Run one of gearman's own tools against the gate."""
        command = [program(tool), "-h", "127.0.0.1", "-p", str(self.port), *options]
        return subprocess.run(command, capture_output=True, timeout=60, check=False, **how)

    def start(self, tool: str, *options: str) -> subprocess.Popen[bytes]:
        command = [program(tool), "-h", "127.0.0.1", "-p", str(self.port), *options]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def _listens(self) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return True
        return False


def ended_already() -> dict[str, float]:
    """How to ask for a certificate that ends within a second or two."""
    return {"days": datetime.timedelta(seconds=1) / datetime.timedelta(days=1)}


def cut(data: bytes, size: int) -> Sequence[bytes]:
    """Pieces of `size` bytes."""
    return [data[at : at + size] for at in range(0, len(data), size)]
