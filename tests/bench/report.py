"""Writes the summary, the table and README's section from what was measured."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.bench.bench import RESULTS, save
from tests.bench.summary import Row, between_marks, merged, plain, table
from tests.support.need import program

README = Path(__file__).parents[2] / "README.md"

_INTRODUCTION = """\
The rows of one figure were measured in one run on one machine, in turns; times on another differ,
and the ratio (Libra / the other, less is better except where the unit is jobs/s) is what to
compare. `make bench` measures anew.
"""
_README_ROWS = re.compile(
    r"1-member-(added|removed|re-weighted)(-vs-haproxy-reload|-vs-nginx-reload|-vs-caddy-api)?"
    r"|2-mix-.*|2-requests-failed-(keep-alive|new-connections)-vs-(haproxy-reload|caddy-api)"
    r"|3-.*|4-.*-10000-.*|5-DISCOVER-p50-.*|6-worker-.*|7-serving-again-.*"
    r"|8-.*-vs-nova-alone|9-.*-vs-.*|10-agent-.*|10-bare-.*-listeners|13-driver-call-.*|14-.*",
    re.ASCII,
)
"""The rows that a newcomer wants; all of them are in the summary."""


def add(figure: str, rows: list[Row]) -> None:
    """Put one figure's rows into the summary, in place of its former ones."""
    path = RESULTS / "summary.json"
    old: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
    save("summary", plain(merged(old, rows, figure)))


def write(*, quick: bool) -> None:
    """Write where and when it was measured, and the table."""
    save("machine", {**_machine(), "quick": quick, "measured": time.strftime("%Y-%m-%d")})
    (RESULTS / "summary.md").write_text(f"{_heading()}\n{_introduction()}\n{table(_rows())}")


def readme() -> bool:
    """Renew README's section; False when nothing was measured yet."""
    if not (RESULTS / "summary.json").exists():
        return False
    chosen = [one for one in _rows() if _README_ROWS.fullmatch(one.id)]
    pictures = "\n".join(
        f"![{picture.stem[2:].replace('-', ' ')}](tests/bench/results/{picture.name})"
        for picture in sorted(RESULTS.glob("*.png"))
    )
    text = (
        f"## Measured\n\n{_heading()}\n{_introduction()}\n{table(chosen)}\n"
        "All rows: [summary](tests/bench/results/summary.md); the single figures are beside it.\n\n"
        f"{pictures}\n"
    )
    README.write_text(between_marks(README.read_text(), text))
    return True


def _introduction() -> str:
    source = RESULTS / "2-under-load.json"
    if not source.exists():
        return _INTRODUCTION
    counts = [
        one["changes"]
        for kinds in json.loads(source.read_text())["systems"].values()
        for one in kinds.values()
    ]
    return (
        f"{_INTRODUCTION}Failed requests and cut connections are scaled to 1,000 changes from "
        f"{min(counts)} to {max(counts)} of each system;\na client that is refused tries again at "
        "once, so long outages count many times.\n"
    )


def _rows() -> list[Row]:
    return [Row(**one) for one in json.loads((RESULTS / "summary.json").read_text())]


def _heading() -> str:
    machine = json.loads((RESULTS / "machine.json").read_text())
    quick = " in a quick run" if machine["quick"] else ""
    return (
        f"Measured {machine['measured']}{quick} on {machine['cores']} cores, "
        f"{machine['haproxy']}, {machine['nginx']}, Caddy {machine['caddy']}.\n"
    )


def _machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "haproxy": "HAProxy " + _version("haproxy", "-v"),
        "nginx": "nginx " + _version("nginx", "-v"),
        "caddy": _version("caddy", "version"),
    }


def _version(name: str, how: str) -> str:
    done = subprocess.run([program(name), how], capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+\.\d+", done.stdout + done.stderr)
    return found[0] if found else "unknown"
