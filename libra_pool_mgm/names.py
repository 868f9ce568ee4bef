"""Which key and which name belong to a job: the same ones each time that it is run."""

from __future__ import annotations

import re
import uuid

_SPELLED = re.compile(r"[0-9A-Fa-f]{32}|[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")

_UNIQUES = uuid.UUID("6f1d1b6c-6a0e-5d0f-9a53-0d8f4c1f7b11")
"""The namespace of the keys of jobs whose unique is no uuid."""


def key_of(unique: str) -> str:
    """Return the key of all that a job makes, a uuid in canonical text, from the job's unique.

    A unique that is a uuid, with or without hyphens, is taken as it is (API servers send such);
    any other text gives its version 5 uuid. Without one (an empty text, or the "-" by which
    gearman means "none of its own") the key is new each time: such a job cannot be run again
    safely, and what a lost run of it left is found by the sweep.
    """
    if _SPELLED.fullmatch(unique):
        return str(uuid.UUID(unique))
    if unique in ("", "-"):
        return str(uuid.uuid4())
    return str(uuid.uuid5(_UNIQUES, unique))


def device_name(basename: str, key: str) -> str:
    """Return the name of a job's device, at the same time its host name and gearman function."""
    return f"{basename.replace('_', '-')}-{key}"
