"""Waiting for what will be so soon, on machines of any speed."""

from __future__ import annotations

import time
from collections.abc import Callable

_OFTEN, _SELDOM = 0.02, 0.25  # seconds between two looks


def until(condition: Callable[[], object], what: str, seconds: float = 20.0) -> float:
    """Poll until `condition()` is true; return the seconds it took, fail after `seconds`.

    The longer it takes the more seldom is asked: whoever is asked may be who has to get there.
    """
    began = time.monotonic()
    while not condition():
        waited = time.monotonic() - began
        if waited > seconds:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(min(max(_OFTEN, waited / 20), _SELDOM))
    return time.monotonic() - began
