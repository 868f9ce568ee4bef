"""A daemon that does nothing but obey: the life cycle's tests run it as a real process.

`python -m tests.support.dummy_daemon FOLDER [settings options]`. In FOLDER the test puts files
that say how to behave (`start`, `readiness`, `job`, `stuck`, `broken`, `child`) and finds what
happened (`cycles`, `reloads`, `child.pid`, `child.env`, `in-stuck` and the like).
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from libra_common import detach
from libra_common.crash import crash_point
from libra_common.daemon import Daemon, Readiness
from libra_common.errors import LibraError, SettingsError
from libra_common.exits import Exit
from libra_common.settings import load

LOG = logging.getLogger("dummy")
PROG = "dummy_daemon"


class Dummy(Daemon):
    interval = 0.05

    def __init__(self, *, folder: Path, argv: Sequence[str]) -> None:
        settings = load(argv, prog=PROG)
        super().__init__(
            name=PROG,
            settings=settings.default,
            pid_file=settings.worker.pid,
            stop_timeout=settings.worker.stop_timeout,
        )
        self.folder = folder
        self.argv = argv
        self.cycles = 0
        self.reloads = 0

    def start(self) -> None:
        how = self.said("start")
        if how == "unavailable":
            raise LibraError("HAProxy is missing")
        if how == "bug":
            raise ZeroDivisionError("password=hunter2")
        self.stay_while("hang")
        if self.said("child"):
            self.start_child()
        crash_point("after_start")

    def start_child(self) -> None:
        child = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(600)"],
            start_new_session=True,
            # Else the test would wait for the end of this child's output too.
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        (self.folder / "child.env").write_bytes(Path(f"/proc/{child.pid}/environ").read_bytes())
        (self.folder / "child.pid").write_text(str(child.pid))

    def cycle(self) -> None:
        self.stay_while("stuck")
        if self.said("broken"):
            raise RuntimeError("a cycle that fails")
        self.cycles += 1
        (self.folder / "cycles").write_text(str(self.cycles))

    def reload(self) -> None:
        settings = load(self.argv, prog=PROG)
        if self.said("refuse"):
            raise SettingsError("a certificate cannot be read")
        self.use_default_settings(settings.default)
        self.reloads += 1
        LOG.info("reload %d", self.reloads)
        (self.folder / "reloads").write_text(str(self.reloads))

    def shutdown(self, *, fast: bool) -> None:
        LOG.info("shutdown fast=%s", fast)
        if not fast:
            self.stay_while("job")

    def readiness(self) -> Readiness:
        return Readiness[self.said("readiness") or "READY"]

    def status(self) -> str:
        return f"cycle of {self.readiness().name.lower()}"

    def said(self, name: str) -> str:
        file = self.folder / name
        return file.read_text().strip() if file.exists() else ""

    def stay_while(self, name: str) -> None:
        while (self.folder / name).exists():
            (self.folder / f"in-{name}").touch()
            time.sleep(0.02)


def main() -> int:
    if patience := os.environ.get("DUMMY_PATIENCE"):
        detach.REGISTRATION_SECONDS = float(patience)
        detach.SERVING_SECONDS = float(patience)
    try:
        dummy = Dummy(folder=Path(sys.argv[1]), argv=sys.argv[2:])
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return Exit.CONFIG
    return dummy.main()


if __name__ == "__main__":
    sys.exit(main())
