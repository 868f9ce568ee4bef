"""The processes of one device, seen from the pool manager: started, found, ended."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from pathlib import Path

from libra_common.crash import crash_point
from libra_common.settings.values import HostPort
from libra_pool_mgm.clouds.base import AgentWish
from libra_pool_mgm.clouds.errors import BuildFailed, CloudTimeout
from libra_pool_mgm.clouds.local import kernel, network, ranges
from libra_pool_mgm.clouds.local.account import Account
from libra_pool_mgm.clouds.local.agent import Agent, settings_text
from libra_pool_mgm.clouds.local.marks import (
    GUARD_BYTE,
    INIT_BYTE,
    LOCK,
    NETWORK_FD,
    NEXT,
    USER_NAMESPACE,
)
from libra_pool_mgm.clouds.local.needs import OWN_PROCESSES
from libra_pool_mgm.clouds.local.outer import descriptor_of
from libra_pool_mgm.clouds.local.starting import Conversation, Ended, small_python

_FIRST_PORT = 4730
_SECONDS = 10.0
_LAST_BYTES = 2000


@dataclass(frozen=True, kw_only=True)
class NodeSettings:
    """What all devices have in common.

    `gearman` are the servers as this machine reaches them, `haproxy` is the program, `account` who
    the processes in a device are, `devices` the range of their addresses, `ports` and `ports_ipv6`
    those of their ports.
    """

    gearman: Sequence[HostPort]
    haproxy: Path
    account: Account
    devices: IPv4Network
    message_limit: int
    ports: IPv4Network
    ports_ipv6: IPv6Network


class Node:
    """The processes and files of device `number`, named `name`; everything is in `folder`."""

    def __init__(self, *, number: int, name: str, folder: Path, settings: NodeSettings) -> None:
        self._number = number
        self._name = name
        self._folder = folder
        self._settings = settings
        self.lock = folder / "lock"

    @property
    def address(self) -> IPv4Address:
        """The device's own address."""
        return self._settings.devices[self._number]

    @property
    def being_built(self) -> bool:
        """Whether a guard is there; it ends with the device, or when building it fails."""
        return kernel.holder(self.lock, GUARD_BYTE) is not None

    @property
    def running(self) -> bool:
        """Whether the device's first process is there, and with it the rest."""
        return kernel.holder(self.lock, INIT_BYTE) is not None

    @contextlib.contextmanager
    def opened(self) -> Iterator[int | None]:
        """A descriptor of its network namespace; None where the device has none any more."""
        found = descriptor_of(self.lock, GUARD_BYTE, NETWORK_FD)
        try:
            yield found
        finally:
            if found is not None:
                os.close(found)

    def start(self, outer: int, wish: AgentWish | None) -> None:
        """Make the device in the outer namespace; returns when its processes were started.

        Raises BuildFailed with the reason, BadRequest, CloudTimeout or OSError; what was started
        is ended then.
        """
        agent = None if wish is None else self._agent(wish)
        self._prepare(agent)
        # Opened here: a guard whose builder was killed never meets the lock of the next one.
        lock = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._converse(outer, lock, agent)
        except Ended as error:
            raise BuildFailed(f"{error}: {self.last_words()}") from error
        finally:
            os.close(lock)

    def _agent(self, wish: AgentWish) -> Agent:
        settings = self._settings
        return Agent(
            wish=wish,
            folder=self._folder / "a",
            log=self._folder / "log" / "agent.log",
            address=self.address,
            haproxy=settings.haproxy,
            account=settings.account,
        )

    def _converse(self, outer: int, lock: int, agent: Agent | None) -> None:
        words = [
            *small_python("libra_pool_mgm.clouds.local.guard"),
            f"--folder={self._folder}/",
            f"--lock={lock}",
            f"--outer={outer}",
            *self._owner(agent),
        ]
        log = self._folder / "guard.log"
        with Conversation(
            words, who="the device's guard", descriptors=[outer, lock], log=log
        ) as guard:
            crash_point("local_guard_started")
            guard.hear("ready", seconds=_SECONDS)
            self._link(outer, guard.pid)
            crash_point("local_linked")
            guard.tell({"relays": self._relays(), "command": self._command(agent)})
            guard.hear("up", seconds=_SECONDS)
            crash_point("local_up")
            guard.done()

    def end(self) -> None:
        """Kill whatever runs, the guard first so that it sees nothing. Raises CloudTimeout."""
        for byte in (GUARD_BYTE, INIT_BYTE):
            if self.lock.exists() and not kernel.end_holder(self.lock, byte, seconds=_SECONDS):
                raise CloudTimeout(f"the processes of device {self._name} do not end")

    def erase(self) -> None:
        """Remove its files."""
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._folder.exists():
            shutil.rmtree(self._folder)

    def last_words(self) -> str:
        """The last line that its guard or its init had to say."""
        with contextlib.suppress(OSError):
            text = (self._folder / "guard.log").read_bytes()[-_LAST_BYTES:].decode(errors="replace")
            lines = [line for line in text.splitlines() if line.strip()]
            if lines:
                return lines[-1]
        return "its processes have ended"

    def _link(self, outer: int, guard: int) -> None:
        device = os.open(f"/proc/{guard}/fd/{NETWORK_FD}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            network.link(
                outer,
                device,
                number=self._number,
                address=self.address,
                gateway=ranges.gateway(self._settings.devices),
                devices=self._settings.devices,
            )
        finally:
            os.close(device)

    # -- files ------------------------------------------------------------------------------

    def _prepare(self, agent: Agent | None) -> None:
        """Lay out the folder; what an earlier device of this number left there goes."""
        self.erase()
        self._folder.mkdir(mode=0o711, parents=True)
        self._folder.chmod(0o711)
        for name in ("state", "run", "log"):
            folder = self._folder / name
            folder.mkdir(mode=0o750)
            self._settings.account.give(folder)
        config = self._folder / "libra.cfg"
        config.write_text(self._config())
        config.chmod(0o644)
        if agent is not None:
            agent.prepare()

    def _config(self) -> str:
        settings, folder = self._settings, self._folder
        sections: dict[str, dict[str, object]] = {
            "DEFAULT": {"log_file": folder / "log" / "worker.log"},
            "gearman": {
                "servers": ", ".join(f"127.0.0.1:{port}" for port, _, _ in self._relays()),
                "message_limit": settings.message_limit,
            },
            "worker": {"name": self._name, "pid": folder / "run" / "worker.pid"},
            "worker:haproxy": {
                "haproxy": settings.haproxy,
                "state_dir": folder / "state",
                "run_dir": folder / "run",
                "log_dir": folder / "log",
                "user": settings.account.user,
                "group": settings.account.group,
            },
        }
        return settings_text(sections)

    def _relays(self) -> list[tuple[int, str, int]]:
        """A port in the device for each gearman server, and where it leads."""
        return [
            (_FIRST_PORT + index, server.host, server.port)
            for index, server in enumerate(self._settings.gearman)
        ]

    def _owner(self, agent: Agent | None) -> list[str]:
        """Who owns the device's network, where an ordinary user needs rights in it."""
        account = self._settings.account
        if agent is None or account.is_root:
            return []
        return [f"--owner={account.uid}:{account.gid}", *self._groups()]

    def _groups(self) -> list[str]:
        return [] if self._settings.account.changes else ["--keep-groups"]

    def _command(self, agent: Agent | None) -> list[str]:
        """What the guard starts: namespaces, then the ordinary user, then the init, all else."""
        account = self._settings.account
        init = small_python("libra_pool_mgm.clouds.local.init")
        worker = [
            sys.executable,
            "-m",
            "libra_worker.main",
            f"--config-file={self._folder / 'libra.cfg'}",
        ]
        if agent is None:
            return [*OWN_PROCESSES, *account.prefix(), *init, LOCK, *worker]
        both = [LOCK, *self._without_rights(), *worker, NEXT, *agent.command()]
        if account.is_root:
            return [*OWN_PROCESSES, *init, *both]
        who = [f"--uid={account.uid}", f"--gid={account.gid}", *self._groups()]
        return [*OWN_PROCESSES, *init, "--user-namespace", USER_NAMESPACE, *who, *both]

    def _without_rights(self) -> list[str]:
        """The words before a command beside the agent that is to have nothing of its rights."""
        if self._settings.account.is_root:
            return []
        setpriv = shutil.which("setpriv") or "/usr/bin/setpriv"
        return [setpriv, "--inh-caps=-all", "--ambient-caps=-all", "--"]
