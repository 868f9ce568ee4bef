"""The mix of changes that a load balancer lives through, under load: nobody notices."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.engine import Engine
from tests.support.mix_run import http_and_tcp, over_tls
from tests.support.node import Node
from tests.support.sizes import size

CHANGES, OVER_TLS = size(70, full=700), size(30, full=300)


@pytest.mark.slow
@pytest.mark.timeout(size(600, full=3600))
def test_changes_under_load_fail_no_request_and_cut_no_connection(node: Node, folder: Path) -> None:
    # When an HTTP load balancer with cookies and a TCP one change under load, and each change is
    # proved by what clients get
    outcome = http_and_tcp(node, folder, CHANGES)
    # Then nothing was lost, and not each change was a reload
    assert (outcome.failed, outcome.cut) == ([], [])
    assert outcome.changes == CHANGES
    assert outcome.reloads < CHANGES / 2


@pytest.mark.slow
@pytest.mark.timeout(size(600, full=3600))
def test_the_same_over_tls_with_http_2_while_certificates_are_exchanged(folder: Path) -> None:
    with Engine(folder) as engine:
        outcome = over_tls(engine, folder, OVER_TLS)
    assert (outcome.failed, outcome.cut) == ([], [])
    assert outcome.changes == OVER_TLS
    assert outcome.reloads < OVER_TLS / 2
