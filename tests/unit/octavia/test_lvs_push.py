"""UDP and SCTP listeners are in force on a device before it is told so, or refused one by one."""

from __future__ import annotations

from typing import Any, cast

import pytest

from libra_octavia.agent.devices import DeviceAway
from libra_octavia.devices.api import Api, Configuration, NotStarted
from libra_octavia.devices.pushing_lvs import LvsPusher
from libra_octavia.devices.wishes import md5

NO_IP_VS = "UDP and SCTP listeners are not possible on this node: the kernel has no IP_VS"


class Device:
    """A device that keeps texts; `late` is how often one is asked for until it is in force."""

    def __init__(self, **texts: str) -> None:
        self.texts = dict(texts)
        self.running = dict(texts)
        self.refuses: dict[str, str] = {}
        self.fails: dict[str, int] = {}
        self.late = 0
        self.calls: list[str] = []
        self.now = 0.0

    def by_kernel(self, listener: str) -> Configuration | None:
        self.calls.append(f"get {listener}")
        if listener not in self.texts:
            return None
        if self.running.get(listener) != self.texts[listener] and self.late == 0:
            self.running[listener] = self.texts[listener]
        self.late = max(0, self.late - 1)
        text = self.texts[listener]
        served = self.running.get(listener) == text
        return Configuration(md5=md5(text.encode()), in_force=served, text=text)

    def upload_by_kernel(self, amphora_id: str, listener: str, text: str) -> str | None:
        self.calls.append(f"put {listener}")
        assert amphora_id == "amphora"
        if listener in self.refuses:
            return self.refuses[listener]
        self.texts[listener] = text
        return None

    def act(self, listener: str, action: str) -> None:
        self.calls.append(f"{action} {listener}")
        if self.fails.get(listener, 0):
            self.fails[listener] -= 1
            raise NotStarted("another listener has UDP port 53")

    def drop(self, listener: str) -> None:
        self.calls.append(f"drop {listener}")
        self.texts.pop(listener)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def push(self, wanted: dict[str, str]) -> Any:
        """What the provider does, on the device's own clock."""
        api = cast("Api", self)
        pusher = LvsPusher(seconds=10, clock=lambda: self.now, sleep=self.sleep)
        change = pusher.change(wanted, frozenset(self.texts), api)
        return pusher.push(change, "amphora", api) if change else None


def test_what_is_served_is_left_alone() -> None:
    device = Device(a="1", b="2")
    assert device.push({"a": "1", "b": "2"}) is None
    assert device.calls == ["get a", "get b"]


def test_what_goes_goes_before_what_comes() -> None:
    device = Device(old="1")
    assert device.push({"new": "1"}) == {}
    assert device.calls == ["drop old", "put new", "reload new", "get new"]
    assert device.texts == {"new": "1"}


def test_another_text_is_waited_for_until_it_is_in_force() -> None:
    device = Device(a="1")
    device.late = 4
    assert device.push({"a": "2"}) == {}
    assert device.calls.count("get a") >= 4
    assert device.running == {"a": "2"}


def test_a_text_that_waits_on_the_device_is_brought_into_force() -> None:
    # Given an agent that died between upload and start
    device = Device(a="2")
    device.running, device.late = {}, 1
    # When the next one comes
    assert device.push({"a": "2"}) == {}
    assert "reload a" in device.calls


def test_one_that_never_comes_into_force_is_tried_again_later() -> None:
    device = Device()
    device.late = 10**6
    with pytest.raises(DeviceAway, match="not in force after 10 s"):
        device.push({"a": "1"})


def test_a_refused_listener_keeps_no_other_from_being_served() -> None:
    device = Device()
    device.refuses["a"] = NO_IP_VS
    assert device.push({"a": "1", "b": "2"}) == {"a": NO_IP_VS}
    assert device.running == {"b": "2"}
    assert "reload a" not in device.calls


@pytest.mark.parametrize(("times", "reasons"), [(2, []), (3, ["another listener has UDP port 53"])])
def test_a_start_that_fails_is_tried_thrice(times: int, reasons: list[str]) -> None:
    device = Device()
    device.fails["a"] = times
    assert list(device.push({"a": "1"}).values()) == reasons
    assert device.calls.count("reload a") == 3
