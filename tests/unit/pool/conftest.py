"""Settings for each test that wants some."""

from __future__ import annotations

from pathlib import Path

import pytest

from libra_common.settings import Settings, load


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """The pool manager's, with no cloud named anywhere."""
    monkeypatch.delenv("OS_CLOUD", raising=False)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "none.yaml"))
    return load([], prog="libra_pool_mgm")
