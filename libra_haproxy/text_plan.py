"""From one text to the next at run time: servers that come, go, or change weight or use. Pure.

Only where HAProxy surely serves the same afterwards as after a reload: in round-robin or
least-connection backends without cookies and stickiness, by options that `add server` knows
(management guide, 9.3). Everything else is a reload, which loses nothing either.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from libra_haproxy import text_servers
from libra_haproxy.commands import deletion
from libra_haproxy.text import Section, Text
from libra_haproxy.tokens import Token

MOST_OPERATIONS = 300
"""From here on a reload is sooner done."""

_SAFE = re.compile(r"[A-Za-z0-9_.:-]{1,100}", re.ASCII)
_WITH_VALUE = frozenset(
    {"id", "weight", "inter", "fastinter", "downinter", "rise", "fall", "port", "addr"}
)
_ALONE = frozenset({"check", "backup", "disabled", "send-proxy", "send-proxy-v2"})


class _Reload(Exception):
    """It cannot be done at run time; the text says why."""


@dataclass(frozen=True)
class Server:
    """A server line that is understood whole; `options` are its words but for two of them."""

    name: str
    address: ipaddress.IPv4Address | ipaddress.IPv6Address
    port: int
    options: tuple[str, ...]
    weight: int
    disabled: bool

    def added(self, backend: str, number: int | None) -> Iterator[Token]:
        """The commands that make it, with the number that the running file would give it."""
        place = f"{backend}/{self.name}"
        address = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        numbered = () if number is None else ("id", str(number))
        words = " ".join(("weight", str(self.weight), *self.options, *numbered))
        yield Token(f"add server {place} {address}:{self.port} {words}")
        if "check" in self.options:
            yield Token(f"enable health {place}")
        if not self.disabled:
            yield Token(f"enable server {place}")


@dataclass(frozen=True)
class TextPlan:
    """The commands, in their order, and the servers (backend, name) that go and come.

    `wanted` has all that come or change, as they shall be then; `renewed` are the files of
    certificates that are read again.
    """

    commands: tuple[Token, ...] = ()
    removed: tuple[tuple[str, str], ...] = ()
    added: tuple[tuple[str, str], ...] = ()
    wanted: Mapping[tuple[str, str], Server] = field(default_factory=dict)
    renewed: tuple[str, ...] = ()


def plan(old: Text, new: Text) -> TextPlan | str:
    """What takes a HAProxy that serves `old` to `new`, or the reason why only a reload does."""
    before, after = _shape(old), _shape(new)
    if [key for key, _ in before] != [key for key, _ in after]:
        return "more than servers has changed"
    if any(one.has("default-server") or one.has("cookie") for one in _defaults(new)):
        return "servers inherit from a section of defaults"
    try:
        plans = [_backend(was, will) for (_, was), (_, will) in zip(before, after, strict=True)]
    except _Reload as reason:
        return str(reason)
    whole = TextPlan(
        commands=tuple(command for one in plans for command in one.commands),
        removed=tuple(place for one in plans for place in one.removed),
        added=tuple(place for one in plans for place in one.added),
        wanted={place: server for one in plans for place, server in one.wanted.items()},
    )
    return whole if len(whole.commands) <= MOST_OPERATIONS else "many servers have changed"


def _defaults(text: Text) -> Iterator[Section]:
    return (section for section in text.sections if section.keyword == "defaults")


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


def _backend(old: Section, new: Section) -> TextPlan:
    """The part of one section."""
    if old.keyword != "backend":
        return TextPlan()
    was, will = _lines(old), _lines(new)
    if was == will:
        return TextPlan()
    _must_be_simple(new)
    wanted = {
        (new.name, name): _server(words) for name, words in will.items() if was.get(name) != words
    }
    added = tuple(place for place in wanted if place[1] not in was)
    removed = tuple((new.name, _server(was[name]).name) for name in was if name not in will)
    commands: list[Token] = []
    numbers = text_servers.numbers(new)
    for place, server in wanted.items():
        if place[1] in was:
            commands += _changed(new.name, _server(was[server.name]), server)
        else:
            commands += server.added(new.name, numbers.get(server.name))
    for place in removed:
        commands += [Token(f"set server {'/'.join(place)} state maint"), deletion(*place)]
    return TextPlan(tuple(commands), removed, added, wanted)


def _must_be_simple(backend: Section) -> None:
    algorithm = next((words[0] for words in backend.values("balance") if words), "")
    if algorithm not in ("roundrobin", "leastconn"):
        raise _Reload(f"{backend.name} balances by {algorithm or 'default'}")
    if backend.has("cookie") or backend.has("stick") or backend.has("stick-table"):
        raise _Reload(f"{backend.name} keeps clients at their servers")
    if backend.has("default-server") or not _SAFE.fullmatch(backend.name):
        raise _Reload(f"{backend.name} cannot be changed by its name and servers alone")


def _changed(backend: str, was: Server, will: Server) -> Iterator[Token]:
    if (was.address, was.port, was.options) != (will.address, will.port, will.options):
        raise _Reload(f"{backend}/{will.name} has another address or other options")
    place = f"{backend}/{will.name}"
    if was.weight != will.weight:
        yield Token(f"set server {place} weight {will.weight}")
    if was.disabled != will.disabled:
        yield Token(f"set server {place} state {'maint' if will.disabled else 'ready'}")


def _server(words: tuple[str, ...]) -> Server:
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
    return Server(name, *_endpoint(address), tuple(kept), int(weight), disabled)


def _endpoint(address: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]:
    """An IP address with a port, as HAProxy takes it; a name would have to be looked up."""
    host, _, port = address.rpartition(":")
    try:
        ip = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        raise _Reload(f"a server has the address {address!r}") from None
    if not port.isdecimal() or getattr(ip, "scope_id", None):
        raise _Reload(f"a server has the address {address!r}")
    return ip, int(port)
