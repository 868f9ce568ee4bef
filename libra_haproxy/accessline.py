"""What a line of HAProxy's access log is, by its structure alone. Standard library only; pure.

    <134>Nov 21 14:28:25 host haproxy[123]: 192.0.2.1:5 [21/Nov/2026:14:28:25.1] http-in~ ...
    `PRI'`--- kept, as syslog would write it to a file ---------------------------------------

Nothing before the frontend's name is in a client's hand, so its place is certain: it is the third
word behind the first `]: `. Text that a client sends comes later, and is never looked at.
"""

from __future__ import annotations

import re

_NAME = re.compile(rb"[a-z0-9][a-z0-9-]{0,39}", re.ASCII)
_WORDS_BEFORE = 2  # the client's address and the time


def split(line: bytes) -> tuple[str, bytes] | None:
    """The frontend, and the line with its newline as it goes to a file; None for other texts.

    HAProxy tells its loggers of stopped proxies and lost servers too: those are no accesses.
    """
    if line.startswith(b"<"):
        line = line[line.find(b">", 0, 6) + 1 :]
    frontend = frontend_of(line)
    return None if frontend is None else (frontend, line.rstrip(b"\n\0") + b"\n")


def frontend_of(line: bytes) -> str | None:
    """The frontend that a line without priority is of; None where it is no access."""
    _, found, rest = line.partition(b"]: ")
    words = rest.split(b" ", _WORDS_BEFORE + 1)
    if not found or len(words) < _WORDS_BEFORE + 2 or not words[1].startswith(b"["):
        return None
    # `~` marks TLS; a line about a failed handshake names the listener behind a slash.
    name = words[_WORDS_BEFORE].partition(b"/")[0].rstrip(b"~:")
    return name.decode("ascii") if _NAME.fullmatch(name) else None
