"""The `libra_amphora` command; what it does is in `daemon`."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the agent; the exit code is one of `libra_common.exits`."""
    # Most of a start is imports, and nothing of them is garbage; once it serves it is looked for.
    gc.disable()
    from libra_amphora.daemon import run

    return run(list(sys.argv[1:] if argv is None else argv))


if __name__ == "__main__":
    sys.exit(main())
