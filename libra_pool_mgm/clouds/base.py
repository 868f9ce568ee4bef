"""What the pool manager asks of a cloud. Whoever writes a third one implements `Cloud`.

A cloud holds the truth: the pool manager keeps no list of its own. Whatever is created carries
the key of the job that asked for it, so that a rerun, in a new process that remembers nothing,
finds it again; and what was answered PASS is marked as delivered in the cloud itself, so that a
sweep can tell an orphan from a device that serves somebody.

Each call returns or raises a `CloudError` within the cloud's own deadline (a setting, seconds);
none waits until a device is built, since one poll of `devices` serves all that wait. Every method
may be called from several threads at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class DeviceState(StrEnum):
    """How far a device is; a cloud's own words are mapped onto these."""

    BUILDING = "building"
    ACTIVE = "active"
    FAILED = "failed"
    DELETING = "deleting"


@dataclass(frozen=True, kw_only=True)
class DeviceWish:
    """A device to be built.

    `key` is the gearman unique of the job, `name` the device's name and at the same time the
    gearman function of its worker. The others name one thing for this device only; None takes
    what the settings say.
    """

    key: str
    name: str
    flavor: str | None = None
    image: str | None = None
    az: str | None = None
    network: str | None = None


@dataclass(frozen=True, kw_only=True)
class Device:
    """A device of ours as the cloud knows it now.

    `address` is the one to be answered (settings choose network and family), None while there is
    none; `image` is the image's id or name as the cloud gives it; `created_at` is aware, in UTC;
    `fault` says why a FAILED one failed, in the cloud's words; `out_of_room` is True where that is
    for want of room, which is answered as `capacity` and not as `build_failed`.
    """

    id: str
    name: str
    key: str
    state: DeviceState
    address: str | None
    image: str
    az: str
    created_at: datetime
    delivered: bool
    fault: str | None = None
    out_of_room: bool = False


@dataclass(frozen=True, kw_only=True)
class Address:
    """A floating IP of ours as the cloud knows it now; `device` is the name of its holder."""

    id: str
    ip: str
    key: str
    device: str | None
    created_at: datetime
    delivered: bool


class Cloud(Protocol):
    """A place for devices and floating IPs. All methods raise `CloudError`s."""

    def check(self) -> None:
        """Prove that the cloud can be used: log in, and find every name of the settings.

        Raises BadRequest naming the setting and what it names.
        """

    def close(self) -> None:
        """Let go of sessions and threads; devices live on."""

    # -- devices ---------------------------------------------------------------------------

    def create_device(self, wish: DeviceWish) -> Device:
        """Ask for a device; returns as soon as the cloud has taken the order.

        A device with this key and name that is there already is returned instead. After a
        CloudTimeout the caller looks for it with `find_device` before it asks again.
        """

    def devices(self) -> Sequence[Device]:
        """Every device of ours (this pool's basename), in one listing for all that wait."""

    def find_device(self, name: str) -> Device | None:
        """The device of that name, None where there is none.

        Raises Conflict where something of that name is there which is not this pool's: it must
        neither be touched nor be said to be gone.
        """

    def mark_delivered(self, device: Device) -> None:
        """Note in the cloud that this device was answered with PASS. May be repeated."""

    def delete_device(self, device: Device) -> None:
        """Have a device deleted; none there is no fault. Returns before it is gone."""

    # -- floating IPs ----------------------------------------------------------------------

    def create_address(self, *, key: str) -> Address:
        """A floating IP that nobody holds; one with this key that is there is returned."""

    def addresses(self) -> Sequence[Address]:
        """Every floating IP of ours."""

    def find_address(self, ip: str) -> Address | None:
        """The floating IP that is `ip`, delivered or not, None where the project has none."""

    def mark_address_delivered(self, address: Address) -> None:
        """Note in the cloud that this address was answered with PASS. May be repeated."""

    def assign_address(self, address: Address, device: Device) -> None:
        """Give an address to a device, which may hold it already.

        Raises Conflict where another device holds it, and never moves it away from there.
        """

    def remove_address(self, address: Address, device: Device) -> None:
        """Take an address from a device and keep it; not held by anyone is no fault.

        Raises Conflict where another device holds it.
        """

    def delete_address(self, address: Address) -> None:
        """Give an address back to the cloud; none there is no fault."""
