"""What has changed between two readings of the settings."""

from __future__ import annotations

from collections.abc import Iterable


def differing(section: str, old: object, new: object, names: Iterable[str]) -> list[str]:
    """Those of `names` that are not the same in a section's dataclass, as `[section] name`."""
    return [f"[{section}] {name}" for name in names if getattr(old, name) != getattr(new, name)]
