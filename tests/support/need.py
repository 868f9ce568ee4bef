"""What to do when a test's real parts are not on this machine."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def missing(reason: str) -> NoReturn:
    """Skip on a laptop; fail where CI=true promises that everything is there."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"needed in CI: {reason}", pytrace=False)
    pytest.skip(reason)


def program(name: str) -> str:
    """Return the path of a program, looking where Debian keeps daemons too."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/local/sbin")
    return found or missing(f"{name} is not installed")
