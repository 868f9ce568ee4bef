"""Take secrets out of what is about to be logged.

Two ways, used together: `masked` knows the structure of an object and masks the value of each
secret name, `mask_text` finds secrets in finished text, however it was put together (JSON, JSON
within JSON, a repr, a header, `name=value`). Where a text leaves doubt about where a secret
ends, more is masked rather than less.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar, cast

MASK = "***"
"""What stands in the place of a secret."""

_MAX_DEPTH = 40
"""Levels of an object that are logged; deeper ones, and circles, are cut."""
_CUT = "..."

# hpcs_object_store_token, X-Auth-Token, password, db_passwd, client_secret, private_key, apiKey,
# TLSKey, Authorization ... `ssl_key` is left out: it is the path of a file, which operators need.
# `input_value` is how pydantic repeats what it refused, at the end of an error's text.
_WORDS = (
    r"(?:token|passw(?:or)?d|passphrase|secret|credential|authorization|authentication"
    r"|(?:private|secret|access|api|tls|server|client|signing|encryption|master|shared|account)"
    r"[_\-. ]?key|(?<![\w/])key(?![\w.])|(?<!ssl)(?<!public)[_\-.]key(?![A-Za-z_.])"
    r"|set-cookie|\bcookie|input_value)"
)
_HINTS = (
    *("token", "passw", "passphrase", "secret", "credential", "auth"),
    "key",
    "cookie",
    "input_v",
)
"""One of these is in each secret name; a search for them is far cheaper than the expression."""
_SECRET_NAME = re.compile(_WORDS, re.IGNORECASE)
_NAME_IN_TEXT = re.compile(
    # The rest of the name (bounded, or a long text of nothing but names would take for ever),
    # its closing quote if it has one, then `:`, `=`, `=>`, or the comma of a pair.
    _WORDS + r"(?:[^\"'\\\r\n:={},]{0,64}\\*[\"']\s*(?:=>|[:=,])|[\w\-.]{0,64}\s*(?:=>|[:=]))\s*",
    re.IGNORECASE,
)
_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_BY_THEIR_LOOKS = re.compile(
    r"\b(?:bearer|basic|digest|negotiate)\s+[A-Za-z0-9._~+/=-]{8,}"  # HTTP credentials
    r"|\bgAAAAA[A-Za-z0-9_=-]{20,}"  # Keystone's Fernet tokens
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"  # JSON web tokens
    r"|(?<=://)[^\s/@:\"']*:[^\s/@\"']+(?=@)",  # the user and password of an address
    re.IGNORECASE,
)
_QUOTE = re.compile(r"[bBuUrRfF]{0,2}(?P<slashes>\\*)(?P<quote>[\"'])")
_BRACKET = re.compile(r"[\[\](){}\"']")

T = TypeVar("T")


def is_secret_name(name: object) -> bool:
    """Tell whether the value under this name must not be logged; in any case of letters."""
    text = name.decode("utf-8", "replace") if isinstance(name, bytes) else name
    return isinstance(text, str) and _SECRET_NAME.search(text) is not None


def masked(obj: T) -> T:
    """Give a deep copy of `obj` for the log, each secret in it replaced by `***`.

    Mappings, lists, tuples and sets are copied, texts and bytes are searched with `mask_text`,
    anything else is given back as it is. `obj` itself is never changed.
    """
    return cast("T", _copy(obj, (), 0))


def mask_text(text: str) -> str:
    """Give `text` with the secrets in it replaced by `***`."""
    if "-----" in text:
        text = _PEM.sub(MASK, text)
    folded = text.casefold()
    if any(hint in folded for hint in _HINTS):
        text = _mask_named(text)
    return _BY_THEIR_LOOKS.sub(MASK, text)


def _copy(obj: Any, above: tuple[int, ...], depth: int) -> Any:
    if isinstance(obj, str):
        return mask_text(obj)
    if isinstance(obj, bytes | bytearray):
        # latin-1 maps each byte to one character and back.
        return type(obj)(mask_text(obj.decode("latin-1")).encode("latin-1"))
    if not isinstance(obj, Mapping | list | tuple | set | frozenset):
        return obj
    if depth >= _MAX_DEPTH or id(obj) in above:
        return _CUT
    inside = (*above, id(obj))
    if isinstance(obj, Mapping):
        return {
            _copy(key, inside, depth + 1): (
                MASK if is_secret_name(key) else _copy(value, inside, depth + 1)
            )
            for key, value in obj.items()
        }
    if _is_header(obj):
        name = next(iter(obj))
        return (name, MASK) if isinstance(obj, tuple) else [name, MASK]
    copies = [_copy(value, inside, depth + 1) for value in obj]
    if isinstance(obj, tuple):
        # A named tuple stays one: its own way of being printed may matter.
        return obj._make(copies) if hasattr(obj, "_make") else tuple(copies)
    if isinstance(obj, list):
        return copies
    return frozenset(copies) if isinstance(obj, frozenset) else set(copies)


def _is_header(obj: Any) -> bool:
    """Tell whether this is a pair of a secret name and its value, as in a list of headers."""
    return type(obj) in (list, tuple) and len(obj) == 2 and is_secret_name(obj[0])


def _mask_named(text: str) -> str:
    parts: list[str] = []
    position = 0
    while (found := _NAME_IN_TEXT.search(text, position)) is not None:
        start = found.end()
        end = _end_of_value(text, start, header="authorization" in found.group().lower())
        # Quotes stay where they are, so that JSON in a log line is still JSON.
        quoted = _QUOTE.match(text, start)
        shown = f"{quoted.group()}{MASK}{quoted['slashes']}{quoted['quote']}" if quoted else MASK
        parts += (text[position:start], shown)
        position = end
    parts.append(text[position:])
    return "".join(parts)


def _end_of_value(text: str, start: int, *, header: bool) -> int:
    """Find where the value that begins at `start` ends, from the way in which it begins."""
    quoted = _QUOTE.match(text, start)
    if quoted:
        return _end_of_quoted(text, quoted)
    if start < len(text) and text[start] in "[({":
        return _end_of_bracketed(text, start)
    # A word by itself. A header such as `Authorization: Bearer abc` goes on to the line's end.
    bare = re.compile(r"[^\r\n]*" if header else r"\S*").match(text, start)
    return bare.end() if bare else start


def _end_of_quoted(text: str, opening: re.Match[str]) -> int:
    """Find the end of a string that begins with the quote `opening`.

    Within JSON that is itself a string, quotes have backslashes before them, and a quote within
    the value has more of them than the quotes around it. So only a quote with as many as the
    first one can be the last; without one the rest of the text is secret.
    """
    slashes, quote = len(opening["slashes"]), opening["quote"]
    closing = re.compile(r"(?<!\\)" + r"\\" * slashes + quote)
    found = closing.search(text, opening.end())
    return found.end() if found else len(text)


def _end_of_bracketed(text: str, start: int) -> int:
    """Find the bracket that closes the one at `start`, passing over quoted strings."""
    depth = 0
    position = start
    while (found := _BRACKET.search(text, position)) is not None:
        sign = found.group()
        position = found.end()
        if sign in "\"'":
            before = found.start()
            while before > start and text[before - 1] == "\\":
                before -= 1
            opening = _QUOTE.match(text, before)
            position = _end_of_quoted(text, opening) if opening else position
        elif sign in "[({":
            depth += 1
        else:
            depth -= 1
            if depth == 0:
                return position
    return len(text)
