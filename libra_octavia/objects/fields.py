"""Reads the fields of one object of Octavia's, whatever form it came in, and collects its faults.

A field may be set, null or Unset (octavia-lib), and an object a data model or a dict. Null and
Unset both stand for the default: an API that was told null has put the default there already, or
means that there is none.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from octavia_lib.api.drivers import data_models

from libra_octavia.errors import Untranslatable

E = TypeVar("E", bound=StrEnum)
T = TypeVar("T")

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)


@dataclass(frozen=True)
class Fault:
    """A field that cannot be served, and why, in words for whoever set it."""

    field: str
    why: str

    def __str__(self) -> str:
        return f"{self.field}: {self.why}"


class Unsupported(Untranslatable):
    """An object has fields that cannot be served; `faults` holds all of them."""

    def __init__(self, what: str, faults: tuple[Fault, ...]) -> None:
        super().__init__(f"{what}: " + "; ".join(map(str, faults)))
        self.what = what
        self.faults = faults


def is_set(value: object) -> bool:
    """Whether a field holds something: neither Unset nor null."""
    return value is not None and not isinstance(value, data_models.UnsetType)


def plain(source: object) -> dict[str, Any]:
    """The fields of a data model or a dict that hold something, one level deep."""
    found = source if isinstance(source, Mapping) else vars(source)
    return {name: value for name, value in found.items() if is_set(value)}


def merged(old: object, new: object) -> dict[str, Any]:
    """An object after an update: the new fields in the place of the old; null takes one away."""
    changes = new if isinstance(new, Mapping) else vars(new)
    after = plain(old)
    for name, value in changes.items():
        if value is None:
            after.pop(name, None)
        elif is_set(value):
            after[name] = value
    return after


class Fields:
    """The fields of one object; `what` names it in messages.

    Use it as `with Fields.of(...) as fields`: at the end of the block Unsupported is raised where
    any field had a fault, or is set and was never looked at.
    """

    def __init__(self, source: object, what: str) -> None:
        self._values = plain(source)
        self._seen: set[str] = set()
        self._faults: list[Fault] = []
        self.what = what

    @classmethod
    @contextmanager
    def of(cls, source: object, kind: str, id_field: str) -> Iterator[Fields]:
        """Read `source`, an object of this kind with its id in this field."""
        values = plain(source)
        fields = cls(values, f"{kind} {values.get(id_field, '')}".strip())
        try:
            yield fields
        except (ValueError, TypeError, AttributeError) as error:
            # A value of another type than Octavia documents; nothing of it was used.
            fields.fault("object", f"cannot be read: {error}")
        fields.finish()

    def finish(self) -> None:
        """Raise Unsupported where there is a fault."""
        for name, value in self._values.items():
            if name not in self._seen and value not in ("", False, [], {}, ()):
                self.fault(name, "is not supported by this provider")
        if self._faults:
            raise Unsupported(self.what, tuple(self._faults))

    def fault(self, name: str, why: str) -> None:
        """Note that a field cannot be served."""
        self._faults.append(Fault(name, why))

    def ignore(self, *names: str) -> None:
        """Note that fields mean nothing to a device."""
        self._seen.update(names)

    def has(self, name: str) -> bool:
        """Whether a field holds something."""
        return name in self._values

    def raw(self, name: str, default: Any = None) -> Any:
        """What a field holds, as it is."""
        self._seen.add(name)
        return self._values.get(name, default)

    def id(self, name: str) -> str:
        """An id that must be there; it becomes a name in HAProxy's file."""
        return self.text(name, _ID, "is no id", default="")

    def flag(self, name: str, *, default: bool) -> bool:
        """A truth."""
        value = self.raw(name, default)
        if isinstance(value, bool):
            return value
        self.fault(name, f"must be true or false, is {value!r}")
        return default

    def number(self, name: str, *, low: int, high: int, default: int | None = None) -> int:
        """A whole number in its range; without a default it must be there."""
        value = self.raw(name, default)
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        self.fault(name, f"must be a number from {low} to {high}, is {value!r}")
        return low

    def word(self, name: str, words: type[E], *, refused: Mapping[str, str], default: E) -> E:
        """One of Octavia's words; `refused` says why others are not served."""
        value = self.raw(name, default)
        try:
            return words(value)
        except ValueError:
            why = refused.get(str(value), "is not one of " + ", ".join(words))
            self.fault(name, f"{value!r} {why}")
            return default

    def address(self, name: str) -> str | None:
        """An IP address in its shortest form; None where there is none."""
        value = self.raw(name)
        if value is None:
            return None
        try:
            found = ipaddress.ip_address(value)
        except ValueError:
            self.fault(name, f"must be an IP address, is {value!r}")
            return None
        if getattr(found, "scope_id", None) or found.is_unspecified or found.is_multicast:
            self.fault(name, f"must be the address of one host, is {value!r}")
            return None
        return str(found)

    def text(self, name: str, pattern: re.Pattern[str], why: str, *, default: str) -> str:
        """A text that matches `pattern` as a whole; `why` says what is wrong with another one."""
        value = self.raw(name, default)
        if isinstance(value, str) and pattern.fullmatch(value):
            return value
        self.fault(name, f"{why}, is {value!r}")
        return default

    def inner(self, name: str, read: Callable[[object], T]) -> T | None:
        """An object inside of this one, or None; its faults are named by both."""
        value = self.raw(name)
        return None if not is_set(value) else self._read(name, value, read)

    def inners(self, name: str, read: Callable[[object], T]) -> tuple[T, ...]:
        """The objects of a list inside of this one."""
        found = (self._read(name, value, read) for value in self.raw(name, ()))
        return tuple(one for one in found if one is not None)

    def _read(self, name: str, value: object, read: Callable[[object], T]) -> T | None:
        try:
            return read(value)
        except Unsupported as error:
            for fault in error.faults:
                self.fault(f"{name}.{fault.field}", fault.why)
            return None
