"""What is known of servers in a controller's text: which are checked, their numbers. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from libra_haproxy.downs import Stays
from libra_haproxy.text import Section, Text

_NUMBERS = 0x7FFFFFFF
_CHECKED = ("check", "agent-check")


def checked(text: Text) -> dict[tuple[str, str], Stays]:
    """The servers in use that checks can bring up again, by backend and name.

    One at a name, not an address, is among them too: what is down of it is found by the name.
    """
    found = {}
    inherited: tuple[str, ...] = ()
    for section in text.sections:
        if section.keyword == "defaults":
            inherited = _options(section)
        if section.keyword not in ("backend", "listen") or section.has("disabled"):
            continue
        common = (*inherited, *_options(section))
        for words in section.values("server"):
            stays = _stays(words[1:2], (*common, *words[2:]))
            if stays is not None:
                found[section.name, words[0]] = stays
    return found


def numbers(section: Section) -> dict[str, int]:
    """A number (`id`) for each server of a section by its name; none where the sender gave any.

    HAProxy looks for a free number for each server that has none, which is slow where there are
    thousands. Made from the name, it is the same in each file, on each node, at each time.
    """
    lines = list(section.values("server"))
    names = [words[0] for words in lines if words]
    given = any("id" in words[2:] for words in lines) or section.has("server-template")
    if given or len(set(names)) != len(lines):
        return {}
    found: dict[str, int] = {}
    taken: set[int] = set()
    for name in names:
        number = _number(name)
        while number in taken:
            number = number % _NUMBERS + 1
        taken.add(number)
        found[name] = number
    return found


def _number(name: str) -> int:
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest[:8]) % _NUMBERS + 1


def _options(section: Section) -> tuple[str, ...]:
    return tuple(word for words in section.values("default-server") for word in words)


def _stays(address: Sequence[str], options: Sequence[str]) -> Stays | None:
    host, _, port = "".join(address).rpartition(":")
    weight = "1"
    in_use, checks = True, False
    for word, value in zip(options, (*options[1:], ""), strict=False):
        if word in _CHECKED:
            checks = True
        elif word == "no-check":
            checks = False
        elif word in ("disabled", "enabled"):
            in_use = word == "enabled"
        elif word == "weight":
            weight = value
    if not (in_use and checks and port.isdecimal() and weight.isdecimal()):
        return None
    return Stays(host.strip("[]"), int(port), int(weight))
