"""What every figure is given: how much to do, where to work, and what stands behind."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.haproxy_ways import CheckedReload, SoftFinish, StopStart
from tests.bench.members import Farm, Wanted
from tests.bench.other_ways import Caddy, Nginx
from tests.bench.systems import Libra, System
from tests.support.gearmand import Gearmand

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Bench:
    """One run: its folder, the servers behind, and gearmand."""

    quick: bool
    folder: Path
    farm: Farm
    gearmand: Gearmand

    def amount(self, full: int, quick: int) -> int:
        """How often to do something."""
        return quick if self.quick else full

    @property
    def three(self) -> Wanted:
        """The usual beginning: three members of equal weight."""
        return Wanted(tuple(self.farm.members[:3]))

    def place(self) -> Path:
        """A new, short folder."""
        folder = Path(tempfile.mkdtemp(prefix="b", dir=self.folder))
        folder.chmod(0o755)
        return folder

    def libra(self, **settings: Any) -> Libra:
        """A node that is not running yet."""
        return Libra(self.place(), server=self.gearmand.address, **settings)

    @contextmanager
    def all_systems(self) -> Iterator[list[System]]:
        """Libra and the five others, serving three members each."""
        place = self.place()
        systems: list[System] = [self.libra()]
        systems += [way(place) for way in (StopStart, SoftFinish, CheckedReload, Nginx, Caddy)]
        with ExitStack() as stack:
            for system in systems:
                stack.callback(system.stop)
                system.start(self.three)
            yield systems


@contextmanager
def prepared(*, quick: bool) -> Iterator[Bench]:
    """Start what all figures share; end it and erase its files afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="lb"))
    folder.chmod(0o755)
    try:
        with Farm(folder) as farm, Gearmand() as gearmand:
            yield Bench(quick=quick, folder=folder, farm=farm, gearmand=gearmand)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def save(name: str, data: Any) -> None:
    """Write one result, with the time at which it was measured."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(data, indent=1, sort_keys=True)
    (RESULTS / f"{name}.json").write_text(text + "\n")


def note(words: str) -> None:
    """Tell whoever waits."""
    print(f"{time.strftime('%H:%M:%S')} {words}", flush=True)
