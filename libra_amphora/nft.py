"""Runs nftables: one transaction at a time, all of it or nothing."""

from __future__ import annotations

import shutil
import subprocess

from libra_amphora.network_errors import RulesRefused

_SECONDS = 5.0
_PATH = "/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/bin"


def is_installed() -> bool:
    """Whether this node has nftables; without it there are no rules of anybody's."""
    return shutil.which("nft", path=_PATH) is not None


def put(transaction: str) -> None:
    """Put a transaction in force, in the calling thread's namespace.

    Raises RulesRefused; what was in force before still is then.
    """
    program = shutil.which("nft", path=_PATH)
    if program is None:
        raise RulesRefused("nftables is not installed on this node")
    try:
        done = subprocess.run(
            [program, "-f", "-"],
            input=transaction,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RulesRefused(f"nftables did not answer within {_SECONDS:g} s") from error
    except OSError as error:
        raise RulesRefused(f"nftables cannot be run: {error.strerror}") from error
    if done.returncode:
        raise RulesRefused(f"nftables refused the rules: {done.stderr.strip()[:500]}")
