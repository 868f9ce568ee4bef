"""Octavia's own amphora agent, on a machine that it may write on: run in a mount namespace.

`python octavia_agent.py FOLDER PYTHON CONFIG`, as root, below `unshare --mount`. It writes units,
interface files and logs all over a system; here these go into FOLDER. systemd is not there, so
what it tells it is taken as done.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_OVERLAID = ("/etc", "/var/lib", "/var/log", "/usr/lib/systemd")


def main(folder: Path, python: str, config: str) -> None:
    """Make the machine, then become the agent."""
    # An overlay cannot lie on another one, but on memory it can.
    _run("mount", "-t", "tmpfs", "tmpfs", str(folder))
    for number, place in enumerate(_OVERLAID):
        upper, work = folder / f"upper{number}", folder / f"work{number}"
        upper.mkdir()
        work.mkdir()
        options = f"lowerdir={place},upperdir={upper},workdir={work}"
        _run("mount", "-t", "overlay", "overlay", "-o", options, place)
    for made in ("/etc/octavia/interfaces", "/etc/netns/amphora-haproxy", "/var/lib/octavia"):
        Path(made).mkdir(parents=True, exist_ok=True)
    user = Path("/var/lib/octavia/haproxy-default-user-group.conf")
    user.write_text("global\n    group haproxy\n")
    _run("mount", "-t", "tmpfs", "tmpfs", "/run")
    Path("/run/rsyslog/octavia").mkdir(parents=True)
    _run("ip", "netns", "add", "amphora-haproxy")
    commands = folder / "bin"
    commands.mkdir()
    systemctl = commands / "systemctl"
    systemctl.write_text("#!/bin/sh\nexit 0\n")
    systemctl.chmod(0o755)
    path = f"{commands}:{Path(python).parent}:{os.environ['PATH']}:/usr/sbin"
    os.execve(  # noqa: S606 - becomes it
        python,
        [python, "-c", "from octavia.cmd.agent import main; main()", "--config-file", config],
        {**os.environ, "PATH": path},
    )


def _run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=20)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
