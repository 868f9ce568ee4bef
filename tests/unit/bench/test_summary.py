"""The benchmark's table: what a row says of Libra, and how it gets into README."""

from __future__ import annotations

import dataclasses

import pytest

from tests.bench.summary import Goal, Row, between_marks, merged, plain, row, table, verdict
from tests.bench.timing import median, percentile


def test_a_row_has_the_fields_of_the_report() -> None:
    assert [field.name for field in dataclasses.fields(Row)] == [
        "id", "value", "unit", "against", "ratio", "goal", "met",
    ]  # fmt: skip


def test_a_goal_on_the_ratio_is_met_by_the_ratio() -> None:
    found = row("1-x", 4.0, "ms", against=80.0, goal=Goal("ratio", 0.05))
    assert (found.ratio, found.goal, found.met) == (0.05, "ratio <= 0.05", True)


def test_a_goal_on_the_value_is_missed_by_the_value() -> None:
    assert row("1-x", 5.1, "ms", goal=Goal("value", 5)).met is False


def test_what_was_not_measured_meets_no_goal() -> None:
    assert row("1-x", None, "ms", against=80.0, goal=Goal("ratio", 0.05)).met is False
    assert row("1-x", 1.0, "ms", goal=Goal("ratio", 0.05)).met is False


def test_without_a_goal_nothing_is_met_or_missed() -> None:
    assert row("1-x", 1.0, "ms", against=2.0).met is None


def test_nothing_lost_against_nothing_lost_has_no_ratio() -> None:
    found = row("2-x", 0.0, "per 1,000 changes", against=0.0)
    assert (found.ratio, verdict(found)) == (None, "")


@pytest.mark.parametrize(
    ("value", "against", "unit", "says"),
    [
        (1.0, 2.0, "ms", "ahead"),
        (2.0, 1.0, "ms", "behind"),
        (2.0, 1.0, "jobs/s", "ahead"),
        (1.0, 2.0, "jobs/s", "behind"),
        (None, 2.0, "ms", "not measured"),
    ],
)
def test_the_table_says_where_libra_is_not_ahead(
    value: float | None, against: float, unit: str, says: str
) -> None:
    assert says in table([row("5-x", value, unit, against=against)]).splitlines()[2]


def test_a_goal_that_is_missed_stands_out() -> None:
    assert "**not met**" in table([row("1-x", 9.0, "ms", goal=Goal("value", 5))])


def test_a_figure_measured_anew_replaces_its_own_rows_only() -> None:
    old = plain([row("1-a", 1.0, "ms"), row("2-b", 2.0, "ms")])
    found = merged(old, [row("1-c", 3.0, "ms")], "1")
    assert [one.id for one in found] == ["1-c", "2-b"]


def test_readme_keeps_all_that_is_outside_the_marks() -> None:
    text = "a\n<!-- bench -->\nold\n<!-- /bench -->\nz\n"
    once = between_marks(text, "new\n")
    assert once == "a\n<!-- bench -->\nnew\n<!-- /bench -->\nz\n"
    assert between_marks(once, "new") == once


def test_a_readme_without_marks_gets_them_at_its_end() -> None:
    assert between_marks("a\n", "new").endswith("a\n\n<!-- bench -->\nnew\n<!-- /bench -->\n")


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(number) for number in range(1, 101)]
    assert (median(values), percentile(values, 0.99)) == (50.5, 100.0)
    assert (median([]), percentile([], 0.99)) == (None, None)
