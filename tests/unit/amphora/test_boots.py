from __future__ import annotations

import time
from pathlib import Path

import pytest

from libra_amphora.boots import next_boot


def test_each_start_has_a_higher_number_also_with_the_clock_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state" / "boot.json"
    first = next_boot(path)
    second = next_boot(path)
    monkeypatch.setattr(time, "time", lambda: 5.0)
    third = next_boot(path)
    assert first < second < third


@pytest.mark.parametrize("content", [None, "", "[]", '{"boot": "x"}', '{"schema": 1}'])
def test_a_number_that_was_lost_does_not_fall(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "boot.json"
    first = next_boot(path)
    path.unlink()
    if content is not None:
        path.write_text(content)
    assert next_boot(path) >= first


def test_a_disk_that_takes_nothing_keeps_no_agent_from_starting(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("no directory")
    assert next_boot(tmp_path / "state" / "boot.json") > 0
