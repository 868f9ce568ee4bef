"""The outer namespace, which everything of the local cloud lives in: found, or made.

Its holder keeps it, whether it is a new one or the one that the pool manager itself runs in.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network
from pathlib import Path

from libra_pool_mgm.clouds.errors import BadRequest, NotFound
from libra_pool_mgm.clouds.local import kernel, network, ranges
from libra_pool_mgm.clouds.local.marks import GUARD_BYTE, HOLDER_BYTE, OUTER_FD
from libra_pool_mgm.clouds.local.starting import Conversation, small_python

_SECONDS = 10.0
_NOT_THERE = "there is no outer namespace: no device was built yet"


class Outer:
    """The outer namespace of the cloud in `folder`, whose devices are in the range `devices`.

    `own`: it is to be the one that the calling process runs in.
    """

    def __init__(self, *, folder: Path, devices: IPv4Network, own: bool = False) -> None:
        self._lock = folder / "outer.lock"
        self._log = folder / "outer.log"
        self._devices = devices
        self._own = own

    @property
    def pid(self) -> int | None:
        """The process that holds it; None while there is none."""
        return kernel.holder(self._lock, HOLDER_BYTE)

    def open(self, guards: Iterable[Path]) -> int:
        """Give a descriptor of it, made and laid out if need be; the caller closes it.

        `guards` are the lock files of the devices: should the holder have been killed, they still
        have it. To be called with the cloud's lock held. Raises CloudError or OSError; BadRequest
        where devices live in another one than the settings want.
        """
        found = self.find()
        if found is None:
            found = self._start_holder(_of_guards(guards), own=self._own)
        try:
            self._refuse_another(found)
            network.lay_out(found, gateway=ranges.gateway(self._devices), devices=self._devices)
        except BaseException:
            os.close(found)
            raise
        return found

    def find(self) -> int | None:
        """Give a descriptor of it as it is, which the caller closes; None where there is none."""
        return descriptor_of(self._lock, HOLDER_BYTE, OUTER_FD)

    @property
    def path(self) -> str:
        """The file by which others enter it, for nsenter(1). Raises NotFound while it is not."""
        pid = kernel.holder(self._lock, HOLDER_BYTE)
        if pid is None:
            raise NotFound(_NOT_THERE)
        return f"/proc/{pid}/fd/{OUTER_FD}"

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Have the calling thread in it while the block runs, as a client of floating IPs is.

        Raises NotFound while there is none.
        """
        found = self.find()
        if found is None:
            raise NotFound(_NOT_THERE)
        try:
            with kernel.entered(found):
                yield
        finally:
            os.close(found)

    def end(self) -> bool:
        """End its holder; the namespace goes with the last device. Whether it ended in time.

        One that is not the cloud's alone loses its bridge.
        """
        found = self.find()
        if found is not None:
            try:
                network.tear_down(found)
            finally:
                os.close(found)
        return kernel.end_holder(self._lock, HOLDER_BYTE, seconds=_SECONDS)

    def _refuse_another(self, found: int) -> None:
        if self._own and not _is_ours(found):
            raise BadRequest(
                "[mgm:local] outer = own: this cloud is in another network namespace than the pool"
                " manager; remove everything there first, or start it there"
            )

    def _start_holder(self, network_of_guards: int | None, *, own: bool) -> int:
        if network_of_guards is None and own:
            network_of_guards = kernel.this_network()
        words = [
            *small_python("libra_pool_mgm.clouds.local.holder"),
            f"--lock={self._lock}",
        ]
        descriptors = []
        if network_of_guards is not None:
            words.append(f"--network={network_of_guards}")
            descriptors.append(network_of_guards)
        try:
            with Conversation(
                words, who="the outer holder", descriptors=descriptors, log=self._log
            ) as holder:
                holder.hear("ready", seconds=_SECONDS)
                found = os.open(f"/proc/{holder.pid}/fd/{OUTER_FD}", os.O_RDONLY | os.O_CLOEXEC)
                holder.done()
                return found
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


def _is_ours(descriptor: int) -> bool:
    """Whether a network namespace is the one that the calling thread is in."""
    here = kernel.this_network()
    try:
        return os.path.sameopenfile(descriptor, here)
    finally:
        os.close(here)


def _of_guards(guards: Iterable[Path]) -> int | None:
    for lock in guards:
        found = descriptor_of(lock, GUARD_BYTE, OUTER_FD)
        if found is not None:
            return found
    return None


def descriptor_of(lock: Path, byte: int, number: int) -> int | None:
    """A namespace that the process which holds a byte of `lock` keeps open under `number`.

    The caller closes it; None where no such process lives.
    """
    pid = kernel.holder(lock, byte)
    if pid is None:
        return None
    try:
        found = os.open(f"/proc/{pid}/fd/{number}", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # it has just ended
        return None
    if kernel.holder(lock, byte) != pid:
        os.close(found)
        return None
    return found
