"""`haproxy -c` with HAProxy's own words, for whoever sent the text."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from libra_haproxy.errors import HaproxyMissing, HaproxyTimeout

CHECK_SECONDS = 8.0
"""How long a check may take; a caller waits ten seconds."""

_NOISE = re.compile(r"^\[NOTICE\].*\n?", re.MULTILINE)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def complaints(*, haproxy: Path, config: Path, seconds: float = CHECK_SECONDS) -> str | None:
    """What HAProxy finds wrong with a file, line by line; None where it would start from it.

    Raises HaproxyMissing, or HaproxyTimeout after `seconds`.
    """
    try:
        done = subprocess.run(
            [str(haproxy), "-c", "-f", str(config)],
            env={},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise HaproxyTimeout(
            f"HAProxy did not finish checking the configuration in {seconds:g} s"
        ) from error
    except OSError as error:
        raise HaproxyMissing(f"cannot run {haproxy}: {error.strerror}") from error
    if done.returncode == 0:
        return None
    said = _NOISE.sub("", _COLOURS.sub("", done.stderr.decode("utf-8", "replace")))
    return said.strip()[:8000] or f"exit status {done.returncode}"
