"""Servers behind a load balancer that say who they are: many places, one process for all."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from tests.support.need import program
from tests.support.ports import free_port
from tests.support.traffic import serves
from tests.support.wait import until

_HEAD = """\
defaults
    mode http
    timeout client 60s
    timeout http-keep-alive 60s
"""
_ONE = """\
frontend {place}
    bind 127.0.0.1:{port}
    http-request return status 200 content-type text/plain string {place}
"""


class HttpMembers:
    """Answers each request with the name of the place that it came to; fast, a HAProxy."""

    def __init__(self, folder: Path, places: Iterable[str]) -> None:
        self.ports = {place: free_port() for place in places}
        self._config = folder / "members.cfg"
        self._config.write_text(
            _HEAD + "".join(_ONE.format(place=p, port=n) for p, n in self.ports.items())
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> HttpMembers:
        self._process = subprocess.Popen(
            [program("haproxy"), "-db", "-q", "-f", str(self._config)], stderr=subprocess.DEVNULL
        )
        for place, port in self.ports.items():
            until(partial(serves, port, place.encode()), f"{place} answers")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()


class EchoMembers:
    """Says the name of the place in a line of its own, then sends every byte back."""

    def __init__(self, places: Iterable[str]) -> None:
        self._places = tuple(places)
        self.ports: dict[str, int] = {}
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> EchoMembers:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.members", *self._places],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.ports = json.loads(self._process.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.communicate()


class _Echo(asyncio.Protocol):
    """One connection; what comes faster than it can be sent back waits."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(f"{self._place}\n".encode())

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)

    def pause_writing(self) -> None:
        assert self._transport is not None
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        assert self._transport is not None
        self._transport.resume_reading()


async def _serve(places: Iterable[str]) -> None:
    loop = asyncio.get_running_loop()
    ports = {}
    for place in places:
        server = await loop.create_server(partial(_Echo, place), "127.0.0.1", 0, backlog=256)
        ports[place] = server.sockets[0].getsockname()[1]
    print(json.dumps(ports), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1:]))
