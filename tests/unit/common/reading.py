"""Settings as they are written and read in tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from libra_common.errors import SettingsError
from libra_common.settings import load

PROG = "libra_worker"
EVERYTHING = "libra"
"""A command of no mark has the settings of every daemon."""


def written(folder: Path, text: str, name: str = "libra.cfg") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def faults_of(*argv: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load(argv, prog=PROG)
    return caught.value.faults
