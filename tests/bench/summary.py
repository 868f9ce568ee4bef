"""What the figures come to: rows, and the table made of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Goal:
    """The most that a row's value, or its ratio, may be."""

    of: Literal["value", "ratio"]
    most: float

    def __str__(self) -> str:
        return f"{self.of} <= {self.most:g}"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure: Libra's `value`, that of whom the id names (`against`), and the goal if any.

    `ratio` is value / against, so that below 1 Libra is ahead wherever less is better.
    """

    id: str
    value: float | None
    unit: str
    against: float | None = None
    ratio: float | None = None
    goal: str | None = None
    met: bool | None = None


def row(
    name: str,
    value: float | None,
    unit: str,
    *,
    against: float | None = None,
    goal: Goal | None = None,
) -> Row:
    """Make a row; a goal on what could not be measured is not met."""
    ratio = value / against if value is not None and against else None
    met = None
    if goal is not None:
        seen = value if goal.of == "value" else ratio
        met = seen is not None and seen <= goal.most
    return Row(
        id=name,
        value=_short(value),
        unit=unit,
        against=_short(against),
        ratio=_short(ratio),
        goal=None if goal is None else str(goal),
        met=met,
    )


def merged(old: Iterable[Mapping[str, Any]], new: Sequence[Row], figure: str) -> list[Row]:
    """The rows of a run in which only `figure` was measured anew."""
    kept = [Row(**one) for one in old if not one["id"].startswith(f"{figure}-")]
    return sorted([*kept, *new], key=lambda one: int(one.id.split("-")[0]))


def plain(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """The rows as JSON holds them."""
    return [asdict(one) for one in rows]


def table(rows: Iterable[Row]) -> str:
    """The rows in Markdown."""
    lines = [
        "| figure | Libra | the other | ratio | goal | |",
        "|---|--:|--:|--:|---|---|",
    ]
    for one in rows:
        cells = [
            one.id.split("-", 1)[1].replace("-", " "),
            _cell(one.value, one.unit),
            _cell(one.against, one.unit) if one.against is not None else "",
            "" if one.ratio is None else f"{one.ratio:.3g}",
            one.goal or "",
            verdict(one),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def verdict(one: Row) -> str:
    """What a reader should know of a row at first sight."""
    if one.met is not None:
        return "met" if one.met else "**not met**"
    more_is_better = one.unit.endswith("/s")
    if one.value is None:
        return "not measured"
    if one.goal is not None:
        return "too few to tell"
    if one.against is None or one.value == one.against:
        return ""
    ahead = one.value > one.against if more_is_better else one.value < one.against
    return "ahead" if ahead else "behind"


def between_marks(text: str, section: str) -> str:
    """`text` with all between the marks replaced; the marks are appended where it has none."""
    begin, end = "<!-- bench -->", "<!-- /bench -->"
    block = f"{begin}\n{section.strip()}\n{end}"
    if begin not in text or end not in text:
        return f"{text.rstrip()}\n\n{block}\n"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{block}{after}"


def _short(number: float | None) -> float | None:
    return None if number is None else float(f"{number:.4g}")


def _cell(number: float | None, unit: str) -> str:
    if number is None:
        return "-"
    shown = f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"
    return f"{shown} {unit}"
