"""Listeners of UDP and SCTP, from their texts to their being in force on a device.

Each is a configuration of its own, so one that the device cannot serve keeps no other from being
served, and its reason is handed on. A kernel without IP_VS is such a reason.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial

from libra_common.crash import crash_point
from libra_octavia.agent.devices import DeviceAway
from libra_octavia.devices.api import Api
from libra_octavia.devices.starting import start
from libra_octavia.devices.wishes import md5

_LOOK_SECONDS = 0.25


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a device is to be sent, texts by the listeners' ids, and which listeners are to go."""

    put: Mapping[str, str] = field(default_factory=dict)
    drop: Collection[str] = ()

    def __bool__(self) -> bool:
        return bool(self.put or self.drop)


class LvsPusher:
    """Brings such listeners into force. `seconds` is how long one may take on a device."""

    def __init__(
        self,
        *,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._seconds = seconds
        self._clock = clock
        self._sleep = sleep

    def change(self, wanted: Mapping[str, str], there: Collection[str], api: Api) -> Change:
        """What a device lacks and has too much that has these; costs a call for each that stays.

        Raises DeviceAway and DeviceRefused.
        """
        return Change(
            put={
                name: text
                for name, text in wanted.items()
                if name not in there or not _serves(api, name, text)
            },
            drop=sorted(set(there) - wanted.keys()),
        )

    def push(self, change: Change, amphora_id: str, api: Api) -> Mapping[str, str]:
        """Have it so; returns once that was seen, with the reasons of those that cannot be.

        Raises DeviceAway and DeviceRefused.
        """
        # One that comes may have the port of one that goes.
        for name in change.drop:
            api.drop(name)
        reasons: dict[str, str] = {}
        for name, text in change.put.items():
            why = api.upload_by_kernel(amphora_id, name, text) or self._started(name, api)
            crash_point("octavia_by_kernel")
            if why is not None:
                reasons[name] = why
            else:
                self._seen(name, text, api)
        return reasons

    def _started(self, name: str, api: Api) -> str | None:
        """Have it started, or its new text read; why that is not possible, several times over."""
        why = start(partial(api.act, name, "reload"), sleep=self._sleep)
        return None if why is None else str(why)

    def _seen(self, name: str, text: str, api: Api) -> None:
        deadline = self._clock() + self._seconds
        while not _serves(api, name, text):
            if self._clock() >= deadline:
                raise DeviceAway(f"the listener {name} is not in force after {self._seconds:g} s")
            self._sleep(_LOOK_SECONDS)


def _serves(api: Api, name: str, text: str) -> bool:
    found = api.by_kernel(name)
    return found is not None and found.in_force and found.md5 == md5(text.encode())
