"""A server fast enough to stand behind a load generator."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from tests.support.need import program
from tests.support.ports import free_port
from tests.support.traffic import serves
from tests.support.wait import until

_CONFIG = """\
defaults
    mode http
    timeout client 60s
    timeout http-keep-alive 60s
frontend responder
    bind 127.0.0.1:{port}
    http-request return status 200 content-type text/plain string {name}
"""


class Responder:
    """Answers every request with its name; a HAProxy without any backend."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.port = free_port()
        self._config = folder / f"{name}.cfg"
        self._config.write_text(_CONFIG.format(port=self.port, name=name))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Responder:
        self._process = subprocess.Popen(
            [program("haproxy"), "-q", "-f", str(self._config)], stderr=subprocess.DEVNULL
        )
        until(lambda: serves(self.port, self.name.encode()), "the responder answers")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def node(self, **fields: Any) -> dict[str, Any]:
        return {"address": "127.0.0.1", "port": self.port, **fields}
