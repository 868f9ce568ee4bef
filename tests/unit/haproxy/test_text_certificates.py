"""Which certificates a HAProxy that serves can take, and which need another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from libra_haproxy.text_certificates import renewed

KEY = b"-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A pair, an authority and a list."""
    made = {name: tmp_path / name for name in ("pair.pem", "ca.pem", "list")}
    made["pair.pem"].write_bytes(b"certificate\n" + KEY)
    made["ca.pem"].write_bytes(b"certificate\n")
    made["list"].write_bytes(b"/some/pair.pem\n")
    return made


def digests(files: dict[str, Path], **others: str) -> dict[str, str]:
    return {str(path): others.get(name.partition(".")[0], "0") for name, path in files.items()}


def test_a_key_with_its_certificate_is_renewed(files: dict[str, Path]) -> None:
    assert renewed(digests(files), digests(files, pair="1")) == (str(files["pair.pem"]),)
    assert renewed(digests(files), digests(files)) == ()


@pytest.mark.parametrize("name", ["ca", "list"])
def test_anything_else_needs_a_reload(files: dict[str, Path], name: str) -> None:
    assert renewed(digests(files), digests(files, pair="1", **{name: "1"})) is None


def test_a_file_that_comes_or_goes_needs_a_reload(files: dict[str, Path]) -> None:
    fewer = {name: digest for name, digest in digests(files).items() if "ca" not in name}
    assert renewed(fewer, digests(files)) is None
    assert renewed(digests(files), fewer) is None
