"""The exit codes of the `libra` command: scripts compare them, so they never change."""

from __future__ import annotations

import enum


class Exit(enum.IntEnum):
    """How a command ended; `meaning` is the text of --help and of the manual."""

    meaning: str

    OK = 0, "the node answered PASS; for validate: FILE is good, and HAProxy takes what it makes"
    FAIL = 1, "the node answered FAIL; the reason is on standard error"
    USAGE = 2, "wrong command line or settings, or not confirmed; nothing was sent"
    NO_ANSWER = 3, "no usable answer: no gearman server, no node of that name, or not in time"
    BAD_FILE = (
        4,
        "FILE cannot be read, or a node would refuse it, or no folder of ca; nothing was sent",
    )
    NOT_CHECKED = 5, "validate only: FILE is good as far as seen, but HAProxy could not be asked"
    NO_OUTPUT = 6, "the output could not be written; what was asked for may have been done"
    SOFTWARE = 70, "a fault in Libra itself; the traceback is on standard error"
    INTERRUPTED = 130, "interrupted (Ctrl-C); what was sent may still be carried out"

    def __new__(cls, code: int, meaning: str) -> Exit:
        """Make the member `code`, which remembers its meaning."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member


def table() -> str:
    """All exit codes, one a line, as --help shows them."""
    return "\n".join(f"  {code.value:>3}  {code.meaning}" for code in Exit)
