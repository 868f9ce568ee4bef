"""What a terminal, a pipe and a program get to see."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from libra_client.cli import output
from libra_client.cli.exits import Exit

LIBRA = [sys.executable, "-m", "libra_client.cli.main"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("lb #1 [bold]é", "lb #1 [bold]é"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("two\nlines", r"two\nlines"),
        ("\u202eabc\ud800", r"\u202eabc\ud800"),
        (17, "17"),
        ({"a": None}, '{"a": null}'),
    ],
)
def test_text_from_outside_is_shown_and_never_obeyed(text: object, shown: str) -> None:
    # Given text with what terminals obey / Then an escape stands in its place
    assert output.plain(text) == shown


def test_a_table_in_a_pipe_is_neither_folded_nor_coloured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a narrow screen and a cell that is wider
    monkeypatch.setenv("COLUMNS", "40")
    long = "x" * 300
    # When a table goes into a pipe
    output.show_table(("id", "status", "more"), [(1, "UP", long), ("a", None, "")])
    # Then each row is one line, without colours, an absent value is a dash
    assert capsys.readouterr().out == f"id  status  more\n1   UP      {long}\na   -\n"


def on_a_terminal(*words: str, **environment: str) -> str:
    """Run a command on a terminal and return all that it shows there."""
    ours, theirs = pty.openpty()
    plain = {name: text for name, text in os.environ.items() if name not in ("NO_COLOR", "TERM")}
    process = subprocess.Popen(
        [*LIBRA, *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**plain, "TERM": "xterm-256color", **environment},
    )
    os.close(theirs)
    seen = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while chunk := os.read(ours, 65536):
            seen += chunk
    os.close(ours)
    process.wait(60)
    return seen.decode()


def test_colours_are_for_terminals_and_off_where_no_color_is_set() -> None:
    # When a list is shown on a terminal / Then it has colours or bold face
    assert "\x1b[" in on_a_terminal("schema")
    # When NO_COLOR is set / Then no colour; where the terminal can do nothing, plain text
    assert "\x1b[3" not in on_a_terminal("schema", NO_COLOR="1")
    assert "\x1b[" not in on_a_terminal("schema", TERM="dumb")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_terminal_of_any_encoding_gets_text_and_no_traceback(
    encoding: str, tmp_path: Path
) -> None:
    # Given a file whose name has letters that few encodings have
    file = tmp_path / "Ł.json"
    file.write_text("{}")
    # When it is named in an error
    done = subprocess.run(
        [*LIBRA, "validate", str(file)],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        check=False,
        timeout=60,
    )
    # Then the error is there
    assert done.returncode == Exit.BAD_FILE
    assert b"loadbalancers: is required" in done.stderr
    assert b"Traceback" not in done.stderr


def test_output_that_cannot_be_written_has_its_own_exit_code() -> None:
    # Given a full disk
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*LIBRA, "schema", "UPDATE"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    # Then it is said in one line, and by the exit code
    assert done.returncode == Exit.NO_OUTPUT
    assert done.stderr == b"libra: cannot write the output: No space left on device\n"


def test_a_reader_that_leaves_is_no_error_to_talk_about() -> None:
    # Given a pipe that nobody reads
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*LIBRA, "schema", "UPDATE"],
            stdout=writing,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    finally:
        os.close(writing)
    # Then the command ends silently, with the exit code of it
    assert (done.returncode, done.stderr) == (Exit.NO_OUTPUT, b"")
