"""What is wrong with a message: faults with their paths, all of them in one exception."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from libra_messages.codes import Code

SHOWN_CHARACTERS = 60
"""How much of a refused value a fault shows."""

SHOWN_FAULTS = 1000
"""How many faults the text of `Malformed` spells out; it counts the others."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a message.

    `path` says where, in canonical field names (``loadbalancers[0].nodes[1].port``; empty for
    the message as a whole); `reason` says what is wrong there.
    """

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self.path else self.reason


class Malformed(Exception):
    """A message that is refused before anything was changed.

    Takes a stable word (`code`) and every fault that was found (`faults`, never empty). Its text
    joins the faults with ``"; "``, the first thousand spelled out and the rest counted.
    """

    def __init__(self, code: Code, faults: Iterable[Fault]) -> None:
        self.code = code
        self.faults = tuple(faults)
        texts = [str(fault) for fault in self.faults[:SHOWN_FAULTS]]
        if len(self.faults) > SHOWN_FAULTS:
            texts.append(f"and {len(self.faults) - SHOWN_FAULTS} more faults")
        super().__init__("; ".join(texts))


def shown(value: Any) -> str:
    """Return `value` as a fault may show it: printable, one line, about 60 characters.

    Objects and lists are named and not shown: they may be large and may hold secrets.
    """
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, str):
        text = repr(value[: SHOWN_CHARACTERS + 1])
    elif isinstance(value, bool | float) or value is None:
        text = repr(value)
    elif isinstance(value, int):
        text = repr(value) if value.bit_length() < 10_000 else "a huge number"
    else:
        text = type(value).__name__
    return text if len(text) <= SHOWN_CHARACTERS + 2 else text[: SHOWN_CHARACTERS - 1] + "..."


def path_of(parts: Iterable[str | int]) -> str:
    """Join names and list positions to a path: ``("nodes", 1, "port")`` to ``nodes[1].port``."""
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path
