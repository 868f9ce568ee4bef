"""Printing the story: in colour on a terminal, in plain text of 100 columns in a log."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import HORIZONTALS, ROUNDED, SIMPLE_HEAD
from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

WIDTH = 100
_INDENT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the summary; `good` is None for what was not reached."""

    title: str
    good: bool | None
    seconds: float = 0.0


class Screen:
    """Where the story appears."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        terminal = self._console.is_terminal
        self._console.width = min(WIDTH, self._console.width) if terminal else WIDTH
        utf8 = self._console.encoding.startswith("utf")
        self._tick, self._cross, self._dash = ("✓", "✗", "-") if utf8 else ("ok", "no", "-")
        if not utf8 and hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="replace")

    def title(self, text: str, below: str) -> None:
        """Open the story."""
        content = Text.assemble((text, "bold"), "\n", below)
        self._console.print(Panel(content, box=ROUNDED, border_style="cyan", width=self._width))

    def step(self, number: int, title: str, sentence: str) -> None:
        """Open a step and say what will be done."""
        self._console.print()
        self._console.rule(Text(f" {number}  {title} ", "bold cyan"), align="left", style="cyan")
        self._print(Text(sentence, "italic"))

    def sent(self, message: Mapping[str, Any], to: str) -> None:
        """Show a message that goes out."""
        self._json(message, f"sent to {to}", "blue")

    def came_back(self, added: Mapping[str, Any], seconds: float, *, ok: bool) -> None:
        """Show what the answer adds to the message."""
        title = f"came back in {seconds * 1000:.0f} ms: the message itself, and"
        self._json(added, title, "green" if ok else "yellow")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Show a table; numbers stand to the right."""
        table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for index, column in enumerate(columns):
            number = any(isinstance(row[index], int) for row in rows)
            table.add_column(column, justify="right" if number else "left")
        for row in rows:
            table.add_row(*(Text(str(cell)) for cell in row))
        self._print(table)

    def line(self, text: str, style: str = "") -> None:
        """Show a line as it is."""
        self._print(Text(text, style))

    def good(self, text: str) -> None:
        """Show something that was checked and is as it should be."""
        self._print(self._marked(self._tick, text, "green"))

    def bad(self, text: str, details: str = "") -> None:
        """Show what is wrong, and what the parts had to say about it."""
        self._console.print()
        self._console.print(self._marked(self._cross, text, "bold red", whole=True))
        if details:
            self._print(Panel(Text(details), title="the worker's last words", box=ROUNDED))

    def summary(self, rows: Sequence[Row], *, seconds: float) -> None:
        """Close the story: a line for each step."""
        table = Table(box=HORIZONTALS, show_header=False, width=self._width, border_style="cyan")
        table.add_column(justify="center")
        table.add_column(ratio=1)
        table.add_column(justify="right")
        marks = {
            True: Text(self._tick, "bold green"),
            False: Text(self._cross, "bold red"),
            None: Text(self._dash, "dim"),
        }
        for row in rows:
            taken = "not reached" if row.good is None else f"{row.seconds:.1f} s"
            table.add_row(marks[row.good], Text(row.title), taken)
        table.add_section()
        all_good = all(row.good for row in rows)
        verdict = "all as it should be" if all_good else "NOT as it should be"
        style = "bold green" if all_good else "bold red"
        table.add_row(marks[all_good], Text(verdict, style), f"{seconds:.1f} s")
        self._console.print()
        self._console.print(table)

    def _json(self, value: object, title: str, style: str) -> None:
        text = JSONHighlighter()(short_json(value, self._width - _INDENT - 4))
        panel = Panel(text, title=title, title_align="left", box=ROUNDED, border_style=style)
        self._print(panel)

    def _print(self, what: object) -> None:
        if isinstance(what, Text):
            what.overflow = "fold"
        self._console.print(Padding(what, (0, 0, 0, _INDENT), expand=False))  # type: ignore[arg-type]

    @staticmethod
    def _marked(mark: str, text: str, style: str, *, whole: bool = False) -> Text:
        return Text.assemble((f"{mark} ", style), (text, style if whole else ""))

    @property
    def _width(self) -> int:
        return self._console.width


def short_json(value: object, width: int, indent: int = 0) -> str:
    """JSON for people: whatever fits into a line of `width` stands on one."""
    line = json.dumps(value, ensure_ascii=False)
    if indent + len(line) <= width or not isinstance(value, dict | list) or not value:
        return line
    inner, outer = " " * (indent + 2), " " * indent
    if isinstance(value, dict):
        parts = [
            f"{inner}{json.dumps(name)}: {short_json(item, width, indent + 2)}"
            for name, item in value.items()
        ]
        return "{\n" + ",\n".join(parts) + f"\n{outer}}}"
    parts = [inner + short_json(item, width, indent + 2) for item in value]
    return "[\n" + ",\n".join(parts) + f"\n{outer}]"
