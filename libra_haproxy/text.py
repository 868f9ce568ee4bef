"""A controller's own HAProxy configuration as lines, sections and the facts in them. Pure.

Only as much is understood as is needed to run it safely and to report what it serves; whether it
is a good configuration is HAProxy's to say.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from libra_haproxy.errors import EngineError
from libra_haproxy.text_words import BadLine, split, word_set

MOST_BYTES = 8 * 1024 * 1024
"""More than 30,000 servers as Octavia writes them."""

SECTIONS = word_set(
    "global defaults frontend backend listen peers resolvers userlist cache mailers"
)
"""The sections that a controller may use."""

OTHER_SECTIONS = word_set("program ring log-forward http-errors fcgi-app crt-store traces acme")
"""The sections that HAProxy knows and a controller may not use: they run or write something."""

_IN_THE_END = (
    "[ALERT] : Error(s) found in configuration file : haproxy.cfg",
    "[ALERT] : Fatal errors found in configuration.",
)
_EVERYWHERE = ("", "*", "::", "0.0.0.0")  # noqa: S104 - nothing is bound here
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


@dataclass(frozen=True)
class Complaint:
    """What is wrong with a line of a text; `line` counts from 1, 0 stands for the whole."""

    line: int
    what: str

    def __str__(self) -> str:
        """As HAProxy would put it."""
        return f"[ALERT] : parsing [haproxy.cfg:{self.line}]: {self.what}"


class TextRefused(EngineError):
    """The text is not taken; `details` holds every complaint in the sender's own line numbers."""

    code = "config_refused"

    def __init__(self, details: str) -> None:
        super().__init__(details)
        self.details = details


@dataclass(frozen=True)
class Line:
    """One line as it came and the words in it, none for an empty one or a comment."""

    number: int
    raw: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """A section: its keyword and name (empty where it has none), and its lines with the head."""

    keyword: str
    name: str
    lines: tuple[Line, ...]

    def values(self, *keyword: str) -> Iterator[tuple[str, ...]]:
        """The words behind a keyword, for each line that begins with it."""
        for line in self.lines[1:]:
            if line.words[: len(keyword)] == keyword:
                yield line.words[len(keyword) :]

    def has(self, *keyword: str) -> bool:
        """Whether a line begins with this keyword."""
        return any(True for _ in self.values(*keyword))


@dataclass(frozen=True)
class Text:
    """A whole configuration. Lines before the first section are in one without a keyword."""

    source: str
    sections: tuple[Section, ...]

    @functools.cached_property
    def frontends(self) -> tuple[Section, ...]:
        """Everything that listens for clients."""
        return tuple(s for s in self.sections if s.keyword in ("frontend", "listen"))

    @functools.cached_property
    def backends(self) -> tuple[Section, ...]:
        """Everything that has servers."""
        return tuple(s for s in self.sections if s.keyword in ("backend", "listen"))

    def mode(self, proxy: Section) -> str:
        """`http` or `tcp`: the proxy's own, else that of the defaults before it."""
        found = "tcp"
        for section in self.sections:
            if section.keyword == "defaults":
                found = next((v[0] for v in section.values("mode") if v), "tcp")
            if section is proxy:
                return next((v[0] for v in section.values("mode") if v), found)
        return found


def parse(source: str) -> Text:
    """Split a configuration up. Raises TextRefused with every line that cannot be read."""
    if len(source) > MOST_BYTES:
        raise TextRefused(f"the configuration is longer than {MOST_BYTES} bytes")
    complaints: list[Complaint] = []
    sections: list[Section] = []
    keyword, name, lines = "", "", list[Line]()
    for number, raw in enumerate(source.split("\n"), 1):
        words: tuple[str, ...] = ()
        if _CONTROL.search(raw):
            complaints.append(Complaint(number, "has a control character."))
        else:
            try:
                words = tuple(split(raw))
            except BadLine as error:
                complaints.append(Complaint(number, f"{error}."))
        if words and words[0] in SECTIONS | OTHER_SECTIONS:
            sections.append(Section(keyword, name, tuple(lines)))
            keyword, name, lines = words[0], words[1] if len(words) > 1 else "", []
        lines.append(Line(number, raw, words))
    sections.append(Section(keyword, name, tuple(lines)))
    if complaints:
        raise refused(complaints)
    return Text(source, tuple(sections))


def refused(complaints: list[Complaint]) -> TextRefused:
    """The error that holds these complaints, the first twenty of them."""
    return TextRefused("\n".join((*map(str, complaints[:20]), *_IN_THE_END)))


def without(text: Text, listener: str) -> str | None:
    """The source without one listener and the backends that it alone used.

    None where it is the only one: then nothing is left to serve.
    """
    others = [s for s in text.frontends if s.name != listener and is_listener(s)]
    if not others:
        return None
    cut = {
        id(s)
        for s in text.sections
        if (s in text.frontends and s.name == listener)
        or (s.keyword == "backend" and s.name.endswith(f":{listener}"))
    }
    return "\n".join(line.raw for s in text.sections if id(s) not in cut for line in s.lines)


def is_listener(section: Section) -> bool:
    """Whether a frontend is one that a controller knows by its id."""
    return _UUID.fullmatch(section.name) is not None


def kind(text: Text, frontend: Section) -> str:
    """TCP, HTTP or TERMINATED_HTTPS."""
    if any("ssl" in words for words in frontend.values("bind")):
        return "TERMINATED_HTTPS"
    return "HTTP" if text.mode(frontend) == "http" else "TCP"


def addresses(text: Text) -> tuple[str, ...]:
    """The addresses that clients come to, each once, without ports."""
    return tuple(dict.fromkeys(host for host in _hosts(text) if host not in _EVERYWHERE))


def everywhere(text: Text) -> bool:
    """Whether clients may come to any address of the node."""
    return any(host in _EVERYWHERE for host in _hosts(text))


def _hosts(text: Text) -> Iterator[str]:
    for frontend in text.frontends:
        for words in frontend.values("bind"):
            for one in words[0].split(",") if words else ():
                yield re.sub(r"^(?:ipv[46]@|tcp[46]?@)", "", one).rpartition(":")[0].strip("[]")
