"""The books of the local cloud: its records, and the locks under which they are changed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from libra_pool_mgm.clouds.base import Address
from libra_pool_mgm.clouds.errors import BadRequest, CloudTimeout, CloudUnavailable, NotFound
from libra_pool_mgm.clouds.local.records import (
    AddressRecord,
    DeviceRecord,
    PortRecord,
    Records,
)


class Books:
    """What is written down in `folder`; `deadline` is in seconds, for a lock to become free.

    Several processes may use one folder.
    """

    def __init__(self, *, folder: Path, deadline: float) -> None:
        self._folder = folder
        self._deadline = deadline
        self.devices = Records(folder=folder / "devices", kind=DeviceRecord)
        self.addresses = Records(folder=folder / "addresses", kind=AddressRecord)
        self.ports = Records(folder=folder / "ports", kind=PortRecord)

    # -- looking up ------------------------------------------------------------------------

    def device_named(self, name: str) -> DeviceRecord | None:
        """The device of that name."""
        return next((record for record in self.devices if record.name == name), None)

    def device(self, identity: str) -> DeviceRecord | None:
        """The device of that id."""
        return next((record for record in self.devices if record.id == identity), None)

    def address(self, ip: str) -> AddressRecord | None:
        """The floating IP that is `ip`."""
        return next((record for record in self.addresses if record.ip == ip), None)

    def known(self, address: Address) -> AddressRecord:
        """The very floating IP that was given; raises NotFound when it is gone."""
        record = self.address(address.ip)
        if record is None or record.id != address.id:
            raise NotFound(f"floating IP {address.ip} is gone")
        return record

    def held_by(self, device: DeviceRecord) -> list[AddressRecord]:
        """The floating IPs of a device."""
        return [record for record in self.addresses if record.device == device.id]

    def port(self, identity: str) -> PortRecord | None:
        """The port of that id."""
        return next((record for record in self.ports if record.id == identity), None)

    def ports_of(self, device: DeviceRecord) -> list[PortRecord]:
        """The ports that were made for a device."""
        return [record for record in self.ports if record.device == device.id]

    # -- locks -----------------------------------------------------------------------------

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only one, of all threads and processes, who changes records and routes.

        Raises CloudTimeout where another one hangs, BadRequest where the folder cannot be used.
        """
        with contextlib.ExitStack() as stack:
            try:
                self._folder.mkdir(mode=0o711, parents=True, exist_ok=True)
                lock = stack.enter_context(_opened(self._folder / "lock"))
            except OSError as error:
                raise BadRequest(
                    f"[mgm:local] folder: {self._folder} cannot be used: {error.strerror}"
                ) from error
            if not _lock(lock, deadline=time.monotonic() + self._deadline):
                raise CloudTimeout("the local cloud is busy with something that hangs")
            yield

    @contextlib.contextmanager
    def at_work(self, record: DeviceRecord, *, wait: bool) -> Iterator[bool]:
        """Be the only one who builds or deletes this device; gives False when another one is.

        With `wait` the other is waited for, up to the deadline. Never to be waited for with the
        cloud's lock held.
        """
        folder = self._folder / "work"
        folder.mkdir(mode=0o700, exist_ok=True)
        patience = self._deadline if wait else 0.0
        with _opened(folder / str(record.number)) as lock:
            yield _lock(lock, deadline=time.monotonic() + patience)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    """A file to be locked; closing it unlocks."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield lock
    finally:
        os.close(lock)


def _lock(descriptor: int, *, deadline: float) -> bool:
    """Lock a file; whether that was possible before the deadline."""
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        else:
            return True


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Turn the kernel's errors into the cloud's."""
    try:
        yield
    except OSError as error:
        raise CloudUnavailable(f"the local cloud failed: {error}") from error


def now() -> datetime:
    """The time, aware, in UTC."""
    return datetime.now(UTC)
