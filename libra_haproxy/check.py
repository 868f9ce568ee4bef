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

    Raises ConfigRefused with its complaints in one line, or what `refusal` raises.
    """
    said = refusal(haproxy=haproxy, config=config, seconds=seconds)
    if said is not None:
        words = alerts(said) or " ".join(said.split())[:2000]
        raise ConfigRefused(f"HAProxy refuses the configuration: {words}")


def refusal(*, haproxy: Path, config: Path, seconds: float) -> str | None:
    """What HAProxy says of a file from which it would not start; None where it would.

    Raises HaproxyMissing, or HaproxyTimeout after `seconds`. It is asked from where it runs
    later, and with an empty environment, so that a file has nothing to read from it.
    """
    try:
        done = subprocess.run(
            [str(haproxy.absolute()), "-c", "-f", str(config.absolute())],
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
    return done.stderr.decode("utf-8", "replace").strip() or f"exit status {done.returncode}"


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
