"""From one text to the next at run time: servers that come, go, or change weight or use. Pure.

Only where HAProxy surely serves the same afterwards as after a reload: in round-robin or
least-connection backends without cookies and stickiness, by options that `add server` knows
(management guide, 9.3). Everything else is a reload, which loses nothing either.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass

from libra_haproxy.text import Section, Text
from libra_haproxy.tokens import Token

MOST_OPERATIONS = 300
"""From here on a reload is sooner done."""

_SAFE = re.compile(r"[A-Za-z0-9_.:-]{1,100}", re.ASCII)
_WITH_VALUE = frozenset(
    {"weight", "inter", "fastinter", "downinter", "rise", "fall", "port", "addr"}
)
_ALONE = frozenset({"check", "backup", "disabled", "send-proxy", "send-proxy-v2"})


class _Reload(Exception):
    """It cannot be done at run time; the text says why."""


@dataclass(frozen=True)
class _Server:
    """A server line that is understood whole; `options` are its words but for two of them."""

    name: str
    address: str
    options: tuple[str, ...]
    weight: str
    disabled: bool

    def added(self, backend: str) -> Iterator[Token]:
        place = f"{backend}/{self.name}"
        words = " ".join(("weight", self.weight, *self.options))
        yield Token(f"add server {place} {self.address} {words}")
        if "check" in self.options:
            yield Token(f"enable health {place}")
        if not self.disabled:
            yield Token(f"enable server {place}")


@dataclass(frozen=True)
class TextPlan:
    """The commands, in their order, and the servers (backend, name) that are to be forgotten."""

    commands: tuple[Token, ...] = ()
    removed: tuple[tuple[str, str], ...] = ()
    added: tuple[tuple[str, str], ...] = ()


def plan(old: Text, new: Text) -> TextPlan | str:
    """What takes a HAProxy that serves `old` to `new`, or the reason why only a reload does."""
    before, after = _shape(old), _shape(new)
    if [key for key, _ in before] != [key for key, _ in after]:
        return "more than servers has changed"
    commands: list[Token] = []
    removed: list[tuple[str, str]] = []
    added: list[tuple[str, str]] = []
    try:
        for (_, was), (_, will) in zip(before, after, strict=True):
            for command, place in _backend(was, will):
                commands += command
                if place and command[0].startswith("add "):
                    added.append(place)
                elif place:
                    removed.append(place)
    except _Reload as reason:
        return str(reason)
    if len(commands) > MOST_OPERATIONS:
        return "many servers have changed"
    return TextPlan(tuple(commands), tuple(removed), tuple(added))


def deletion(backend: str, name: str) -> Token:
    """Forget a server that is in maintenance; refused while it has connections."""
    return Token(f"del server {backend}/{name}")


def _shape(text: Text) -> list[tuple[tuple[object, ...], Section]]:
    """Each section with all that it says but its servers."""
    return [
        (
            tuple(
                line.words
                for line in section.lines
                if line.words and not (section.keyword == "backend" and line.words[0] == "server")
            ),
            section,
        )
        for section in text.sections
    ]


def _lines(section: Section) -> dict[str, tuple[str, ...]]:
    lines = [
        line.words
        for line in section.lines
        if line.words[:1] == ("server",) and len(line.words) > 2
    ]
    found = {words[1]: words for words in lines}
    if len(found) != len(lines):
        raise _Reload("two servers have one name")
    return found


def _backend(old: Section, new: Section) -> Iterator[tuple[list[Token], tuple[str, str] | None]]:
    """Commands, and the server that they add or remove."""
    if old.keyword != "backend":
        return
    was, will = _lines(old), _lines(new)
    if was == will:
        return
    _must_be_simple(new)
    for name, words in will.items():
        server = _server(words)
        if name not in was:
            yield list(server.added(new.name)), (new.name, name)
        elif was[name] != words:
            yield list(_changed(new.name, _server(was[name]), server)), None
    for name in was.keys() - will.keys():
        place = f"{new.name}/{_server(was[name]).name}"
        out = [Token(f"set server {place} state maint"), deletion(new.name, name)]
        yield out, (new.name, name)


def _must_be_simple(backend: Section) -> None:
    algorithm = next((words[0] for words in backend.values("balance") if words), "")
    if algorithm not in ("roundrobin", "leastconn"):
        raise _Reload(f"{backend.name} balances by {algorithm or 'default'}")
    if backend.has("cookie") or backend.has("stick") or backend.has("stick-table"):
        raise _Reload(f"{backend.name} keeps clients at their servers")
    if backend.has("default-server") or not _SAFE.fullmatch(backend.name):
        raise _Reload(f"{backend.name} cannot be changed by its name and servers alone")


def _changed(backend: str, was: _Server, will: _Server) -> Iterator[Token]:
    if (was.address, was.options) != (will.address, will.options):
        raise _Reload(f"{backend}/{will.name} has another address or other options")
    place = f"{backend}/{will.name}"
    if was.weight != will.weight:
        yield Token(f"set server {place} weight {will.weight}")
    if was.disabled != will.disabled:
        yield Token(f"set server {place} state {'maint' if will.disabled else 'ready'}")


def _server(words: tuple[str, ...]) -> _Server:
    """Understand a server line whole, or raise _Reload."""
    _, name, address, *rest = words
    if not _SAFE.fullmatch(name):
        raise _Reload(f"a server is called {name!r}")
    kept: list[str] = []
    weight, disabled = "1", False
    options = iter(rest)
    for option in options:
        if option in _ALONE:
            disabled = disabled or option == "disabled"
            kept += [option] if option != "disabled" else []
            continue
        value = next(options, "")
        if option not in _WITH_VALUE or not _SAFE.fullmatch(value):
            raise _Reload(f"the server {name} has the option {option!r}")
        if option == "weight":
            weight = value
        else:
            kept += [option, value]
    if not weight.isdecimal() or int(weight) > 256:
        raise _Reload(f"the server {name} has the weight {weight!r}")
    return _Server(name, _endpoint(address), tuple(kept), weight, disabled)


def _endpoint(address: str) -> str:
    """An IP address with a port, as HAProxy takes it; a name would have to be looked up."""
    host, _, port = address.rpartition(":")
    try:
        ip = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        raise _Reload(f"a server has the address {address!r}") from None
    if not port.isdecimal() or getattr(ip, "scope_id", None):
        raise _Reload(f"a server has the address {address!r}")
    return f"[{ip}]:{port}" if ip.version == 6 else f"{ip}:{port}"
