"""Starting what has passed a device's check: what a busy device cannot do now it can do soon."""

from __future__ import annotations

from collections.abc import Callable

from libra_octavia.devices.api import NotStarted

_PAUSES = (1.0, 4.0)
"""Seconds between the tries."""


def start(act: Callable[[], None], *, sleep: Callable[[float], None]) -> NotStarted | None:
    """Have `act` start it; why that could not be several times in a row, None where it was.

    Raises whatever else `act` raises, at once.
    """
    for pause in _PAUSES:
        try:
            act()
        except NotStarted:
            sleep(pause)
        else:
            return None
    try:
        act()
    except NotStarted as error:
        return error
    return None
