"""`python -m tests.bench [--quick] [--only N ...]` measures; `... readme` renews README."""

from __future__ import annotations

import argparse
import sys
import time
import traceback

import pytest

from tests.bench import (
    agents,
    archives,
    builds,
    bytes_metered,
    devices,
    faults,
    footprint,
    gate,
    latency,
    one_change,
    plots,
    provider,
    report,
    sizes,
    status,
    under_load,
)
from tests.bench.bench import RESULTS, note, prepared

FIGURES = {
    "1": one_change,
    "2": under_load,
    "3": bytes_metered,
    "4": sizes,
    "5": latency,
    "6": footprint,
    "7": faults,
    "8": builds,
    "9": archives,
    "10": agents,
    "11": devices,
    "12": gate,
    "13": provider,
    "14": status,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("what", nargs="?", choices=["run", "readme"], default="run")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions: 2 minutes")
    parser.add_argument("--only", nargs="+", choices=list(FIGURES), help="these figures alone")
    given = parser.parse_args()
    if given.what == "readme":
        return 0 if report.readme() else _say("nothing was measured yet: run `make bench`")
    failed = []
    with prepared(quick=given.quick) as bench:
        for figure in given.only or FIGURES:
            note(f"figure {figure}: {FIGURES[figure].__name__.rpartition('.')[2]}")
            began = time.monotonic()
            try:
                rows = FIGURES[figure].measure(bench)
            except pytest.skip.Exception as reason:  # what was measured before stays
                note(f"  skipped: {reason}")
            except Exception:  # noqa: BLE001 - what goes wrong in one figure spoils no other
                traceback.print_exc()
                failed.append(figure)
            else:
                report.add(figure, rows)
            note(f"  {time.monotonic() - began:.0f} s")
    report.write(quick=given.quick)
    plots.draw(RESULTS)
    print((RESULTS / "summary.md").read_text())
    return _say(f"not measured: figure {', '.join(failed)}") if failed else 0


def _say(words: str) -> int:
    print(words, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
