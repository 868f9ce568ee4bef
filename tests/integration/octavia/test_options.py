"""Each option does to traffic what Octavia says of it, or is refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.haproxies import HAPROXIES, Haproxy
from tests.support.options import OPTIONS, Option
from tests.support.options.stage import RenderedStage

PROVED = list({option.proof: option for option in OPTIONS if option.proof}.values())
"""One option for each proof, which shows several."""


@pytest.fixture(params=HAPROXIES, ids=str)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RenderedStage]:
    haproxy: Haproxy = request.param
    opened = RenderedStage(haproxy, tmp_path)
    yield opened
    opened.close()


@pytest.mark.parametrize("option", PROVED, ids=str)
def test_an_option_serves_what_it_should_and_nothing_else(
    option: Option, stage: RenderedStage
) -> None:
    assert option.proof is not None
    option.proof(stage)
