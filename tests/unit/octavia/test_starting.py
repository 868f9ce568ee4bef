from __future__ import annotations

import pytest

from libra_octavia.agent.devices import DeviceAway
from libra_octavia.devices.api import NotStarted
from libra_octavia.devices.starting import start


class Device:
    """One whose starts end as they are told to, one after the other, and then well."""

    def __init__(self, *ends: Exception) -> None:
        self.ends = list(ends)
        self.slept: list[float] = []

    def act(self) -> None:
        if self.ends:
            raise self.ends.pop(0)


def test_what_can_be_started_after_some_tries_is() -> None:
    device = Device(NotStarted("busy"), NotStarted("busy"))
    assert start(device.act, sleep=device.slept.append) is None
    assert device.slept == [1.0, 4.0]


def test_what_cannot_be_started_in_any_try_is_told_with_the_last_reason() -> None:
    device = Device(NotStarted("first"), NotStarted("second"), NotStarted("last"), NotStarted("x"))
    assert str(start(device.act, sleep=device.slept.append)) == "last"
    assert len(device.ends) == 1


def test_a_device_that_is_away_is_not_tried_again() -> None:
    device = Device(DeviceAway("it is away"), NotStarted("x"))
    with pytest.raises(DeviceAway, match="it is away"):
        start(device.act, sleep=device.slept.append)
    assert (len(device.ends), device.slept) == (1, [])
