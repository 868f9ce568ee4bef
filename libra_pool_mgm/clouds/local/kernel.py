"""The system calls that Python lacks: namespaces, locks, capabilities. Standard library only.

unshare(2), setns(2), fcntl(2), capset(2), prctl(2). All of them raise OSError with the kernel's
reason.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import re
import select
import signal
import socket
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)

_CLONE_NEWNET = 0x40000000
_CLONE_NEWUSER = 0x10000000
_THIS_NETWORK = "/proc/thread-self/ns/net"

_HIGH = 100
"""More than any number by which processes know each other's descriptors."""

_FLOCK = "hhqqi4x"  # struct flock of fcntl(2): type, whence, start, length, pid
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 0x1  # netdevice(7)
_CAPABILITY_VERSION = 0x20080522
_CAPABILITIES = 64  # as many as capset(2) has bits for
_PR_SET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_CAPBSET_DROP = 4, 8, 24  # prctl(2)
_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 38, 47, 2

NET_ADMIN, NET_RAW = 12, 13
"""Capabilities by their numbers, capabilities(7)."""


# -- network namespaces ----------------------------------------------------------------------


def this_network() -> int:
    """A file descriptor of the calling thread's network namespace; the caller closes it."""
    return os.open(_THIS_NETWORK, os.O_RDONLY | os.O_CLOEXEC)


def leave_for_a_new_network() -> None:
    """Give the calling thread a new, empty network namespace."""
    if _LIBC.unshare(_CLONE_NEWNET) != 0:
        raise _error("a network namespace cannot be made")


def enter_network(descriptor: int) -> None:
    """Put the calling thread into a network namespace."""
    if _LIBC.setns(descriptor, _CLONE_NEWNET) != 0:
        raise _error("a network namespace cannot be entered")


def leave_for_an_owned_network(*, uid: int, gid: int, regroups: bool) -> int:
    """The same, in a network namespace that a new user namespace owns; gives that one.

    Whoever has capabilities there has them in this network alone. User and group are themselves
    there, and nobody else is anybody. `regroups`: we may, and one of them shall, change groups.
    The calling process must have no other thread.
    """
    told, tell = os.pipe2(os.O_CLOEXEC)
    heard, hear = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if not child:
        number = 0
        try:
            if _LIBC.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
                number = ctypes.get_errno()
            os.write(hear, struct.pack("i", number))
            os.close(tell)
            os.read(told, 1)  # until whoever made us has what it needs
        finally:
            os._exit(0)
    try:
        os.close(hear)
        (number,) = struct.unpack("i", os.read(heard, 4) or struct.pack("i", errno.ECHILD))
        if number:
            raise OSError(number, f"a user namespace cannot be made: {os.strerror(number)}")
        _map(child, uid=uid, gid=gid, regroups=regroups)
        network = os.open(f"/proc/{child}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            enter_network(network)
        finally:
            os.close(network)
        return os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        for descriptor in (told, tell, heard):
            os.close(descriptor)
        os.waitpid(child, 0)


def _map(process: int, *, uid: int, gid: int, regroups: bool) -> None:
    """Say who is who in the user namespace of a process, which must be new."""
    place = Path(f"/proc/{process}")
    if not regroups:
        (place / "setgroups").write_text("deny")
    (place / "gid_map").write_text(f"{gid} {gid} 1")
    (place / "uid_map").write_text(f"{uid} {uid} 1")


@contextlib.contextmanager
def entered(descriptor: int) -> Iterator[None]:
    """Be in a network namespace, with the calling thread alone, while the block runs.

    Sockets opened inside stay there for life, wherever the thread goes.
    """
    home = this_network()
    try:
        enter_network(descriptor)
        try:
            yield
        finally:
            enter_network(home)
    finally:
        os.close(home)


def switch_loopback_on() -> None:
    """Bring `lo` up in the calling thread's network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))


# -- file descriptors ------------------------------------------------------------------------


def out_of_the_way(descriptor: int) -> int:
    """Move a descriptor to a high number, where it meets none that is fixed; returns that."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    os.close(descriptor)
    return moved


def fix(descriptor: int, number: int) -> None:
    """Have a descriptor, which is another one now, under this number alone."""
    os.dup2(descriptor, number, inheritable=False)
    os.close(descriptor)


# -- locks that tell who lives ---------------------------------------------------------------


def hold(descriptor: int, byte: int) -> None:
    """Lock a byte of a file until this process ends; raises BlockingIOError when it is locked.

    The file must stay open, and no other descriptor of it may ever be closed by this process.
    """
    fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)


def holder(path: Path, byte: int) -> int | None:
    """The process that holds a byte of a file, by the kernel's own word; None where nobody does."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
        kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    finally:
        os.close(descriptor)
    return None if kind == fcntl.F_UNLCK else pid


def end_holder(path: Path, byte: int, *, seconds: float) -> bool:
    """Kill the process that holds a byte, and wait until it is gone; whether it is in time."""
    pid = holder(path, byte)
    if pid is None:
        return True
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        # Asked once more: the number now surely means the process that the descriptor is.
        if holder(path, byte) == pid:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(process, signal.SIGKILL)
        poller = select.poll()
        poller.register(process, select.POLLIN)
        return bool(poller.poll(seconds * 1000))
    finally:
        os.close(process)


# -- capabilities ----------------------------------------------------------------------------


def capabilities() -> int:
    """What the calling process may do now, a bit for each capability of the kernel."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"^CapEff:\s+([0-9a-f]+)$", status, re.MULTILINE)
    return int(found[1], 16) if found else 0


def drop_capabilities() -> None:
    """Give up every capability, for good; the user stays the same."""
    header = struct.pack("Ii", _CAPABILITY_VERSION, 0)
    if _LIBC.capset(header, bytes(24)) != 0:
        raise _error("capabilities cannot be given up")


def become(*, namespace: int, uid: int, gid: int, regroups: bool, keeping: Iterable[int]) -> None:
    """Have the process be this user in a user namespace, with these capabilities there alone.

    They go on to whatever it executes, and nothing that it executes can have others. Nothing of
    what the process could do outside of that namespace is left.
    """
    if _LIBC.setns(namespace, _CLONE_NEWUSER) != 0:
        raise _error("a user namespace cannot be entered")
    _control("capabilities cannot be kept", _PR_SET_KEEPCAPS, 1)
    wanted = tuple(keeping)
    for one in range(_CAPABILITIES):
        if one not in wanted:  # of numbers that the kernel does not have it says so
            _LIBC.prctl(_PR_CAPBSET_DROP, one, 0, 0, 0)
    if regroups:
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    bits = sum(1 << one for one in wanted)
    low, high = bits & 0xFFFFFFFF, bits >> 32
    header = struct.pack("Ii", _CAPABILITY_VERSION, 0)
    if _LIBC.capset(header, struct.pack("6I", low, low, low, high, high, high)) != 0:
        raise _error("capabilities cannot be set")
    for one in wanted:
        _control("capabilities cannot be handed on", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, one)
    _control("more rights cannot be ruled out", _PR_SET_NO_NEW_PRIVS, 1)
    _control("the process cannot be opened to its user", _PR_SET_DUMPABLE, 1)


def _control(what: str, *words: int) -> None:
    padded = (*words, *(0,) * (5 - len(words)))
    if _LIBC.prctl(*map(ctypes.c_ulong, padded)) != 0:
        raise _error(what)


def _error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")
