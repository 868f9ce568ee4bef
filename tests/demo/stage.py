"""The stage: gearmand, a worker with its own HAProxy, and web servers behind it.

All of it lives in one temporary folder and on loopback, on ports that were free, and is gone
when the stage is left, however it is left.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import libra_haproxy
from libra_client.client import Client, Result
from libra_common.errors import LibraError
from libra_common.jobs import AdminClient, GearmanServer
from libra_common.jobs.admin import FunctionStatus
from tests.demo import sweep
from tests.demo.faults import Missing, Wrong
from tests.support.backends import HttpBackend
from tests.support.ports import free_port
from tests.support.wait import until

HOST = "127.0.0.1"
NAME = "demo-node"
"""The worker's name, which is its function in gearmand."""

_JOB_SECONDS = 20.0
_LONGEST_FOLDER = 60  # bytes; a unix socket's path has 108 at most
_LAST_LINES = 12


class Stage:
    """What plays: started part by part by the story's first step.

    `webs` are the web servers by the id of the node that they are, `port` is the load balancer's,
    `user` whom root's HAProxy runs as; an ordinary user's runs as that user.
    """

    def __init__(self, *, gearmand: str, haproxy: str) -> None:
        self.haproxy = haproxy
        self.webs: dict[int, HttpBackend] = {}
        self.port = free_port(HOST)
        self.gearman_port = 0
        self.user = _haproxy_user() if os.getuid() == 0 else ""
        self._gearmand = gearmand
        self._children: list[subprocess.Popen[bytes]] = []
        self._exit = contextlib.ExitStack()
        place = None if len(tempfile.gettempdir()) <= _LONGEST_FOLDER else "/tmp"  # noqa: S108
        self.folder = Path(tempfile.mkdtemp(prefix="libra-demo-", dir=place)).resolve()

    # -- starting ----------------------------------------------------------------------------

    def start_web(self, number: int) -> HttpBackend:
        """Start the web server that will be node `number` and answers with its own name."""
        web = self._exit.enter_context(HttpBackend(f"web-{number}", host=HOST))
        self.webs[number] = web
        return web

    def start_gearmand(self) -> str:
        """Start gearmand and return its version."""
        for _ in range(3):  # somebody else may take the port in between
            self.gearman_port = free_port(HOST)
            child = self._start(
                [
                    self._gearmand,
                    f"--listen={HOST}",
                    f"--port={self.gearman_port}",
                    f"--pid-file={self.folder / 'gearmand.pid'}",
                    f"--log-file={self.folder / 'gearmand.log'}",
                    *_same_user(),
                ],
                output="gearmand.out",
            )
            until(partial(self._answers_or_ended, child), "gearmand answers")
            if not _ended(child):
                return self._version()
        words = self.last_words("gearmand.log", "gearmand.out").splitlines()
        raise Wrong(f"gearmand does not start: {words[-1] if words else 'it says nothing'}")

    def _answers_or_ended(self, child: subprocess.Popen[bytes]) -> bool:
        return bool(self._version()) or _ended(child)

    def start_worker(self) -> int:
        """Start the worker, wait until gearmand knows its name, and return its process id."""
        config = self.folder / "libra.cfg"
        config.write_text(self._settings())
        command = [sys.executable, "-m", "libra_worker.main", "--config-file", str(config)]
        child = self._start(command, output="worker.out")
        until(lambda: self.function().workers or _ended(child), f"gearmand knows {NAME}")
        if _ended(child):
            raise Wrong(f"the worker ended with exit code {child.returncode}")
        return child.pid

    def _settings(self) -> str:
        sections: dict[str, dict[str, object]] = {
            "DEFAULT": {"log_file": self.folder / "worker.log"},
            "gearman": {"servers": f"{HOST}:{self.gearman_port}"},
            "worker": {"name": NAME, "pid": self.folder / "worker.pid"},
            "worker:haproxy": {
                "haproxy": self.haproxy,
                "bind_address": HOST,
                "state_dir": self.folder / "state",
                "run_dir": self.folder / "run",
                "log_dir": self.folder / "log",
                **({"user": self.user, "group": self.user} if self.user else {}),
            },
        }
        return "".join(
            f"[{section}]\n" + "".join(f"{name} = {value}\n" for name, value in values.items())
            for section, values in sections.items()
        )

    def _start(self, command: Sequence[str], *, output: str) -> subprocess.Popen[bytes]:
        with (self.folder / output).open("ab") as file:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,  # Ctrl-C is for the story, which ends them in order
            )
        self._children.append(child)
        return child

    # -- asking ------------------------------------------------------------------------------

    def submit(self, message: Mapping[str, Any]) -> Result:
        """Send a message to the node through gearmand."""
        return Client([f"{HOST}:{self.gearman_port}"]).submit(NAME, message, _JOB_SECONDS)

    def function(self) -> FunctionStatus:
        """What gearmand says of the worker's function; `workers` are its waiting slots."""
        found = {function.name: function for function in self._admin().status()}
        return found.get(NAME, FunctionStatus(NAME, 0, 0, 0))

    def _version(self) -> str:
        with contextlib.suppress(LibraError):
            return self._admin().version()
        return ""

    def _admin(self) -> AdminClient:
        return AdminClient(server=GearmanServer(HOST, self.gearman_port), timeout=2)

    def last_words(self, *files: str) -> str:
        """The last lines that the parts wrote: of `files`, else of the worker's."""
        lines: list[str] = []
        for name in files or ("worker.out", "worker.log", "run/keeper.log"):
            with contextlib.suppress(OSError):
                text = (self.folder / name).read_text(errors="replace")
                lines += text.splitlines()[-_LAST_LINES:]
        return "\n".join(lines)

    # -- the end -----------------------------------------------------------------------------

    def clear(self) -> None:
        """End every process and remove every file. Raises Wrong if something is left."""
        sweep.end(self.folder)
        for child in self._children:
            child.wait(5)
        self._exit.close()
        shutil.rmtree(self.folder)
        if self.folder.exists() or sweep.processes(self.folder):
            raise Wrong(f"something is left behind of {self.folder}")


@contextlib.contextmanager
def set_up() -> Iterator[Stage]:
    """An empty stage. Raises Missing, with nothing done yet, where a program is not installed."""
    gearmand, haproxy = (_program(name) for name in ("gearmand", "haproxy"))
    stage = Stage(gearmand=gearmand, haproxy=haproxy)
    try:
        stage.folder.chmod(0o755)  # root's HAProxy runs as another user, who has to get in
        yield stage
    finally:
        stage.clear()


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise Missing(f"{name} is not installed, or not on the PATH")
    return found


def _ended(child: subprocess.Popen[bytes]) -> bool:
    return child.poll() is not None


def _same_user() -> list[str]:
    """gearmand's option to stay root, which it would not unasked; others may not give it."""
    return ["--user=root"] if os.getuid() == 0 else []


def _haproxy_user() -> str:
    """Whom HAProxy runs as when root starts it: `haproxy`, unless that user cannot run it.

    Its keeper is Python, and a checkout or an interpreter below /root is root's alone.
    """
    try:
        pwd.getpwnam("haproxy")
    except KeyError:
        return "root"
    needed = (Path(sys.executable).resolve(), Path(libra_haproxy.__file__).resolve().parent)
    places = {place for path in needed for place in (path, *path.parents)}
    return "haproxy" if all(place.stat().st_mode & 0o001 for place in places) else "root"
