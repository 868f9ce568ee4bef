"""How much tests repeat: what each run can afford, or all that the project promises.

`LIBRA_TEST_FULL=1 bin/test --all` takes hours and shows the whole numbers; each run without it
shows the same by fewer repetitions of it.
"""

from __future__ import annotations

import os

_FULL = os.environ.get("LIBRA_TEST_FULL", "") not in ("", "0")


def size(usual: int, *, full: int) -> int:
    """The number of repetitions, or of things, that this run is to have."""
    return full if _FULL else usual
