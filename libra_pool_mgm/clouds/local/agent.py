"""The agent of one device: its folder, its settings, its command."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from libra_pool_mgm.clouds.base import AgentWish
from libra_pool_mgm.clouds.errors import BadRequest
from libra_pool_mgm.clouds.local.account import Account

_RUN_DIR_LIMIT = 50
"""Bytes, as the agent has it for its run_dir: unix sockets lie below."""


@dataclass(frozen=True, kw_only=True)
class Agent:
    """What a device's agent is told; `folder` is its own, and has what nobody else may read.

    `address` is the device's, at which it serves; `account` is who it runs as.
    """

    wish: AgentWish
    folder: Path
    log: Path
    address: IPv4Address
    haproxy: Path
    account: Account

    def prepare(self) -> None:
        """Write all of it. Raises BadRequest where the folder's name is too long for sockets."""
        if len(os.fsencode(self._run)) > _RUN_DIR_LIMIT:
            longest = _RUN_DIR_LIMIT - len("/d/1000/a/r")
            raise BadRequest(
                f"[mgm:local] folder: must be no longer than {longest} bytes where devices have"
                " agents, for the sake of the paths of unix sockets"
            )
        for folder in (self.folder, self.folder / "s", self._run):
            folder.mkdir(mode=0o700)
            folder.chmod(0o700)
            self.account.give(folder)
        self._write(self._certificate, self.wish.certificate)
        self._write(self._ca, self.wish.ca)
        self._write(self._config, self._text())

    def command(self) -> list[str]:
        """What starts it."""
        return [sys.executable, "-m", "libra_amphora.main", f"--config-file={self._config}"]

    @property
    def _run(self) -> Path:
        return self.folder / "r"

    @property
    def _certificate(self) -> Path:
        return self.folder / "server.pem"

    @property
    def _ca(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def _config(self) -> Path:
        return self.folder / "agent.conf"

    def _write(self, path: Path, text: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        with os.fdopen(os.open(path, flags, 0o600), "w", encoding="ascii") as file:
            file.write(text)
        self.account.give(path)

    def _text(self) -> str:
        wish = self.wish
        sections: dict[str, dict[str, object]] = {
            "DEFAULT": {"log_file": self.log},
            "amphora_agent": {
                "amphora_id": wish.amphora_id,
                "agent_server_ca": self._ca,
                "agent_server_cert": self._certificate,
            },
            "haproxy_amphora": {
                "bind_host": self.address,
                "bind_port": wish.port,
                "haproxy_cmd": self.haproxy,
            },
            "health_manager": {
                "controller_ip_port_list": ", ".join(wish.controllers),
                "heartbeat_key": wish.heartbeat_key,
            },
            # Without `netns`: the device is the namespace.
            "libra_amphora": {
                "state_dir": self.folder / "s",
                "run_dir": self._run,
                "pid": self._run / "pid",
                "user": self.account.user,
                "group": self.account.group,
            },
        }
        return settings_text(sections)


def settings_text(sections: dict[str, dict[str, object]]) -> str:
    """A settings file; in values `$` begins the name of another setting, so it is doubled."""
    return "".join(
        f"[{section}]\n"
        + "".join(f"{name} = {str(value).replace('$', '$$')}\n" for name, value in values.items())
        for section, values in sections.items()
    )
