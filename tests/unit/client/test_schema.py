"""`libra schema`."""

from __future__ import annotations

import pytest

from libra_client.cli.exits import Exit
from libra_messages import pool, worker
from libra_messages.schema import schema
from tests.unit.client.conftest import Libra

ACTIONS = (*worker.ACTIONS, *pool.ACTIONS)


@pytest.mark.parametrize("action", ACTIONS)
def test_the_schema_of_every_action_is_printed_as_json_in_any_case(
    libra: Libra, action: str
) -> None:
    # When a schema is asked for in lower case / Then it is the one of the messages
    ran = libra("schema", action.lower())
    assert (ran.code, ran.err) == (Exit.OK, "")
    assert ran.json == schema(action, pool.FAMILY if action in pool.ACTIONS else worker.FAMILY)


def test_without_an_action_all_are_listed_with_what_they_do(libra: Libra) -> None:
    # When no action is named
    ran = libra("schema")
    # Then all are listed, each with a few words, with no blanks at the ends of lines
    assert ran.code == Exit.OK
    assert [line.split()[0] for line in ran.out.splitlines()] == list(ACTIONS)
    assert all(line == line.rstrip() and len(line.split()) > 2 for line in ran.out.splitlines())
    assert libra("schema", "--json").json == list(ACTIONS)


def test_an_unknown_action_is_refused_with_those_there_are(libra: Libra) -> None:
    # When there is no such action / Then the error lists the others
    ran = libra("schema", "REBOOT")
    assert (ran.code, ran.out) == (Exit.USAGE, "")
    assert "libra: no such action: 'REBOOT'; there are UPDATE, SUSPEND" in ran.err
