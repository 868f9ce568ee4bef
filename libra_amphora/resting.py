"""What is said of load balancers that should not run: nobody need be asked for it.

It follows from the record alone, so it is true for as long as that is the present one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from libra_haproxy.text_store import Record, Wanted

Statuses = Sequence[dict[str, str]]


class Resting:
    """The statuses of load balancers at rest, each with the record that it was made from."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Record, Statuses]] = {}

    def keep(self, id_: str, record: Record, *, source: str, statuses: Statuses) -> None:
        """Keep what was said of `source`, a text at rest, where that is what `record` has."""
        at_rest = record.wanted is not Wanted.STARTED
        if at_rest and source == (record.running or record.uploaded):
            self._kept[id_] = (record, statuses)

    def forget(self, id_: str) -> None:
        """Keep no more of a load balancer that is gone."""
        self._kept.pop(id_, None)

    def all(self, records: Mapping[str, Record | None]) -> list[dict[str, str]] | None:
        """The statuses of all, by their ids; None where one is not known or not at rest."""
        found: list[dict[str, str]] = []
        for id_, record in sorted(records.items()):
            if record is None:
                continue
            kept = self._kept.get(id_)
            if kept is None or kept[0] is not record:
                return None
            found += kept[1]
        return found
