"""Words of a line as HAProxy splits them (manual, 2.2), and back. Pure.

Quotes, backslashes and `#` mean what they mean there, so that no spelling of a word hides it.
"""

from __future__ import annotations

import re
import string

_PLAIN = re.compile(r"[A-Za-z0-9_.,:;/@%+=!?()\[\]{}<>|^&*~-]+", re.ASCII)
_SPECIAL = re.compile(r"[\\\"'#]")
_SPACES = re.compile(r"[ \t]+")
_LETTERS = {"n": "\n", "r": "\r", "t": "\t"}
_ITSELF = " \\#\"'$"


class BadLine(ValueError):
    """A line that HAProxy could not split either; the text says why."""


def split(line: str) -> list[str]:
    """The words of a line, without its comment. Raises BadLine for quotes that do not end."""
    if not _SPECIAL.search(line):
        return [word for word in _SPACES.split(line) if word]
    words: list[str] = []
    word: list[str] | None = None
    quote = ""
    position = 0
    while position < len(line):
        sign = line[position]
        position += 1
        if quote == "'":
            if sign == "'":
                quote = ""
            elif word is not None:
                word.append(sign)
            continue
        if not quote and sign in " \t":
            if word is not None:
                words.append("".join(word))
            word = None
            continue
        if not quote and sign == "#":
            break
        word = [] if word is None else word
        if sign == "\\":
            taken, position = _escaped(line, position)
            word.append(taken)
        elif sign == '"':
            quote = "" if quote else '"'
        elif sign == "'" and not quote:
            quote = "'"
        elif sign == "$" and quote:
            raise BadLine("refers to the environment, which is empty here")
        else:
            word.append(sign)
    if quote:
        raise BadLine("has a quote that does not end")
    if word is not None:
        words.append("".join(word))
    return words


def word_set(text: str) -> frozenset[str]:
    """The words of a plain text, for tables."""
    return frozenset(text.split())


def quoted(word: str) -> str:
    """A word as it can stand in a line."""
    if _PLAIN.fullmatch(word):
        return word
    return "'" + word.replace("'", "'\\''") + "'"


def _escaped(line: str, position: int) -> tuple[str, int]:
    """What the backslash before `position` stands for, and where the line goes on."""
    following = line[position : position + 1]
    if following == "x":
        digits = line[position + 1 : position + 3]
        if len(digits) != 2 or not set(digits) <= set(string.hexdigits):
            raise BadLine("has a \\x without two digits")
        return chr(int(digits, 16)), position + 3
    if following in _LETTERS:
        return _LETTERS[following], position + 1
    if following and following in _ITSELF:
        return following, position + 1
    return "\\", position
