"""A daemon without the packages of its extra says which they are, and nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from libra_common.complaint import lack
from libra_common.exits import Exit


@pytest.mark.parametrize(
    ("daemon", "package", "extra"),
    [
        ("libra_gate", "cryptography", "gate"),
        ("libra_amphora", "aiohttp", "amphora"),
        ("libra_octavia", "sqlalchemy", "octavia"),
    ],
)
def test_a_package_that_is_missing_is_named_with_the_extra_that_brings_it(
    daemon: str, package: str, extra: str
) -> None:
    # Given a machine without it
    code = f"import sys; sys.modules[{package!r}] = None; from {daemon}.main import main; "
    done = subprocess.run(
        [sys.executable, "-c", f"{code}sys.exit(main(['--check-config']))"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == Exit.UNAVAILABLE
    (said,) = done.stderr.splitlines()
    assert said.startswith(f"{daemon}: needs the package {package}")
    assert f"make install EXTRAS={extra}" in said


def test_a_module_of_our_own_that_is_missing_is_no_matter_of_packages() -> None:
    with pytest.raises(ModuleNotFoundError, match="ours"):
        lack("libra_gate", ModuleNotFoundError("ours", name="libra_gate.wire"), extra="gate")
