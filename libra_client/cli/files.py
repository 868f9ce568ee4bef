"""The FILE of a command: read, decoded, and made the UPDATE message that it stands for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from libra_client.cli.errors import BadFile
from libra_messages.decode import Repeating, decode
from libra_messages.faults import Fault, Malformed, shown
from libra_messages.fold import Shape, ascii_lower, fold, shape_of
from libra_messages.worker import Update

STDIN = "-"

_ACTION = "hpcs_action"


def read(name: str) -> bytes:
    """The bytes of a file, or of standard input for `-`; raises BadFile."""
    try:
        return sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()
    except OSError as error:
        raise BadFile(shown_name(name), [Fault("", f"cannot be read: {error.strerror}")]) from error
    except ValueError as error:  # a NUL in the name
        raise BadFile(shown_name(name), [Fault("", f"cannot be read: {error}")]) from error


def shown_name(name: str) -> str:
    """A file as messages name it."""
    return "<stdin>" if name == STDIN else name


def update_message(name: str, data: bytes) -> dict[str, Any]:
    """The UPDATE message that a file holds, its action added where it names none.

    The node judges the rest, by its own release and limits; here is refused only what would not
    arrive as it was written: what is no JSON object, a field given twice, another action. Raises
    BadFile.
    """
    try:
        message = decode(data)
    except Malformed as error:
        raise BadFile(shown_name(name), error.faults) from error
    folded, faults = fold(message, Shape({_ACTION: None, **shape_of(Update).fields}))
    action = folded.get(_ACTION, Update.action)
    if not isinstance(action, str) or ascii_lower(action) != ascii_lower(Update.action):
        reason = f"must be UPDATE or left out, this command sends nothing else, got {shown(action)}"
        faults = (*faults, Fault(_ACTION, reason))
    if faults:
        raise BadFile(shown_name(name), faults)
    return with_action(message)


def with_action(message: dict[str, Any]) -> dict[str, Any]:
    """Return `message` with the action UPDATE where it has none; null is none."""
    folded, twice = fold(message, Shape({_ACTION: None}))
    if twice or _ACTION in folded:
        return message
    kept = {name: value for name, value in message.items() if ascii_lower(name) != _ACTION}
    made = Repeating({**kept, _ACTION: Update.action})
    if isinstance(message, Repeating):
        made.repeated = message.repeated
    return made
