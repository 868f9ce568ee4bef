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
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable


class DeviceState(StrEnum):
    """How far a device is; a cloud's own words are mapped onto these."""

    BUILDING = "building"
    ACTIVE = "active"
    FAILED = "failed"
    DELETING = "deleting"


@dataclass(frozen=True, kw_only=True)
class AgentWish:
    """The amphora agent that a device runs besides its worker.

    `amphora_id` is a UUID, the name in `certificate`: certificate, chain and private key, PEM.
    Callers have certificates of `ca`, PEM. Heartbeats are signed with `heartbeat_key` and go to
    `controllers`, each "host:port". `port` is the TCP port of the API, at the device's address.
    Certificate and heartbeat key are secrets: in no log, in no command line, and in files that
    only the device itself can read.
    """

    amphora_id: str
    certificate: str = field(repr=False)
    ca: str = field(repr=False)
    heartbeat_key: str = field(repr=False)
    controllers: tuple[str, ...]
    port: int


@dataclass(frozen=True, kw_only=True)
class DeviceWish:
    """A device to be built.

    `key` is the gearman unique of the job, `name` the device's name and at the same time the
    gearman function of its worker. Flavor, image, az and network name one thing for this device
    only; None takes what the settings say. `agent` None means a device without one.
    """

    key: str
    name: str
    flavor: str | None = None
    image: str | None = None
    az: str | None = None
    network: str | None = None
    agent: AgentWish | None = None


@dataclass(frozen=True, kw_only=True)
class Device:
    """A device of ours as the cloud knows it now.

    `address` is the one to be answered (settings choose network and family), None while there is
    none; `image` is the image's id or name as the cloud gives it; `created_at` is aware, in UTC;
    `fault` says why a FAILED one failed, in the cloud's words; `out_of_room` is True where that is
    for want of room, which is answered as `capacity` and not as `build_failed`; `amphora_id` is
    that of the agent it was built with.
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
    amphora_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Address:
    """A floating IP of ours as the cloud knows it now; `device` is the name of its holder."""

    id: str
    ip: str
    key: str
    device: str | None
    created_at: datetime
    delivered: bool


@dataclass(frozen=True, kw_only=True)
class PortWish:
    """A port for a device.

    `key` is the caller's own word for it, unique in the pool. `subnet` is an id, `network` a name
    or an id, `ip` an address in the subnet: None leaves each to the cloud. `addresses` are what
    the port may have besides, VIPs for example. `security_groups` are names or ids; None takes
    the cloud's default, and none at all is an empty one.
    """

    key: str
    subnet: str | None = None
    network: str | None = None
    ip: str | None = None
    addresses: tuple[str, ...] = ()
    security_groups: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class HostRoute:
    """A route that the owner of a subnet gave to it."""

    destination: str
    nexthop: str


@dataclass(frozen=True, kw_only=True)
class FixedIp:
    """An address of a port, its subnet, and how to leave that; `gateway` None: there is no way."""

    ip: str
    cidr: str
    gateway: str | None
    host_routes: tuple[HostRoute, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Port:
    """A port of ours as the cloud knows it now; a frozen value, equal if nothing has changed.

    `device` is the name of the device that it was made for, None where that is gone;
    `attached` says whether the device has it as an interface of hardware address `mac`, in lower
    case with colons. Of `fixed_ips` the first is the one that was asked for; there are none where
    somebody took them away. `mtu` is in bytes.
    `addresses` are what it may have besides. `created_at` is aware, in UTC.
    """

    id: str
    key: str
    device: str | None
    attached: bool
    mac: str
    mtu: int
    fixed_ips: tuple[FixedIp, ...]
    addresses: tuple[str, ...]
    created_at: datetime


class Cloud(Protocol):
    """A place for devices and floating IPs. All methods raise `CloudError`s."""

    def check(self) -> None:
        """Prove that the cloud can be used: log in, and find every name of the settings.

        Raises BadRequest naming the setting and what it names.
        """

    def prepare(self) -> None:
        """Have what devices will need there before the first of them; may do nothing.

        Called once a pool manager that takes jobs has seen that `check` finds no fault.
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
        """Have a device deleted, and its ports; none there is no fault.

        May return before it is gone. Ports that are left then, since the process was killed or a
        service was away, are listed by `ports` with no device.
        """

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

    # -- ports -----------------------------------------------------------------------------
    #
    # Additions for load balancers whose traffic has interfaces of its own. An interface comes to
    # the device as a new one of a machine does: down, without an address; whoever drives the
    # device finds it by its hardware address.

    def create_port(self, wish: PortWish, device: Device) -> Port:
        """A port for this device, which does not have it yet; one with this key is returned.

        What is returned may have other addresses than are wished for. Raises Conflict where the
        key is another device's, or the address is taken, and BadRequest for a subnet, network or
        group that is not there.
        """

    def ports(self) -> Sequence[Port]:
        """Every port of ours, in one listing."""

    def find_port(self, identity: str) -> Port | None:
        """The port of that id, None where there is none. Raises Conflict for one not ours."""

    def change_port(self, port: Port, addresses: Sequence[str]) -> None:
        """Have a port have these addresses besides its own, and no others."""

    def attach_port(self, port: Port, device: Device) -> None:
        """Have the device have the port, which may be so already.

        May return before it is; the caller looks with `find_port`. Raises Conflict where the
        device does not run.
        """

    def delete_port(self, port: Port) -> None:
        """Take a port from its device and give it back; none there is no fault.

        May return before the device has lost it. To be called again after a CloudTimeout.
        """


@runtime_checkable
class Followed(Protocol):
    """A cloud that can say more cheaply how its devices are to whoever asks again and again."""

    def followed_devices(self) -> Sequence[Device]:
        """The same as `devices`, but `delivered` may be half a minute old."""
