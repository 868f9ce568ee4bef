"""Which tests may run beside each other: whole modules, and those of one OpenStack in a row."""

from __future__ import annotations

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

_ROWS = ("tests/integration/pool/nova", "tests/integration/amphora/octavia")
"""Folders, or beginnings of their names, whose tests share something that there is once."""


class Scheduling:
    """A plugin for pytest that says so to pytest-xdist."""

    @pytest.hookimpl
    def pytest_xdist_make_scheduler(
        self, config: pytest.Config, log: Producer
    ) -> LoadScopeScheduling:
        """Give each worker one module, or one row, after the other."""
        return _ByModule(config, log)


class _ByModule(LoadScopeScheduling):  # type: ignore[misc]  # xdist leaves it untyped
    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.split("::", 1)[0]
        return next((row for row in _ROWS if module.startswith(row)), module)
