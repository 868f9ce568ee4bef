"""Operations of a plan as commands of HAProxy's runtime API (management guide, 9.3). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from libra_haproxy import tokens
from libra_haproxy.plan import (
    AddServer,
    CloseFrontend,
    OpenFrontend,
    Operation,
    RemoveServer,
    SetAddress,
    SetCertificate,
    SetInUse,
    SetWeight,
)
from libra_haproxy.render import server_words
from libra_haproxy.tokens import Token

_LINE_BYTES = 12_000  # releases from 3.2 on refuse lines of 16 kB
_LINE_COMMANDS = 100


def commands(operations: Iterable[Operation]) -> Iterator[Token]:
    """Each operation's commands, in order; made of tokens as HAProxy's file is."""
    for operation in operations:
        match operation:
            case AddServer(lb, server):
                place = _place(lb.backend, server.name)
                yield Token(f"add server {place} {server_words(lb, server)}")
                yield Token(f"enable health {place}")
                # A new server is in maintenance until it is told otherwise.
                if server.enabled:
                    yield Token(f"enable server {place}")
            case RemoveServer(backend, name):
                yield Token(f"set server {_place(backend, name)} state maint")
                yield deletion(backend, name)
            case SetWeight(backend, name, weight):
                share = tokens.number(weight, high=256)
                yield Token(f"set server {_place(backend, name)} weight {share}")
            case SetAddress(backend, name, address, port):
                # Its check does both; the form with the port in brackets is the file's.
                tokens.endpoint(address, port)
                yield Token(f"set server {_place(backend, name)} addr {address} port {port}")
            case SetInUse(backend, name, in_use):
                word = "ready" if in_use else "maint"
                yield Token(f"set server {_place(backend, name)} state {word}")
            case SetCertificate():
                pass  # its key must be in no line: `loaded.py` carries it out
            case OpenFrontend(frontend):
                yield Token(f"enable frontend {tokens.name(frontend)}")
            case CloseFrontend(frontend):
                yield Token(f"disable frontend {tokens.name(frontend)}")


def deletion(backend: str, name: str) -> Token:
    """Forget a server that is in maintenance; refused while it has connections."""
    return Token(f"del server {_place(backend, name)}")


def down(backend: str, name: str) -> Token:
    """Take a server for down until its checks say otherwise."""
    return Token(f"set server {_place(backend, name)} health down")


def marking(digest: str) -> Token:
    """Say which text the process serves from now on, as `set-var` in the file does."""
    return Token(f"experimental-mode on;set var proc.libra str({tokens.digest(digest)})")


def lines(given: Iterable[Token]) -> Iterator[str]:
    """The commands put together into as few lines as HAProxy takes."""
    line: list[str] = []
    size = 0
    for command in given:
        if line and (len(line) == _LINE_COMMANDS or size + len(command) > _LINE_BYTES):
            yield ";".join(line)
            line, size = [], 0
        line.append(command)
        size += len(command) + 1
    if line:
        yield ";".join(line)


def _place(backend: str, name: str) -> Token:
    return Token(f"{tokens.proxy(backend)}/{tokens.proxy(name)}")
