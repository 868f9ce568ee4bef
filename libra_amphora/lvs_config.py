"""What of a controller's configuration of one UDP or SCTP listener may run here. Pure.

Octavia gives such a listener to keepalived, which keeps virtual servers in the kernel's IP_VS and
checks the members. Like `vrrp_config` this reads the language more strictly than keepalived does:
only what is in the tables below goes on, and of check programs only the two that Octavia names,
in whose place Libra's own runs. Which listener, pool and member is meant stands in comments, as
`# Configuration for Member <id>` before what it is about, or `# Member <id> is disabled`.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from libra_amphora.check_user import head
from libra_amphora.lvs_errors import LvsConfigRefused
from libra_amphora.lvs_grammar import (
    CHECKERS,
    FLAGS,
    NAME,
    SEVERAL,
    VALUES,
    check_words,
    is_address,
    number_up_to,
)
from libra_amphora.plugged import IPAddress

LIMIT = 1 << 20
"""The most bytes that a configuration may have."""

Place = tuple[IPAddress, int]
"""An address and a port."""

_ABOUT = re.compile(r"#\s*Configuration for (\w+) ([0-9A-Za-z-]{1,64})\s*")
_DISABLED = re.compile(r"#\s*(\w+) ([0-9A-Za-z-]{1,64}) is disabled\s*")


@dataclass(frozen=True, kw_only=True)
class Server:
    """A member as the kernel has it; `id` is empty where the controller gave none."""

    id: str
    place: Place
    weight: int = 1


@dataclass(frozen=True, kw_only=True)
class Service:
    """What listens: a protocol (UDP, SCTP) at some places, for some members.

    `settings` are the words of its block and what they hold, empty for those that stand alone.
    """

    protocol: str
    places: tuple[Place, ...]
    servers: tuple[Server, ...]
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Line:
    """A line without its comment; a `}` stands in the block that it closes and has no words."""

    number: int
    words: tuple[str, ...]
    path: tuple[str, ...]
    opens: bool = False


@dataclass(frozen=True, kw_only=True)
class LvsConfig:
    """A configuration that may run here, and what is in it.

    `balancer` and `pool` are ids, empty where there is none; `disabled` are members that get
    nothing; `enabled` is the listener's own word; `checked` says whether members are. `text` is
    as it came.
    """

    text: str
    balancer: str
    enabled: bool
    pool: str
    services: tuple[Service, ...]
    disabled: tuple[str, ...]
    checked: bool
    lines: tuple[_Line, ...] = field(repr=False)

    @property
    def addresses(self) -> tuple[IPAddress, ...]:
        """Where clients come to, each once."""
        places = (place for service in self.services for place in service.places)
        return tuple(dict.fromkeys(address for address, _ in places))

    def to_run(self, *, check: Sequence[str], script_user: tuple[str, str]) -> str:
        """The file that keepalived runs from: `check` is the command that its checks begin with.

        `script_user` are the user and group that they run as.
        """
        return "\n".join([*head(script_user), *(_shown(line, check) for line in self.lines), ""])

    def to_check(self) -> str:
        """The file that `keepalived -t` reads: line for line the sender's, without some.

        Without scripts, as with VRRP: keepalived 2.2 may end itself when it tests a file that has
        one. And without weights of 0: that all servers have it is a fault in the test alone.
        """
        shown = {
            line.number: _shown(line, ())
            for line in self.lines
            if not _of_script(line) and not _of_no_weight(line)
        }
        return (
            "\n".join(shown.get(number, "") for number in range(1, max(shown, default=0) + 1))
            + "\n"
        )


def read(data: bytes) -> LvsConfig:
    """Read what a controller sent. Raises LvsConfigRefused naming line and reason."""
    if len(data) > LIMIT:
        raise LvsConfigRefused(f"the configuration has more than {LIMIT} bytes")
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError as error:
        raise LvsConfigRefused("the configuration is not ASCII text") from error
    return _Reader().read(text)


class _Reader:
    """Goes through a text once; what it has seen is what it knows."""

    def __init__(self) -> None:
        self._path: tuple[str, ...] = ()
        self._number = 0
        self._about: dict[str, str] = {}
        self._disabled: list[tuple[str, str]] = []
        self._groups: dict[str, list[Place]] = {}
        self._group = ""
        self._services: list[Service] = []
        self._places: tuple[Place, ...] = ()
        self._protocol = ""
        self._servers: list[Server] = []
        self._settings: dict[str, str] = {}
        self._checked = False

    def read(self, text: str) -> LvsConfig:
        lines = tuple(self._lines(text))
        if self._path:
            raise self._refused(f"{self._path[-1]} is never closed")
        return LvsConfig(
            text=text,
            balancer=self._about.get("Loadbalancer", ""),
            enabled=not any(kind == "Listener" for kind, _ in self._disabled),
            pool=self._about.get("Pool", "")
            or next((id_ for kind, id_ in self._disabled if kind == "Pool"), ""),
            services=tuple(self._services),
            disabled=tuple(id_ for kind, id_ in self._disabled if kind == "Member"),
            checked=self._checked,
            lines=lines,
        )

    def _lines(self, text: str) -> Iterator[_Line]:
        for self._number, raw in enumerate(text.split("\n"), 1):
            if any(ord(character) < 0x20 and character not in "\t\r" for character in raw):
                raise self._refused("holds a control character")
            bare = raw.strip()
            if bare.startswith("#"):
                self._note(bare)
            elif bare == "}":
                yield self._closed()
            elif bare:
                line = self._read(bare)
                if line is not None:
                    yield line

    def _note(self, comment: str) -> None:
        if (found := _ABOUT.fullmatch(comment)) is not None:
            self._about[found[1]] = found[2]
        elif (found := _DISABLED.fullmatch(comment)) is not None and (
            (found[1], found[2]) not in self._disabled
        ):
            self._disabled.append((found[1], found[2]))

    def _closed(self) -> _Line:
        if not self._path:
            raise self._refused("closes a block that was never opened")
        if self._path == ("virtual_server",):
            if not self._protocol:
                raise self._refused("the virtual_server has no protocol")
            self._services.append(
                Service(
                    protocol=self._protocol,
                    places=self._places,
                    servers=tuple(self._servers),
                    settings=self._settings,
                )
            )
        line = _Line(self._number, (), self._path)
        self._path = self._path[:-1]
        return line

    def _read(self, bare: str) -> _Line | None:
        opens = bare.endswith("{")
        try:
            words = tuple(shlex.split(bare.removesuffix("{")))
        except ValueError:
            raise self._refused("has a quote that does not end") from None
        if not words:
            raise self._refused("opens a block without a name")
        if words[0] == "net_namespace" and not self._path and len(words) == 2 and not opens:
            return None  # where it runs is the node's to say
        if opens:
            self._open(words)
            line = _Line(self._number, words, self._path[:-1], opens=True)
        else:
            self._value(words)
            line = _Line(self._number, words, self._path)
        return line

    def _open(self, words: tuple[str, ...]) -> None:
        name, *values = words
        match (self._path, name):
            case ((), "virtual_server_group") if len(values) == 1 and NAME.fullmatch(values[0]):
                self._group = values[0]
                self._groups[self._group] = []
            case ((), "virtual_server") if len(values) == 2:
                self._places = self._named(values)
                self._protocol, self._servers, self._settings = "", [], {}
            case (("virtual_server",), "real_server") if len(values) == 2:
                id_ = self._about.pop("Member", "")
                self._servers.append(Server(id=id_, place=self._place(values)))
            case (("virtual_server", "real_server"), checker) if checker in CHECKERS:
                if values:
                    raise self._refused(f"{checker} has no name")
                self._checked = True
            case (("virtual_server", "real_server", "HTTP_GET"), "url") if not values:
                pass
            case _:
                raise self._refused(f"a block {name!r} is not allowed here")
        self._path = (*self._path, name)

    def _value(self, words: tuple[str, ...]) -> None:
        name, *values = words
        if self._path == ("virtual_server_group",):
            self._groups[self._group].append(self._place(words))
            return
        if self._path[-1:] == ("MISC_CHECK",) and name == "misc_path" and len(values) == 1:
            try:
                check_words(values[0])
            except ValueError as error:
                raise self._refused(str(error)) from None
            return
        if self._path == ("virtual_server",):
            self._settings[name] = " ".join(values)
        if not values and name in FLAGS.get(self._path, ()):
            return
        allowed = VALUES.get(self._path, {}).get(name)
        if allowed is None:
            raise self._refused(f"{name!r} is not allowed here")
        most = len(values) if name in SEVERAL else 1
        if not 1 <= len(values) <= most or not all(map(allowed, values)):
            raise self._refused(f"{name} has no usable value")
        if name == "protocol":
            self._protocol = values[0]
        elif name == "weight":
            self._servers[-1] = replace(self._servers[-1], weight=int(values[0]))

    def _named(self, values: Sequence[str]) -> tuple[Place, ...]:
        if values[0] != "group":
            return (self._place(values),)
        if not self._groups.get(values[1]):
            raise self._refused(f"there is no virtual_server_group {values[1]!r}")
        return tuple(self._groups[values[1]])

    def _place(self, words: Sequence[str]) -> Place:
        if len(words) != 2 or not is_address(words[0]) or not number_up_to(65535)(words[1]):
            raise self._refused("is no address with a port")
        return ipaddress.ip_address(words[0]), int(words[1])

    def _refused(self, why: str) -> LvsConfigRefused:
        return LvsConfigRefused(f"line {self._number}: {why}")


def _of_no_weight(line: _Line) -> bool:
    return line.words[:1] == ("weight",) and int(line.words[1]) == 0


def _of_script(line: _Line) -> bool:
    return "MISC_CHECK" in (*line.path, *line.words[:1])


def _shown(line: _Line, check: Sequence[str]) -> str:
    indent = "    " * (len(line.path) - (not line.words))
    if not line.words:
        return f"{indent}}}"
    if line.words[0] == "misc_path":
        return f'{indent}misc_path "{" ".join((*check, *check_words(line.words[1])))}"'
    return indent + " ".join(line.words) + (" {" if line.opens else "")
