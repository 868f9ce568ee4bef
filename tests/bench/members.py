"""The servers behind every load balancer of a run: one fast process, many ports."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, replace
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
frontend {name}
    bind 127.0.0.1:{port}
    http-request return status {status} content-type text/plain string {name}
"""


@dataclass(frozen=True)
class Member:
    """One server: `number` names it for good, its port may change."""

    number: int
    port: int
    weight: int = 1

    @property
    def name(self) -> str:
        return f"m{self.number}"

    @property
    def body(self) -> bytes:
        return self.name.encode()


@dataclass(frozen=True)
class Wanted:
    """What a load balancer shall be; `client_seconds` stands for all that needs a reload.

    With `monitor` members are asked for `/` each second and one bad answer takes them out.
    """

    members: tuple[Member, ...]
    client_seconds: int = 30
    monitor: bool = False
    tcp: bool = False

    def weighted(self, number: int, weight: int) -> Wanted:
        return self._with(number, weight=weight)

    def moved(self, number: int, port: int) -> Wanted:
        return self._with(number, port=port)

    def without(self, number: int) -> Wanted:
        return replace(self, members=tuple(m for m in self.members if m.number != number))

    def plus(self, member: Member) -> Wanted:
        return replace(self, members=(*self.members, member))

    def _with(self, number: int, **fields: int) -> Wanted:
        return replace(
            self,
            members=tuple(
                replace(one, **fields) if one.number == number else one for one in self.members
            ),
        )


class Farm:
    """Answers each request with the member's name; `dead` answers 503, `spare` is a second m1."""

    def __init__(self, folder: Path, count: int = 5) -> None:
        self.members = [Member(number, free_port()) for number in range(1, count + 1)]
        self.spare = Member(1, free_port())
        self.dead = Member(99, free_port())
        self._config = folder / "farm.cfg"
        blocks = [_ONE.format(name=m.name, port=m.port, status=200) for m in self.members]
        blocks.append(
            f"frontend spare\n    bind 127.0.0.1:{self.spare.port}\n"
            "    http-request return status 200 content-type text/plain string m1\n"
        )
        blocks.append(_ONE.format(name=self.dead.name, port=self.dead.port, status=503))
        self._config.write_text(_HEAD + "".join(blocks))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Farm:
        self._process = subprocess.Popen(
            [program("haproxy"), "-db", "-q", "-f", str(self._config)], stderr=subprocess.DEVNULL
        )
        for one in self.members:
            until(lambda one=one: serves(one.port, one.body), f"{one.name} answers")  # type: ignore[misc]
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
