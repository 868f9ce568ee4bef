"""Pictures of the results, from their JSON. Needs matplotlib (extra `bench`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_OURS, _THEIRS = "#1b7837", "#9e9e9e"


def draw(results: Path) -> None:
    """Draw what there are results for."""
    import matplotlib as mpl

    mpl.use("Agg")
    for name, picture in (
        ("1-one-change", _one_change),
        ("2-under-load", _under_load),
        ("4-sizes", _sizes),
    ):
        source = results / f"{name}.json"
        if source.exists():
            picture(json.loads(source.read_text()), results / f"{name}.png")


def _axes(title: str) -> tuple[Any, Any]:
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3.6), dpi=90)
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot as plt

    figure.tight_layout()
    # Without a date in it, equal results give an equal file.
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)


def _one_change(data: dict[str, Any], path: Path) -> None:
    kinds = ("added", "removed", "re-weighted")
    names = list(data["times"])
    figure, axes = _axes("One member changed: milliseconds until a client has the proof (p50)")
    for place, name in enumerate(names):
        times = data["times"][name]
        values = [times.get(kind, {}).get("p50", 0) for kind in kinds]
        where = [spot + (place - len(names) / 2) * 0.13 for spot in range(len(kinds))]
        shade = str(0.35 + 0.1 * place)
        bars = axes.bar(where, values, 0.12, label=name, color=_OURS if name == "libra" else shade)
        axes.bar_label(bars, fmt="%.0f", fontsize=6)
    axes.set_yscale("log")
    axes.set_xticks(range(len(kinds)), [f"member {kind}" for kind in kinds])
    axes.legend(fontsize=7, ncols=3, frameon=False)
    axes.margins(y=0.3)
    _save(figure, path)


def _under_load(data: dict[str, Any], path: Path) -> None:
    figure, axes = _axes("Requests failed per 1,000 changes under load (0 is best)")
    names = list(data["systems"])
    for place, kind in enumerate(("keep-alive", "new-connections")):
        values = []
        for name in names:
            one = data["systems"][name][kind]
            values.append(one["failed"] * 1000 / one["changes"] if one["changes"] else 0)
        where = [spot + (place - 0.5) * 0.36 for spot in range(len(names))]
        bars = axes.bar(where, values, 0.34, label=kind, color=("#5e8ab4", "#b4885e")[place])
        axes.bar_label(bars, fmt="{:,.0f}", fontsize=7)
    axes.set_yscale("symlog", linthresh=1)
    axes.set_xticks(range(len(names)), names)
    axes.legend(fontsize=8, frameon=False)
    _save(figure, path)


def _sizes(data: dict[str, Any], path: Path) -> None:
    from statistics import median

    figure, axes = _axes("A full UPDATE, every node changed: milliseconds by nodes")
    sizes = sorted(
        (int(size) for size, one in data["sizes"].items() if one["update"]),
    )
    for kind, colour, label in (
        ("update", _OURS, "UPDATE, answered in force"),
        ("check", _THEIRS, "haproxy -c of the same file alone"),
    ):
        values = [median(data["sizes"][str(size)][kind]) for size in sizes]
        axes.plot(sizes, values, marker="o", color=colour, label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.legend(fontsize=8, frameon=False)
    _save(figure, path)
