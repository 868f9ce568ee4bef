"""UDP and SCTP listeners in a kernel that has IP_VS, where this machine's may have none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import uml

INSIDE = Path(__file__).with_name("test_lvs.py")
PROVIDER = Path(__file__).parents[2] / "octavia" / "test_lvs_traffic.py"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_udp_and_sctp_listeners_serve_in_a_kernel_that_has_ip_vs() -> None:
    # Both in one, since a kernel takes its time to start.
    said = uml.run_tests(str(INSIDE), str(PROVIDER), seconds=550)
    assert "11 passed" in said
    assert "skipped" not in said
