"""The stage: gearmand, web servers, and what serves; `alone` and `cloud` are the two kinds.

All of it lives in one temporary folder, on the host's loopback alone, on ports that were free, and
is gone when the stage is left, however it is left.
"""

from __future__ import annotations

import abc
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
from tests.demo.traffic import Target
from tests.support.backends import HttpBackend
from tests.support.ports import free_port
from tests.support.wait import until

HOST = "127.0.0.1"
"""Where gearmand is."""

_JOB_SECONDS = 30.0
_LONGEST_FOLDER = 35  # bytes; a unix socket's path has 108 at most
_LAST_LINES = 12


class Stage(abc.ABC):
    """What plays: started part by part by the story's first steps.

    `webs` are the web servers by the id of the node that they are, `user` is whom root's HAProxy
    runs as; an ordinary user's runs as that user. `node` is the name that the load balancer's
    worker has in gearmand, `target` where its clients turn to.
    """

    node = ""
    target: Target

    def __init__(self, *, gearmand: str, haproxy: str) -> None:
        self.haproxy = haproxy
        self.webs: dict[int, HttpBackend] = {}
        self.gearman_port = 0
        self.user = haproxy_user() if os.getuid() == 0 else ""
        self._gearmand = gearmand
        self._children: list[subprocess.Popen[bytes]] = []
        self._exit = contextlib.ExitStack()
        place = None if len(tempfile.gettempdir()) <= _LONGEST_FOLDER else "/tmp"  # noqa: S108
        self.folder = Path(tempfile.mkdtemp(prefix="libra-demo-", dir=place)).resolve()

    # -- starting ----------------------------------------------------------------------------

    def start_web(self, number: int, host: str) -> HttpBackend:
        """Start the web server that will be node `number` and answers with its own name."""
        web = self._exit.enter_context(HttpBackend(f"web-{number}", host=host))
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

    def _start_daemon(
        self, module: str, function: str, settings: Mapping[str, Mapping[str, object]]
    ) -> int:
        """Start one of our daemons, wait until gearmand knows its name; returns its process id."""
        name = module.partition(".")[0]
        config = self.folder / f"{name}.cfg"
        config.write_text(
            "".join(
                f"[{section}]\n" + "".join(f"{key} = {value}\n" for key, value in values.items())
                for section, values in settings.items()
            )
        )
        command = [sys.executable, "-m", module, "--config-file", str(config)]
        child = self._start(command, output=f"{name}.out")
        until(
            lambda: self.function(function).workers or _ended(child), f"gearmand knows {function}"
        )
        if _ended(child):
            raise Wrong(f"{name} ended with exit code {child.returncode}")
        return child.pid

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

    def submit(self, function: str, message: Mapping[str, Any], response_field: str) -> Result:
        """Send a message through gearmand."""
        client = Client([f"{HOST}:{self.gearman_port}"])
        return client.submit(function, message, _JOB_SECONDS, response_field=response_field)

    def function(self, name: str) -> FunctionStatus:
        """What gearmand says of a function; `workers` are its waiting slots."""
        found = {function.name: function for function in self._admin().status()}
        return found.get(name, FunctionStatus(name, 0, 0, 0))

    def _version(self) -> str:
        with contextlib.suppress(LibraError):
            return self._admin().version()
        return ""

    def _admin(self) -> AdminClient:
        return AdminClient(server=GearmanServer(HOST, self.gearman_port), timeout=2)

    def last_words(self, *files: str) -> str:
        """The last lines that the parts wrote: of `files`, else of those that serve."""
        lines: list[str] = []
        for name in files or self.logs():
            with contextlib.suppress(OSError):
                text = (self.folder / name).read_text(errors="replace")
                lines += text.splitlines()[-_LAST_LINES:]
        return "\n".join(lines)

    @abc.abstractmethod
    def logs(self) -> Sequence[str]:
        """The files in the folder that say what went wrong with what serves."""

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
def set_up(kind: type[Stage]) -> Iterator[Stage]:
    """An empty stage. Raises Missing, with nothing done yet, where a program is not installed."""
    gearmand, haproxy = (_program(name) for name in ("gearmand", "haproxy"))
    stage = kind(gearmand=gearmand, haproxy=haproxy)
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


def haproxy_user() -> str:
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
