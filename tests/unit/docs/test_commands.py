"""Each command that the manual shows is run by a test, and it is known by which."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.support import pages
from tests.unit.docs import proofs

RUNNER = "tests/integration/install/test_pages.py"
KNOWN = {**proofs.ELSEWHERE, **proofs.NOWHERE}


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: page.name)
def test_each_command_of_a_page_is_run_by_a_test_or_it_is_said_why_not(page: Path) -> None:
    # Given all blocks of a page, each of a known kind / When its commands are looked up
    orphans = [
        f"{shown.page}:{shown.line}: {shown.command}"
        for shown in pages.commands(page)
        if (shown.page, shown.command) not in KNOWN and shown.page not in proofs.RUN
    ]
    # Then there is a test for each
    assert not orphans, f"run by no test (see {proofs.__name__}): {orphans}"


def test_what_is_said_of_a_command_is_said_of_one_that_is_shown() -> None:
    shown = {(one.page, one.command) for page in pages.PAGES for one in pages.commands(page)}
    assert not KNOWN.keys() - shown
    assert not proofs.ELSEWHERE.keys() & proofs.NOWHERE.keys()


@pytest.mark.parametrize("proof", sorted({*proofs.ELSEWHERE.values()}))
def test_a_test_that_is_named_is_there(proof: str) -> None:
    file, _, name = proof.partition("::")
    module = ast.parse((pages.ROOT / file).read_text())
    assert name in {one.name for one in module.body if isinstance(one, ast.FunctionDef)}


def test_the_pages_that_are_run_are_those_that_the_runner_runs() -> None:
    text = (pages.ROOT / RUNNER).read_text()
    assert not [page for page in proofs.RUN if f'"{page}"' not in text]


def write(folder: Path, text: str) -> Path:
    page = folder / "page.md"
    page.write_text(text)
    return page


def test_commands_and_their_answers_are_found_in_both_kinds_of_blocks(tmp_path: Path) -> None:
    page = write(
        tmp_path,
        "Words.\n\n    make a\n    libra b   # why\n\n"
        "1. List,\n    that goes on:\n\n       $ libra c\n       said\n\n```\ncurl d\n```\n",
    )
    found = [(one.line, one.command, one.output) for one in pages.commands(page)]
    assert found == [
        (3, "make a", ()),
        (4, "libra b", ()),
        (9, "libra c", ("said",)),
        (13, "curl d", ()),
    ]


def test_a_file_is_found_with_its_name_and_ends_where_commands_begin(tmp_path: Path) -> None:
    page = write(tmp_path, "\n    # a.cfg\n    [a]\n    # b\n    b = 1\n\n    libra c\n")
    first, second = pages.read(page)
    assert isinstance(first, pages.File)
    assert (first.name, first.text) == ("a.cfg", "[a]\n# b\nb = 1\n")
    assert isinstance(second, pages.Shown)
    assert (second.line, second.command) == (7, "libra c")


def test_a_block_of_no_known_kind_is_named_by_page_and_line(tmp_path: Path) -> None:
    page = write(tmp_path, "Words.\n\n    frobnicate --all\n")
    with pytest.raises(pages.UnknownBlock, match=r"page\.md:3: .*frobnicate"):
        pages.read(page)


@pytest.mark.parametrize(
    ("shown", "said", "same"),
    [
        (("a  b",), "a      b \n", True),
        (("a ...",), "a 1.5 x\n", True),
        (("a ...",), "a\n", False),
        (("a.b",), "a-b\n", False),
        (("a",), "a\nb\n", False),
    ],
)
def test_an_answer_is_what_is_shown_but_for_widths_and_dots(
    shown: tuple[str, ...], said: str, same: bool
) -> None:
    assert pages.matches(shown, said) == same
