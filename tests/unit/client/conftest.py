"""The `libra` command in this process, and files for it."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from libra_client.cli.main import main


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Libra = Callable[..., Ran]
Write = Callable[[Any], str]


@pytest.fixture
def libra(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Libra:
    """Run a command with settings of its own, whatever the machine has; `stdin` is no terminal."""
    settings = tmp_path / "empty.cfg"
    settings.write_text("")

    def run(*words: str, stdin: bytes = b"", config: Path | None = settings) -> Ran:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        files = [] if config is None else [f"--config-file={config}"]
        code = main([*files, *words])
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return run


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a message, or bytes as they are, into a file; return its name."""

    def put(message: Any) -> str:
        file = tmp_path / "message.json"
        file.write_bytes(message if isinstance(message, bytes) else json.dumps(message).encode())
        return str(file)

    return put
