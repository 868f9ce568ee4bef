"""`haproxy -c` with HAProxy's own words, for whoever sent the text."""

from __future__ import annotations

import re
from pathlib import Path

from libra_haproxy.check import refusal

CHECK_SECONDS = 8.0
"""How long a check may take; a caller waits ten seconds."""

_NOISE = re.compile(r"^\[NOTICE\].*\n?", re.MULTILINE)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def complaints(*, haproxy: Path, config: Path, seconds: float = CHECK_SECONDS) -> str | None:
    """What HAProxy finds wrong with a file, line by line; None where it would start from it.

    Raises HaproxyMissing, or HaproxyTimeout after `seconds`.
    """
    said = refusal(haproxy=haproxy, config=config, seconds=seconds)
    if said is None:
        return None
    return _NOISE.sub("", _COLOURS.sub("", said)).strip()[:8000] or "it gives no reason"
