"""The manual's pages say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from libra_client.cli.main import parser
from libra_client.cli.reference import main, parts, refreshed

DOCS = Path(__file__).parents[3] / "docs"
PAGES = [DOCS / "cli.md", DOCS / "messages.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_generated_parts_of_a_page_are_those_of_the_code(page: Path) -> None:
    # Given a page / When its parts are made anew / Then nothing changes
    text = page.read_text()
    assert refreshed(text) == text


def test_every_generated_part_stands_on_a_page() -> None:
    # Given all parts / Then each is on one page
    marks = [
        mark for page in PAGES for mark in re.findall("<!-- generated: (.*) -->", page.read_text())
    ]
    assert sorted(marks) == sorted(parts())


def test_a_page_that_fell_behind_is_brought_up_to_date(tmp_path: Path) -> None:
    # Given a page with an old table between the marks
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- generated: actions -->\nold\n<!-- end -->\nafter\n")
    # When it is refreshed
    main([str(page)])
    # Then the table is new and the rest as it was
    text = page.read_text()
    assert "old" not in text
    assert "| `UPDATE` |" in text
    assert text.startswith("before\n")
    assert text.endswith("<!-- end -->\nafter\n")


def test_the_page_of_the_command_names_every_command_and_option() -> None:
    # Given all commands with all their options
    page = (DOCS / "cli.md").read_text()
    usage = parser().format_help()
    commands = re.search(r"commands:\n  COMMAND\n(.*?)\n\n", usage, re.DOTALL)
    assert commands is not None
    names = re.findall(r"^    (\S+)", commands[1], re.MULTILINE)
    assert len(names) >= 17
    # Then the page has each
    for name in names:
        assert f"`libra {name} " in page
    for option in set(re.findall(r"(--[a-z][a-z-]+)", usage)) - {"--help"}:
        assert f"`{option}" in page or f" {option}`" in page, option
