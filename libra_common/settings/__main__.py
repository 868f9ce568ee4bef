"""Print the generated files: `python -m libra_common.settings {sample|reference}`."""

from __future__ import annotations

import sys

from libra_common.exits import Exit
from libra_common.settings import render

_PAGES = {"sample": render.sample, "reference": render.reference}


def main(argv: list[str]) -> int:
    """Print the page named by the only argument to standard output."""
    if len(argv) != 1 or argv[0] not in _PAGES:
        sys.stderr.write(f"usage: python -m libra_common.settings {{{'|'.join(_PAGES)}}}\n")
        return Exit.USAGE
    sys.stdout.write(_PAGES[argv[0]]())
    return Exit.OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
