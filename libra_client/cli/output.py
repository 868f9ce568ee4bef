"""What people read: tables and sentences, with nothing from outside that a terminal obeys.

Colour is for terminals only, and not where NO_COLOR is set. Where the output is no terminal,
lines are as long as they are, so that other programs can read them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDE = 100_000
"""Columns of a pipe or a file: no cell is ever folded there."""

_COLOURS = {
    **dict.fromkeys(("PASS", "ACTIVE", "UP", "passed"), "green"),
    **dict.fromkeys(("FAIL", "DOWN"), "red"),
    **dict.fromkeys(("SUSPENDED", "DELETED", "MAINT", "DRAIN"), "yellow"),
}


def plain(value: object) -> str:
    """Text as a terminal may see it: what is not printable is shown by its escape."""
    text = value if isinstance(value, str) else json.dumps(value)
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def say(*words: object) -> None:
    """One line on standard output; the known words among `words` are coloured."""
    _console(sys.stdout).print(_line(words), soft_wrap=True)


def complain(line: str) -> None:
    """What went wrong, one line on standard error after the command's name."""
    note(f"libra: {line}")


def note(line: str) -> None:
    """One line on standard error."""
    _console(sys.stderr).print(Text(plain(line)), soft_wrap=True)


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on standard output, with a line of column names."""
    table = _table(columns)
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    _print(table)


def show_fields(fields: Iterable[tuple[str, object]]) -> None:
    """Names and values on standard output, two columns without a head."""
    table = _table(("name", "value"), head=False)
    for name, value in fields:
        table.add_row(Text(plain(name), "bold"), _cell(value))
    _print(table)


def show_json(value: Mapping[str, Any] | Sequence[Any]) -> None:
    """JSON in ASCII on standard output, for programs; never coloured, never folded."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def _console(file: TextIO) -> Console:
    width = None if file.isatty() else _WIDE
    return Console(file=file, width=width, highlight=False, markup=False, emoji=False)


def _table(columns: Sequence[str], *, head: bool = True) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=head)
    for name in columns:
        table.add_column(name, overflow="fold")
    return table


def _print(table: Table) -> None:
    """Print a table without the spaces that fill its last column."""
    console = _console(sys.stdout)
    with console.capture() as captured:
        console.print(table)
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def _cell(value: object) -> Text:
    text = "-" if value is None else plain(value)
    return Text(text, _COLOURS.get(text, ""))


def _line(words: Iterable[object]) -> Text:
    return Text(" ").join(_cell(word) for word in words)
