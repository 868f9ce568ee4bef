"""Starting the small processes of the local cloud, and talking with one until it is ready."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from libra_pool_mgm.clouds.errors import BuildFailed, CloudTimeout

_ROOT = str(Path(__file__).resolve().parents[3])
_ANSWER_BYTES = 1 << 16

_CHILDREN: list[subprocess.Popen[bytes]] = []
_CHILDREN_LOCK = threading.Lock()


def small_python(module: str) -> list[str]:
    """The words before the arguments of one of our modules that needs no site-packages.

    So it starts in 20 ms instead of 200, and takes a third of the memory.
    """
    start = (
        f"import sys; sys.path.append({_ROOT!r}); "
        f"from {module} import main; sys.exit(main(sys.argv[1:]))"
    )
    return [sys.executable, "-I", "-S", "-c", start]


class Ended(BuildFailed):
    """The process that is spoken with is there no more; what it wrote may say why."""


class Conversation:
    """A process that was started just now, and speaks JSON, a line at a time, until it is up.

    It has its own session and outlives us. `descriptors` are handed down to it under their own
    numbers, `log` takes what it says on standard error, `who` is it in words. Closed without
    `done`, it is killed.
    """

    def __init__(
        self, command: Sequence[str], *, who: str, descriptors: Sequence[int], log: Path
    ) -> None:
        self._who = who
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        errors = os.open(log, flags, 0o640)
        try:
            self._process = subprocess.Popen(
                command,
                env=_environment(),
                cwd="/",
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                pass_fds=descriptors,
                start_new_session=True,
            )
        finally:
            os.close(errors)
        self.pid = self._process.pid
        self._over = False

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._over:
            self._process.kill()
            self._process.wait()
        for end in (self._process.stdin, self._process.stdout):
            if end is not None:
                end.close()
        _reap(self._process)

    def tell(self, what: Mapping[str, Any]) -> None:
        """Send a line. Raises Ended when it is not listening any more."""
        try:
            os.write(_descriptor(self._process.stdin), json.dumps(what).encode() + b"\n")
        except OSError as error:
            raise Ended(f"{self._who} ended while it was set up") from error

    def hear(self, word: str, *, seconds: float) -> None:
        """Wait for the line that says `word`.

        Raises BuildFailed with its fault, Ended when it ends, CloudTimeout when it says
        nothing.
        """
        line = self._line(time.monotonic() + seconds)
        if not line.endswith(b"\n"):
            raise Ended(f"{self._who} ended while it was set up")
        said = json.loads(line)
        if word not in said:
            raise BuildFailed(said.get("fault") or f"{self._who} said {said}")

    def done(self) -> None:
        """Leave it running."""
        self._over = True

    def _line(self, deadline: float) -> bytes:
        source = _descriptor(self._process.stdout)
        poller = select.poll()
        poller.register(source, select.POLLIN)
        line = b""
        while not line.endswith(b"\n"):
            if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise CloudTimeout(f"{self._who} does not answer")
            part = os.read(source, _ANSWER_BYTES)
            if not part:
                break
            line += part
        return line


def _environment() -> dict[str, str]:
    """What a device's processes know of ours: where programs and modules are, the language."""
    names = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "TZ")
    return {name: os.environ[name] for name in names if name in os.environ}


def _descriptor(file: Any) -> int:
    number: int = file.fileno()
    return number


def _reap(process: subprocess.Popen[bytes]) -> None:
    """Let those that have ended go; they are our children only until we end."""
    with _CHILDREN_LOCK:
        _CHILDREN.append(process)
        _CHILDREN[:] = [child for child in _CHILDREN if child.poll() is None]
