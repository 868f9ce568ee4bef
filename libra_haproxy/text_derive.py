"""From a controller's text to the file that runs. Pure.

The text stays as it is but for a few lines: who HAProxy runs as, where its sockets and files are
and how it is reloaded is the node's business. Every line remembers which one of the sender's it
comes from, so that HAProxy's complaints name the sender's lines.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from libra_haproxy import downs, text_servers, tokens
from libra_haproxy.text import Line, Section, Text
from libra_haproxy.text_rules import FILE_WORDS, PING
from libra_haproxy.text_words import quoted

NAME = "haproxy.cfg"
"""What a complaint calls the text, whatever the file is called that HAProxy read."""

_SPECIAL = re.compile(r"[\\\"'#]")
"""Signs for which a line may mean less, or more, than its end shows."""

_NO_DIGEST = tokens.digest("0" * 16)

_OWN_FILES = 128
"""Open files for HAProxy itself; each connection takes two, and half a one where it splices."""

_OURS_IN_GLOBAL = (
    *(("daemon",), ("user",), ("group",), ("uid",), ("gid",), ("pidfile",), ("localpeer",)),
    *(("stats", "socket"), ("stats", "timeout"), ("server-state-file",), ("server-state-base",)),
    *(("master-worker",), ("mworker-max-reloads",), ("nbproc",), ("ulimit-n",), ("maxconn",)),
    *(("hard-stop-after",), ("noreuseport",), ("set-dumpable",), ("quiet",), ("debug",)),
)
"""Lines of a global section that are left out, since ours say the same or must not be said."""

_OURS_IN_PROXIES = (("load-server-state-from-file",), ("server-state-file-name",))

_IN_DEFAULTS = (
    "    option contstats",
    "    option idle-close-on-response",
    "    load-server-state-from-file global",
)
"""Counters of running connections; kept connections end with an answer when a process leaves; and
a process that comes knows from the first moment which servers are down (`downs`)."""


class Files(Protocol):
    """The certificates that a controller sent, by the paths that it gives them in its text."""

    def local(self, word: str, path: str) -> Path | None:
        """Where the file is that stands behind a word of `FILE_WORDS`; None for any other.

        For a folder behind `crt` it is a list of what is in it, which ends in `.list`.
        """

    def digests(self) -> Mapping[str, str]:
        """A digest of each file's content, by where it is."""


@dataclass(frozen=True, kw_only=True)
class TextPlace:
    """What the running file says of its machine.

    `peer` is this node's name among HAProxy's peers, empty for none; `maxconn` the most
    connections, `open_files` the most files that HAProxy may have open; `ping` is the program for
    health checks by ping.
    """

    admin_socket: Path
    peer: str
    maxconn: int
    open_files: int
    files: Files
    ping: Path | None = None

    @property
    def downs(self) -> Path:
        """Where HAProxy is told which servers are down; it must be there when it starts."""
        return self.admin_socket.with_name(downs.NAME)


@dataclass(frozen=True)
class Derived:
    """The file that runs, the digest it carries, and for each line the sender's, 0 for ours.

    `files` has a digest of each certificate that it was made with, `paths` their places as the
    sender gives them; both by the places that they have here.
    """

    text: str
    digest: str
    files: Mapping[str, str]
    origins: tuple[int, ...]
    paths: Mapping[str, str]

    def in_senders_words(self, said: str, *, file: Path) -> str:
        """What HAProxy said about `file`, with the sender's lines in the place of its own."""

        def line(found: re.Match[str]) -> str:
            number = int(found[1])
            origin = self.origins[number - 1] if 0 < number <= len(self.origins) else 0
            return f"{NAME}:{origin}" if origin else f"{NAME} (a line of the node's own)"

        said = re.sub(rf"{re.escape(str(file))}:(\d+)", line, said).replace(str(file), NAME)
        for local, sent in self.paths.items():
            said = said.replace(local, sent)
        return said


def derive(text: Text, place: TextPlace) -> Derived:
    """Make the running file. The text must have passed `text_rules.complaints`."""
    files = place.files.digests()
    header = (*_header(place, most=_maxconn(text, place)), f"# certificates {_all(files)}")
    lines = [(0, line) for line in header]
    for section in text.sections:
        lines += _section(section, place)
    body = "\n".join(line for _, line in lines) + "\n"
    digest = hashlib.sha256(body.encode()).hexdigest()[: len(_NO_DIGEST)]
    marked = body.replace(f"str({_NO_DIGEST})", f"str({digest})", 1)
    paths = {local: sent for section in text.sections for local, sent in _paths(section, place)}
    # Files before the folder that they are in.
    paths = dict(sorted(paths.items(), key=lambda path: len(path[0]), reverse=True))
    return Derived(marked, digest, files, tuple(origin for origin, _ in lines), paths)


def _all(files: Mapping[str, str]) -> str:
    """A digest of all files: another one where any has changed."""
    said = "\n".join(f"{name} {digest}" for name, digest in sorted(files.items()))
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _maxconn(text: Text, place: TextPlace) -> int:
    """What the controller asks for, where that fits."""
    asked = [
        int(words[0])
        for section in text.sections
        if section.keyword == "global"
        for words in section.values("maxconn")
        if words and re.fullmatch(r"[1-9][0-9]{0,8}", words[0])
    ]
    servers = sum(1 for backend in text.backends for _ in backend.values("server"))
    fitting = (place.open_files - _OWN_FILES - servers) * 2 // 5
    return max(1, min([place.maxconn, fitting, *asked[-1:]]))


def _header(place: TextPlace, *, most: int) -> Iterator[str]:
    yield "# Made by Libra from the text of a controller, which is kept beside it."
    yield "global"
    yield f"    maxconn {tokens.number(most, low=1)}"
    yield f"    stats socket {tokens.file(place.admin_socket)} mode 660 level admin"
    yield "    stats timeout 1h"
    yield "    noreuseport"
    yield "    hard-stop-after 24h"
    yield "    mworker-max-reloads 100"
    yield f"    server-state-file {tokens.file(place.downs)}"
    # HAProxy's own HTTP client is for Lua, which is refused. To be ready for it, each check and
    # each start would read all of the system's authorities: three quarters of their time.
    yield "    httpclient.ssl.verify none"
    if place.peer:
        yield f"    localpeer {quoted(place.peer)}"
    yield f"    set-var proc.libra str({_NO_DIGEST})"
    yield "defaults"
    yield from _IN_DEFAULTS


def _section(section: Section, place: TextPlace) -> Iterator[tuple[int, str]]:
    numbers = text_servers.numbers(section)
    for line in section.lines:
        number = numbers.get(line.words[1]) if line.words[:1] == ("server",) else None
        more = () if number is None else ("id", str(number))
        yield line.number, _line(section, line, place, more)
        if section.keyword == "defaults" and line is section.lines[0]:
            yield from ((0, ours) for ours in _IN_DEFAULTS)


def _line(section: Section, line: Line, place: TextPlace, more: tuple[str, ...]) -> str:
    """A line as it runs: the sender's own with `more` words, or empty where it is ours to say."""
    words = line.words
    ours = _OURS_IN_GLOBAL if section.keyword == "global" else _OURS_IN_PROXIES
    if section.keyword and any(words[: len(one)] == one for one in ours):
        return ""
    if words[:3] == ("external-check", "command", PING) and place.ping is not None:
        return f"    external-check command {tokens.file(place.ping)}"
    if not any(word in FILE_WORDS for word in words):
        if not more:
            return line.raw
        if not _SPECIAL.search(line.raw):
            return " ".join((line.raw.rstrip(), *more))
    changed = list(words)
    for position, (_, local) in _files(line, place).items():
        changed[position] = local
        if words[0] == "bind" and words[position - 1] == "crt" and local.endswith(".list"):
            changed[position - 1] = "crt-list"
    return "    " + " ".join(map(quoted, (*changed, *more)))


def named_files(text: Text) -> frozenset[tuple[str, str]]:
    """All files that a text names: the word of `FILE_WORDS` and the path behind it."""
    return frozenset(
        (word, path)
        for section in text.sections
        for line in section.lines
        for word, path in itertools.pairwise(line.words)
        if word in FILE_WORDS
    )


def _files(line: Line, place: TextPlace) -> dict[int, tuple[str, str]]:
    """The files that a line names: by their position the sender's path and the one here."""
    found = {}
    for position, (word, path) in enumerate(itertools.pairwise(line.words), 1):
        local = place.files.local(word, path) if word in FILE_WORDS else None
        if local is not None:
            found[position] = (path, str(local))
    return found


def _paths(section: Section, place: TextPlace) -> Iterator[tuple[str, str]]:
    for line in section.lines:
        for sent, local in _files(line, place).values():
            yield local, sent
            folder = str(PurePosixPath(sent).parent) if sent.endswith(".pem") else sent.rstrip("/")
            yield str(Path(local).parent), folder
