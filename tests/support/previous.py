"""The release before this one, out of the history: what a node comes from, and can go back to."""

from __future__ import annotations

import functools
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import folders, need

PREVIOUS = "74371dc41637f2205758b7a9de3f8d1560525ddb"
"""A commit that stands for the last release while there is none; then it becomes that one's tag."""

_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class Previous:
    """The source of that release at `tree`, for everybody to read."""

    tree: Path

    @property
    def prefix(self) -> tuple[str, ...]:
        """Before the command of a daemon, `python -m ...`, this has that release run."""
        # Python looks for modules in the folder that it is started in, before all others.
        return (need.program("env"), "-C", str(self.tree))

    def runs(self, pid: int) -> bool:
        """Whether a process was started from it: in its folder, or with it in the command line."""
        place = Path(f"/proc/{pid}")
        words = (place / "cmdline").read_bytes().decode("utf-8", "replace")
        return str(self.tree) in words or (place / "cwd").resolve() == self.tree


@functools.cache
def previous() -> Previous:
    """Take it out of the history; skips where there is none."""
    git = [shutil.which("git") or "false", "-C", str(_ROOT), "-c", f"safe.directory={_ROOT}"]
    looked = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, check=False)
    if looked.returncode:
        pytest.skip("the release before is in the history, and this is no checkout of git")
    paths = ("libra_*", "tests/__init__.py", "tests/support")
    done = subprocess.run(
        [*git, "archive", PREVIOUS, "--", *paths], capture_output=True, check=False
    )
    if done.returncode:
        need.missing(f"the release before, {PREVIOUS}: {done.stderr.decode().strip()}")
    tree = folders.folder()
    tree.chmod(0o755)
    unpack = [need.program("tar"), "--extract", "--no-same-owner", "-C", str(tree)]
    subprocess.run(unpack, input=done.stdout, check=True)
    return Previous(tree=tree)
