"""A TLS front before a plain port: HAProxy, which may demand a client certificate."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.need import program
from tests.support.ports import free_port
from tests.support.wait import until

_CONFIG = """\
global
    maxconn 200
defaults
    mode tcp
    timeout connect 5s
    timeout client 300s
    timeout server 300s
frontend tls
    bind 127.0.0.1:{port} ssl crt {pem} {demand} {versions}
    default_backend gearmand
backend gearmand
    server one 127.0.0.1:{target}
"""


class TlsFront:
    """HAProxy ending TLS of one version ("TLSv1.2" or "TLSv1.3"), mutual where `ca` is given."""

    def __init__(
        self, *, folder: Path, target: int, pem: Path, ca: Path | None = None, tls: str
    ) -> None:
        self.port = free_port()
        self._config = folder / f"front-{self.port}.cfg"
        versions = f"ssl-min-ver {tls} ssl-max-ver {tls}"
        demand = f"ca-file {ca} verify required" if ca else ""
        self._config.write_text(
            _CONFIG.format(port=self.port, pem=pem, demand=demand, versions=versions, target=target)
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> TlsFront:
        self._process = subprocess.Popen(
            [program("haproxy"), "-db", "-q", "-f", str(self._config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(self._listens, "the TLS front listens")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "haproxy ended at start"
        listening = Path("/proc/net/tcp").read_text().splitlines()
        return any(f":{self.port:04X} 00000000:0000 0A" in line for line in listening)
