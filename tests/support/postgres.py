"""A real PostgreSQL of a test run's own, reached by a unix socket alone."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import uuid
from pathlib import Path

from tests.support.folders import folder
from tests.support.need import missing
from tests.support.wait import until

_USERS = ("postgres", "nobody")


class Postgres:
    """A server in a folder of its own; it never runs as root, who may not."""

    def __init__(self) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        name = found[-1] if found else shutil.which("initdb")
        if name is None:
            missing("PostgreSQL is not installed")
        self._programs = Path(name).parent
        self._folder = folder()
        self._data = self._folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._user: int | None = None
        self._group: int | None = None
        if os.geteuid() == 0:
            user = next(pwd.getpwnam(name) for name in _USERS if _is_there(name))
            os.chown(self._folder, user.pw_uid, user.pw_gid)
            self._user, self._group = user.pw_uid, user.pw_gid

    def __enter__(self) -> Postgres:
        self._run("initdb", "-D", str(self._data), "-A", "trust", "-U", "libra", "--no-sync")
        said = (self._folder / "said").open("wb")
        self._process = subprocess.Popen(
            [
                str(self._programs / "postgres"),
                *("-D", str(self._data), "-k", str(self._folder)),
                *("-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=60"),
            ],
            stdout=said,
            stderr=said,
            cwd="/",
            user=self._user,
            group=self._group,
            extra_groups=None if self._user is None else [],
        )
        said.close()
        until(self._answers, "PostgreSQL answers")
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(timeout=20)

    def database(self) -> str:
        """Make an empty database; returns its URL."""
        name = f"t{uuid.uuid4().hex[:12]}"
        self._psql("postgres", f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://libra@/{name}?host={self._folder}"

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "said").read_text()
        try:
            self._psql("postgres", "SELECT 1")
        except subprocess.CalledProcessError:
            return False
        return True

    def _psql(self, database: str, statement: str) -> None:
        self._run("psql", "-h", str(self._folder), "-U", "libra", "-qc", statement, database)

    def _run(self, name: str, *arguments: str) -> None:
        subprocess.run(
            [str(self._programs / name), *arguments],
            check=True,
            capture_output=True,
            timeout=60,
            cwd="/",
            user=self._user,
            group=self._group,
            extra_groups=None if self._user is None else [],
        )


def _is_there(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
