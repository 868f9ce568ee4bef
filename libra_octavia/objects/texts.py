"""Which texts of a customer's can stand in HAProxy's file as they are. Pure.

All that is printable ASCII can be quoted. What a device would take for a file, a socket or a
variable of its own is refused here, as the device would refuse the whole file.
"""

from __future__ import annotations

import re

_PRINTABLE = re.compile(r"[\x20-\x7e]*", re.ASCII)
_OPTIONS = ("-f", "-M")
_SOCKET = re.compile(
    r"(?:^|,)(?:unix|uxst|uxdg|abnsz?|fd|sockpair|ring|rhttp|vsock)@", re.IGNORECASE
)
_MAP = re.compile(r"(?:^|[^a-z0-9_])map(?:_[a-z0-9_]+)?\(")
_OURS = "proc.libra"


def unwritable(text: str, *, longest: int) -> str | None:
    """Why a text cannot stand in HAProxy's file; None where it can, in quotes."""
    if not text:
        return "must not be empty"
    if len(text) > longest:
        return f"must not be longer than {longest} characters"
    if not _PRINTABLE.fullmatch(text):
        return "must be printable ASCII without a line break"
    if text in _OPTIONS:
        return f"{text!r} would be taken for an option of HAProxy"
    found = _SOCKET.search(text) or _MAP.search(text)
    if found or _OURS in text:
        said = found[0] if found else _OURS
        return f"has {said!r} in it, which load balancer devices refuse"
    return None
