"""The `libra_gate` command; what it does is in `daemon`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from libra_common.complaint import lack
from libra_gate import PROG


def main(argv: Sequence[str] | None = None) -> int:
    """Run the gate; the exit code is one of `libra_common.exits`."""
    try:
        from libra_gate.daemon import run
    except ModuleNotFoundError as error:
        return lack(PROG, error, extra="gate")
    return run(list(sys.argv[1:] if argv is None else argv))


if __name__ == "__main__":
    sys.exit(main())
