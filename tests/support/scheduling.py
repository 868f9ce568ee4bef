"""Which tests may run beside each other, and in which order they begin.

Whole modules run side by side, and those of one OpenStack in a row. What takes longest begins
first: a row that began last would have the machine to itself in the end.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import chain

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

ROWS = (
    "tests/integration/pool/nova",
    "tests/integration/amphora/octavia",
    "tests/integration/install",
)
"""Folders, or beginnings of their names, whose tests share something that there is once."""

MINUTES = {
    "tests/integration/pool/nova": 25,
    "tests/integration/amphora/octavia": 8,
    "tests/integration/install": 8,
    "tests/integration/octavia/test_big_graph.py": 8,
    "tests/integration/octavia/test_options_chain.py": 7,
    "tests/integration/octavia/test_devices_random.py": 6,
    "tests/integration/octavia/test_chain.py": 5,
    "tests/integration/octavia/test_paused_controller.py": 4,
    "tests/integration/octavia/test_with_octavia.py": 4,
    "tests/integration/octavia/test_devices_crash.py": 4,
    "tests/integration/worker/test_crash.py": 4,
    "tests/integration/octavia/test_upward.py": 3,
    "tests/integration/octavia/test_entry_point.py": 3,
    "tests/integration/octavia/test_lvs_traffic.py": 3,
    "tests/integration/worker/test_archive_whole.py": 3,
    "tests/integration/worker/test_reload.py": 3,
    "tests/integration/octavia/test_devices_away.py": 2,
    "tests/integration/octavia/test_floating.py": 2,
    "tests/integration/octavia/test_rebuild.py": 2,
    "tests/integration/octavia/test_chain_late.py": 2,
    "tests/integration/octavia/test_options.py": 2,
    "tests/integration/octavia/test_certificates.py": 2,
    "tests/integration/amphora/network/test_lvs.py": 2,
    "tests/integration/amphora/network/test_topology.py": 2,
    "tests/integration/local/test_life_of_a_device.py": 2,
    "tests/integration/local/test_ports.py": 2,
    "tests/integration/local/test_pool_manager.py": 2,
    "tests/integration/pool/test_crash.py": 2,
    "tests/integration/pool/test_many.py": 2,
    "tests/integration/jobs/test_reconnect.py": 2,
    "tests/integration/test_demo.py": 2,
    "tests/integration/worker/test_mix.py": 2,
    "tests/integration/worker/test_metrics.py": 2,
}
"""How long the longest take, roughly; what is not here takes less than any that is."""


class Scheduling:
    """A plugin for pytest that says so to pytest-xdist."""

    @pytest.hookimpl
    def pytest_xdist_make_scheduler(
        self, config: pytest.Config, log: Producer
    ) -> LoadScopeScheduling:
        """Give each worker one module, or one row, after the other."""
        return _LongestFirst(config, log)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say which modules took more than half a minute: those that `MINUTES` should know."""
        seconds: dict[str, float] = defaultdict(float)
        for report in chain.from_iterable(terminalreporter.stats.values()):
            if isinstance(report, pytest.TestReport):
                seconds[report.nodeid.split("::")[0]] += report.duration
        terminalreporter.section("modules of more than 30 s")
        for module, took in sorted(seconds.items(), key=lambda one: -one[1]):
            if took > 30:
                terminalreporter.write_line(f"{took:7.0f} s  {module}")


class _LongestFirst(LoadScopeScheduling):  # type: ignore[misc]  # xdist leaves it untyped
    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.split("::", 1)[0]
        return next((row for row in ROWS if module.startswith(row)), module)

    def _assign_work_unit(self, node: WorkerController) -> None:
        # Of those that are not known to be long the first: xdist has the most tests there.
        longest = max(self.workqueue, key=lambda scope: MINUTES.get(scope, 0))
        self.workqueue.move_to_end(longest, last=False)
        super()._assign_work_unit(node)

    def _reschedule(self, node: WorkerController) -> None:
        # A worker begins its last test once it knows of the next one. One is enough: whatever is
        # given to it now waits for it, even where another worker has nothing to do.
        if self.workqueue and self._pending_of(self.assigned_work[node]) > 1:
            return
        super()._reschedule(node)
