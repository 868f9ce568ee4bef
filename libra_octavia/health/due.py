"""What is to be told to Octavia of a load balancer now. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from libra_octavia.inventory import Counts
from libra_octavia.inventory.reports import Seen, Voice


@dataclass(frozen=True, kw_only=True)
class Patience:
    """Times in seconds.

    A device that says nothing for `silence` is silent, and all is told `again` after so long.
    """

    silence: float
    again: float


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is to be told of a load balancer, and from what it follows.

    `words` asks for statuses by what the `heard` devices say, with `silent` others; `whole` for
    those too that are as they were told. `counts` are the statistics, None where they did not
    change.
    """

    seen: Seen
    words: bool
    whole: bool
    heard: tuple[str, ...]
    silent: int
    basis: str
    counts: Mapping[str, Counts] | None


def task(seen: Seen, patience: Patience, *, listening: float, first: bool) -> Task | None:
    """Tell what is to be done, None for nothing.

    `listening` is for how long whoever asks has been hearing all that was sent to it: silence
    before that says nothing. `first` is whether it has not told anything of this load balancer
    yet.
    """
    silent = [one for one in seen.voices if _is_silent(one, seen, patience, listening)]
    speaking = [one for one in seen.voices if one not in silent]
    # What a device said before it was served tells of the load balancer that was before.
    late = [one for one in speaking if not _is_current(one, seen)]
    overdue = first or seen.told_ago is None or seen.told_ago >= patience.again
    basis = _basis(seen, silent)
    # While somebody works on it its words are theirs; that its device is silent they cannot tell.
    ready = not speaking or (not late and seen.quiet)
    words = ready and (overdue or basis != seen.told_basis)
    changed = {name: list(asdict(one).values()) for name, one in seen.counts.items()}
    counted = bool(changed) and (changed != dict(seen.told_counts) or (words and overdue))
    if not words and not counted:
        return None
    return Task(
        seen=seen,
        words=words,
        whole=overdue,
        heard=tuple(one.amphora_id for one in speaking),
        silent=len(silent),
        basis=basis,
        counts=seen.counts if counted else None,
    )


def _is_silent(voice: Voice, seen: Seen, patience: Patience, listening: float) -> bool:
    """Whether a device was not heard for too long, nor reached by whoever serves it."""
    known = [ago for ago in (voice.ago, seen.served_ago) if ago is not None]
    return bool(known) and min(*known, listening) > patience.silence


def _is_current(voice: Voice, seen: Seen) -> bool:
    if voice.ago is None:
        return False
    return seen.served_ago is None or voice.ago < seen.served_ago


def _basis(seen: Seen, silent: list[Voice]) -> str:
    """What the words follow from, as one word."""
    voices = [[one.amphora_id, "" if one in silent else one.digest] for one in seen.voices]
    return hashlib.sha256(json.dumps([seen.served, voices]).encode()).hexdigest()
