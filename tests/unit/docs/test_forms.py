"""What the manual says of stored forms is so."""

from __future__ import annotations

from libra_haproxy import history, store
from libra_octavia.inventory.migrate import forms
from libra_pool_mgm.clouds.local import records
from tests.support import pages

TABLE = (pages.ROOT / "docs" / "operations.md").read_text()


def test_the_forms_that_are_written_and_read_are_those_of_the_page() -> None:
    oldest, newest = forms()[0], forms()[-1]
    assert f"| inventory of the provider (alembic) | {newest} | {oldest} to {newest} |" in TABLE
    for what, newest_number in (
        ("`state.json`, `history.json`", {store.SCHEMA, history.SCHEMA}),
        ("records of the local cloud", {records.SCHEMA}),
    ):
        (row,) = [line for line in TABLE.splitlines() if line.startswith(f"| {what} |")]
        read = row.split("|")[3]
        assert {max(int(number) for number in read.split(","))} == newest_number, row
