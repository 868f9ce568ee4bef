"""Asks HAProxy itself whether it would start from a file (`haproxy -c`)."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from libra_haproxy.errors import ConfigRefused, HaproxyMissing, HaproxyTimeout

CHECK_SECONDS = 4.5
"""How long a check may take; 10,000 servers need about half a second."""


def check(*, haproxy: Path, config: Path, seconds: float = CHECK_SECONDS) -> None:
    """Return when HAProxy accepts the file.

    Raises ConfigRefused with its complaints, HaproxyMissing, or HaproxyTimeout after `seconds`.
    The environment is empty, so that a file has nothing to read from it.
    """
    try:
        done = subprocess.run(
            [str(haproxy), "-c", "-f", str(config)],
            env={},
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
    if done.returncode != 0:
        said = alerts(done.stderr.decode("utf-8", "replace")) or f"exit status {done.returncode}"
        raise ConfigRefused(f"HAProxy refuses the configuration: {said}")


def must_be_there(haproxy: Path) -> None:
    """Raise HaproxyMissing where there is no program `haproxy` that may be run."""
    try:
        there = haproxy.is_file() and os.access(haproxy, os.X_OK)
    except OSError as error:  # in a folder that is closed to us
        raise HaproxyMissing(f"cannot look for HAProxy at {haproxy}: {error.strerror}") from error
    if not there:
        raise HaproxyMissing(f"there is no HAProxy to run at {haproxy}")


def alerts(output: str) -> str:
    """What HAProxy says is wrong, in one line without process ids and colours."""
    found = re.findall(r"^\[ALERT\]\s+\(\d+\) : (.*)$", output, re.MULTILINE)
    told = [line for line in found if not line.startswith(("config : Fatal", "Fatal errors"))]
    return "; ".join(dict.fromkeys(told or found))[:2000]
