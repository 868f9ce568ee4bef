"""A configuration, from the text to its being in force on a device."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial

from libra_common.crash import crash_point
from libra_octavia.agent.devices import DeviceAway, DeviceRefused
from libra_octavia.devices.api import Api, Configuration
from libra_octavia.devices.starting import start
from libra_octavia.devices.wishes import files_of, md5

_LOOK_SECONDS = 0.25


@dataclass(frozen=True, kw_only=True)
class Configured:
    """What a device is to serve: the text, empty for nothing, its files, and its listeners' ids."""

    balancer: str
    amphora_id: str
    text: str
    listeners: Collection[str] = ()
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def is_served(self, found: Configuration | None) -> bool:
        """Whether a device that has `found` serves just this."""
        if not self.text or found is None:
            return not self.text and found is None
        return found.in_force and found.md5 == md5(self.text.encode())


class Pusher:
    """Brings configurations into force. `seconds` is how long that may take on a device."""

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

    def push(self, wanted: Configured, found: Configuration | None, api: Api) -> None:
        """Have a device that has `found` serve what is wanted; returns once that was seen.

        Raises DeviceAway, and DeviceRefused with HAProxy's complaints.
        """
        if not wanted.text:
            if found is not None:
                api.drop(wanted.balancer)
            return
        self._send_files(wanted, api)
        crash_point("octavia_pushing")
        if found is None or found.md5 != md5(wanted.text.encode()):
            api.upload(wanted.amphora_id, wanted.balancer, wanted.text)
            crash_point("octavia_uploaded")
        self._start(wanted, "reload" if found is not None and found.in_force else "start", api)
        crash_point("octavia_acted")
        self._seen(wanted, api)
        for name in files_of(found.text) - wanted.files.keys() if found is not None else ():
            api.delete_file(wanted.balancer, name)

    def _start(self, wanted: Configured, action: str, api: Api) -> None:
        """Have it started; what cannot be several times in a row is refused for good."""
        why = start(partial(api.act, wanted.balancer, action), sleep=self._sleep)
        if why is not None:
            raise DeviceRefused(str(why)) from why

    def _send_files(self, wanted: Configured, api: Api) -> None:
        for name, content in wanted.files.items():
            if api.file_md5(wanted.balancer, name) != md5(content):
                api.put_file(wanted.balancer, name, content)

    def _seen(self, wanted: Configured, api: Api) -> None:
        """Wait until the device says that it serves this text, and each of its listeners."""
        deadline = self._clock() + self._seconds
        while True:
            found = api.configuration(wanted.balancer)
            if wanted.is_served(found):
                missing = set(wanted.listeners) - {
                    name for name, status in api.listeners().items() if status == "ACTIVE"
                }
                if not missing:
                    return
                why = f"its listeners do not serve: {', '.join(sorted(missing))}"
            else:
                why = "it does not serve the new configuration"
            if found is not None and found.md5 != md5(wanted.text.encode()):
                raise DeviceRefused(f"{why}: another one was sent meanwhile")
            if self._clock() >= deadline:
                raise DeviceAway(f"{why} after {self._seconds:g} s")
            self._sleep(_LOOK_SECONDS)
