"""The `libra_octavia` command; what it does is in `daemon`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from libra_common.complaint import lack
from libra_octavia import PROG


def main(argv: Sequence[str] | None = None) -> int:
    """Run the agent; the exit code is one of `libra_common.exits`."""
    try:
        from libra_octavia.daemon import run
    except ModuleNotFoundError as error:
        return lack(PROG, error, extra="octavia")
    return run(list(sys.argv[1:] if argv is None else argv))


if __name__ == "__main__":
    sys.exit(main())
