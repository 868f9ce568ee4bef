"""Network namespaces, and cables between them, that a test makes and takes away again."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.support import need

_MADE = iter(range(1, 1 << 20))


def must_be_possible() -> None:
    """Skip where this user may not make namespaces; that takes root, in CI too."""
    status = Path("/proc/self/status").read_text()
    effective = int(status.split("CapEff:")[1].split()[0], 16)
    for bit, name in ((12, "CAP_NET_ADMIN"), (21, "CAP_SYS_ADMIN")):
        if not effective >> bit & 1:
            pytest.skip(f"network namespaces need {name}")
    need.program("ip")
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    if not any(line.split()[4] == "/" for line in mounts):
        pytest.skip("`ip netns` needs a root that is a mount of its own; this one is a folder")


def users_must_be_possible() -> None:
    """Skip where the kernel gives no user namespaces, as in a chroot; devices' agents need one."""
    tried = subprocess.run(
        [need.program("unshare"), "--user", "true"], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        pytest.skip(f"devices with agents need user namespaces: {tried.stderr.strip()}")


def ip(*arguments: str, namespace: str = "") -> str:
    """Run iproute2's command, an eye independent of the code under test."""
    where = ["-n", namespace] if namespace else []
    done = subprocess.run(
        [need.program("ip"), *where, *arguments],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def inside(namespace: str, *command: str, seconds: float = 20.0) -> str:
    """Run a command in a namespace; gives its output."""
    done = subprocess.run(
        [need.program("ip"), "netns", "exec", namespace, *command],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def new_name(kind: str) -> str:
    """A name that no other test of this machine has now; short enough for an interface."""
    return f"lt{os.getpid() % 100000:x}{kind}{next(_MADE):x}"[:15]


@contextlib.contextmanager
def namespace() -> Iterator[str]:
    """A namespace with its loopback up."""
    name = new_name("n")
    ip("netns", "add", name)
    try:
        ip("link", "set", "lo", "up", namespace=name)
        yield name
    finally:
        ip("netns", "delete", name)


def cable(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    """Join two namespaces ("" is the test's own) with a veth pair.

    Each end is (namespace, name, hardware address); both are left down, as a new port is.
    """
    (here, name, mac), (there, peer, peer_mac) = one, other
    staging = new_name("p")
    ip(
        "link",
        "add",
        staging,
        "type",
        "veth",
        "peer",
        "name",
        peer,
        "netns",
        there or str(os.getpid()),
    )
    ip("link", "set", staging, "address", mac)
    ip("link", "set", staging, *(["netns", here] if here else []), "name", name)
    ip("link", "set", peer, "address", peer_mac, namespace=there)


def addresses(namespace: str, interface: str) -> set[str]:
    """The addresses of an interface with their prefixes, link-local ones left out."""
    return {
        words[3]
        for line in ip("-o", "address", "show", "dev", interface, namespace=namespace).splitlines()
        if (words := line.split()) and not words[3].startswith("fe80:")
    }


def holds(namespace: str, address: str) -> bool:
    """Whether any interface of a namespace has `address`."""
    return any(
        line.split()[3].split("/")[0] == address
        for line in ip("-o", "address", "show", namespace=namespace).splitlines()
    )


def routes(namespace: str, *selection: str) -> list[str]:
    """The routes of a selection (`table 1`, `dev eth1`), IPv4 then IPv6."""
    found = []
    for family in ("-4", "-6"):
        with contextlib.suppress(AssertionError):  # a table that never had a route
            found += [
                " ".join(line.split())
                for line in ip(
                    family, "route", "show", *selection, namespace=namespace
                ).splitlines()
            ]
    return found


def rules(namespace: str) -> list[str]:
    """The policy rules that are not the kernel's own."""
    found = []
    for family in ("-4", "-6"):
        lines = ip(family, "rule", "show", namespace=namespace).splitlines()
        found += [" ".join(line.split()) for line in lines if "lookup 1" in line]
    return found


def snapshot(namespace: str) -> str:
    """All that a plug could change in a namespace, as one text to compare."""
    parts: Sequence[Sequence[str]] = (
        ("-o", "link", "show"),
        ("-o", "address", "show"),
        ("-4", "route", "show", "table", "all"),
        ("-6", "route", "show", "table", "all"),
        ("-4", "rule", "show"),
        ("-6", "rule", "show"),
    )
    # A queue is made when an interface first comes up, and stays.
    return re.sub(r"qdisc \w+ ", "", "\n".join(ip(*part, namespace=namespace) for part in parts))


def packets(namespace: str, interface: str, protocol: int) -> socket.socket:
    """A socket that sees what comes in at an interface."""
    from libra_amphora.namespace import Namespace

    def opened() -> socket.socket:
        sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(protocol))
        sniffer.bind((interface, protocol))
        sniffer.settimeout(10)
        return sniffer

    return Namespace(namespace).run(opened)
