"""What the manual's pages show: commands with what they answer, files to be written, and the rest.

A page shows these in fenced or indented blocks. Each block is of one kind: commands (each line
begins with a program, or with `$`, and then lines of output may follow), a file, or a picture.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

_PROGRAMS = re.compile(
    r"apt-get|cp|curl|echo|gearadmin|gearman|getent|install|kill|ln|make|mkdir|mv|pip|python3|rm"
    r"|sudo|systemctl|tail|tar|useradd|bin/\w+|libra(_\w+)?|/etc/init\.d/\S+"
)
_HEADING = re.compile(r"# (\S+\.(?:cfg|conf|json))\b.*")
_PICTURE = re.compile(r"--+>|==+>|<--|\|  |\|$")
_SETTING = re.compile(r"\[[a-z_:]+\]|#|$|[a-z_]+ = ")
_JSON = re.compile(r"[\[\]{}]|\"")
_FAULT = re.compile(r"\S+\.json: ")


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A command as a page shows it, and the lines of its output, if it shows any."""

    page: str
    line: int
    command: str
    output: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """A file as a page shows it; `name` is in its heading (`# libra.cfg`), or empty."""

    page: str
    line: int
    name: str
    text: str


class UnknownBlock(Exception):
    """A block is of no kind that is known, so nobody can say whether it is a command."""


def read(page: Path) -> list[Shown | File]:
    """All commands and files of a page, in its order. Raises UnknownBlock."""
    found: list[Shown | File] = []
    for first, lines in _blocks(page.read_text().splitlines()):
        found += _understood(page.name, first, lines)
    return found


def commands(page: Path) -> list[Shown]:
    """The commands of a page alone."""
    return [one for one in read(page) if isinstance(one, Shown)]


def matches(shown: tuple[str, ...], said: str) -> bool:
    """Whether a command said what is shown: `...` is anything, and so are widths of columns."""

    def words(text: str) -> str:
        return " ".join(text.split())

    lines = [words(line) for line in said.splitlines() if line.strip()]
    if len(lines) != len(shown):
        return False
    patterns = (re.escape(words(line)).replace(re.escape("..."), ".+") for line in shown)
    return all(re.fullmatch(*pair) for pair in zip(patterns, lines, strict=True))


def _blocks(lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """The fenced and indented blocks, each with the number of its first line.

    An indented block stands after an empty line, four columns further than the text that it is
    in: further by three within a numbered list, as Markdown has it.
    """
    block: list[str] = []
    first, fenced, listed, empty = 0, False, False, True
    for number, line in enumerate([*lines, "end"], start=1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
            if block:
                yield first, _dedented(block)
                block = []
            first = number + 1
            continue
        if fenced:
            block.append(line)
            continue
        depth = len(line) - len(line.lstrip())
        if line.strip() and depth < 4:
            listed = bool(re.match(r"[0-9]+\. |[*-] ", line)) or (listed and depth > 0)
        inside = depth >= (7 if listed else 4)
        if inside and (block or empty):
            first = first if block else number
            block.append(line)
        elif block and line.strip():
            yield first, _dedented(block)
            block = []
        elif block:
            block.append("")
        empty = not line.strip()


def _dedented(block: list[str]) -> list[str]:
    while not block[-1]:
        block.pop()
    depth = min(len(line) - len(line.lstrip()) for line in block if line)
    return [line[depth:] for line in block]


def _understood(page: str, first: int, block: list[str]) -> Iterator[Shown | File]:
    """One block; where a heading begins a file, or an empty line ends one, it is another."""
    if any(map(_PICTURE.search, block)):
        return
    parts: list[tuple[int, list[str]]] = []
    for number, line in enumerate(block, start=first):
        if not parts or _HEADING.fullmatch(line) or (parts[-1][1][-1:] == [""] and _turns(line)):
            parts.append((number, []))
        parts[-1][1].append(line)
    for number, lines in parts:
        yield from _part(page, number, _dedented(lines))


def _turns(line: str) -> bool:
    """Whether commands begin here, after an empty line in a block."""
    return line.startswith("$ ") or _is_command(line)


def _part(page: str, first: int, lines: list[str]) -> Iterator[Shown | File]:
    full = [line for line in lines if line]
    heading = _HEADING.fullmatch(lines[0])
    body = "\n".join(lines[1:] if heading else lines) + "\n"
    if heading or all(map(_SETTING.match, full)) or all(map(_json, full)):
        yield File(page=page, line=first, name=heading[1] if heading else "", text=body)
    elif lines[0].startswith("$ "):
        yield from _session(page, first, lines)
    elif all(map(_is_command, full)):
        for number, line in enumerate(lines, start=first):
            if line:
                yield Shown(page=page, line=number, command=re.sub(r"\s+# .*", "", line))
    elif not all(map(_FAULT.match, full)):
        raise UnknownBlock(f"{page}:{first}: neither commands nor a file nor a picture: {full[0]}")


def _json(line: str) -> bool:
    return bool(_JSON.match(line.strip()))


def _is_command(line: str) -> bool:
    return bool(line.strip() and _PROGRAMS.fullmatch(line.split()[0]))


def _session(page: str, first: int, lines: list[str]) -> Iterator[Shown]:
    starts = [at for at, line in enumerate(lines) if line.startswith("$ ")]
    for at, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        output = tuple(line for line in lines[at + 1 : end] if line)
        yield Shown(page=page, line=first + at, command=lines[at][2:], output=output)
