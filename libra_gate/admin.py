"""Gearman's admin protocol: which commands a role may give, and where an answer ends; pure.

A line is a command, its answer is a line, or lines that end with a dot. Whoever may not read what
is about others is answered with its own lines only, so that a node can see that it is registered
and learns nothing of its neighbours.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from libra_common.roles import Identity, Role
from libra_gate.rules import owns

LINE_LIMIT = 1024
"""Bytes of the longest command."""

_LINE = re.compile(rb"[!-~]+(?: [!-~]+)*")


class Answer(enum.Enum):
    """What the answer to a command looks like."""

    LINE = "one line"
    LIST = "lines, then a dot"


class Access(enum.Enum):
    """Who may give a command."""

    ANYBODY = "says nothing of anybody"
    OWN = "whoever may not read it all is shown what is its own"
    READERS = "whoever may read everything"
    OPERATORS = "changes something"


@dataclass(frozen=True, slots=True)
class Command:
    """A command: its answer, who may give it, and how many words follow its name."""

    answer: Answer
    access: Access
    words: range = range(1)


COMMANDS = {
    b"version": Command(Answer.LINE, Access.ANYBODY),
    b"status": Command(Answer.LIST, Access.OWN),
    b"prioritystatus": Command(Answer.LIST, Access.OWN),
    b"workers": Command(Answer.LIST, Access.OWN),
    b"getpid": Command(Answer.LINE, Access.READERS),
    b"verbose": Command(Answer.LINE, Access.READERS),
    b"show jobs": Command(Answer.LIST, Access.READERS),
    b"show unique jobs": Command(Answer.LIST, Access.READERS),
    b"cancel job": Command(Answer.LINE, Access.OPERATORS, range(1, 2)),
    b"create function": Command(Answer.LINE, Access.OPERATORS, range(1, 2)),
    b"drop function": Command(Answer.LINE, Access.OPERATORS, range(1, 2)),
    b"maxqueue": Command(Answer.LINE, Access.OPERATORS, range(1, 5)),
    b"shutdown": Command(Answer.LINE, Access.OPERATORS, range(2)),
}
"""All of gearmand 1.1's."""

_READERS = frozenset({Role.CONTROLLER, Role.POOL, Role.OPERATOR})


class Refused(ValueError):
    """A command that is not given; the text is the reason."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A command as it is sent on, how its answer ends, and whose lines of it are shown."""

    name: bytes
    line: bytes
    answer: Answer
    only: Identity | None


def ask(who: Identity, line: bytes) -> Ask:
    """Understand a line without its end. Raises Refused."""
    text = line.removesuffix(b"\r")
    if not _LINE.fullmatch(text):
        raise Refused("no command of gearmand")
    words = text.split(b" ")
    for length in (3, 2, 1):
        name = b" ".join(words[:length]).lower()
        command = COMMANDS.get(name)
        if command is not None and len(words) - length in command.words:
            break
    else:
        raise Refused("no command of gearmand")
    reads_all = who.role in _READERS
    if command.access is Access.OPERATORS and who.role is not Role.OPERATOR:
        raise Refused(f"only an operator may {name.decode()}")
    if command.access is Access.READERS and not reads_all:
        raise Refused(f"a {who.role} may not read {name.decode()}")
    own = command.access is Access.OWN and not reads_all
    # Made anew, so that what was judged is what is sent; but for its end, of which gearmand cuts
    # off two bytes of a new function's name (1.1.20).
    sent = b" ".join([name, *words[length:]]) + (b"\n" if text == line else b"\r\n")
    return Ask(name, sent, command.answer, who if own else None)


def refusal(reason: str) -> bytes:
    """Give the answer to a command that is not given, as gearmand spells errors."""
    return b"ERR NOT_ALLOWED " + reason.replace(" ", "+").encode("ascii", "replace") + b"\r\n"


class Answering:
    """Follows the answer to one command: `feed` gives what may be shown of it."""

    def __init__(self, asked: Ask) -> None:
        self._asked = asked
        self._buffer = bytearray()
        self._first = True
        self.done = False

    def feed(self, data: bytes) -> bytes:
        """Take bytes of the answer, give those to show; `done` is set at its end."""
        self._buffer += data
        end = self._buffer.rfind(b"\n") + 1
        lines = bytes(self._buffer[:end]).splitlines(keepends=True)
        del self._buffer[:end]
        return b"".join(line for line in lines if self._shows(line))

    def _shows(self, line: bytes) -> bool:
        first, self._first = self._first, False
        if self.done:
            return self._asked.only is None  # gearmand says two lines to some commands
        bare = line.rstrip(b"\r\n")
        failed = first and line.startswith(b"ERR ") and b"\t" not in line
        if self._asked.answer is Answer.LINE or failed or bare == b".":
            self.done = True
            return True
        return self._asked.only is None or _is_about(self._asked.only, self._asked.name, bare)


def _is_about(who: Identity, command: bytes, line: bytes) -> bool:
    if command != b"workers":
        return owns(who, line.partition(b"\t")[0])
    head, _, functions = line.partition(b" :")
    found = functions.split()
    # A line without functions may be anybody's; its id was checked when it was set.
    return bool(found) and all(owns(who, function) for function in found) and len(head) > 0
