"""The `libra_amphora` command; what it does is in `daemon`."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

from libra_common.complaint import lack


def main(argv: Sequence[str] | None = None) -> int:
    """Run the agent; the exit code is one of `libra_common.exits`."""
    # Most of a start is imports, and nothing of them is garbage; once it serves it is looked for.
    gc.disable()
    try:
        from libra_amphora.daemon import run
    except ModuleNotFoundError as error:
        return lack("libra_amphora", error, extra="amphora")

    return run(list(sys.argv[1:] if argv is None else argv))


if __name__ == "__main__":
    sys.exit(main())
