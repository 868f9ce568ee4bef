"""UDP and SCTP listeners in a kernel that has IP_VS, where this machine's may have none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import uml

INSIDE = Path(__file__).with_name("test_lvs.py")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_udp_and_sctp_listeners_serve_in_a_kernel_that_has_ip_vs() -> None:
    said = uml.run_tests(str(INSIDE), seconds=550)
    assert "6 passed" in said
    assert "skipped" not in said
