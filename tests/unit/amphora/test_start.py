"""What a start of the agent leaves out, since most of a start is imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any


def in_a_new_process(code: str, **environment: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", f"import json, os, sys\n{code}"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(done.stdout)


def test_agent_is_imported_without_what_only_others_or_later_calls_need() -> None:
    loaded = in_a_new_process("import libra_amphora.daemon\nprint(json.dumps(sorted(sys.modules)))")
    assert "libra_amphora.node" in loaded
    assert not {"pyroute2", "jinja2"} & set(loaded)


def test_aiohttps_client_trusts_nobody_and_the_environment_is_as_it_was() -> None:
    # Given a system that says itself where one of its two kinds of authorities is
    # When aiohttp's server is imported
    found = in_a_new_process(
        "from libra_amphora.http import web\n"
        "from aiohttp import connector\n"
        "trusted = connector._SSL_CONTEXT_VERIFIED.get_ca_certs()\n"
        "print(json.dumps([trusted, os.environ['SSL_CERT_FILE'], 'SSL_CERT_DIR' in os.environ]))",
        SSL_CERT_FILE="/etc/ssl/certs/ca-certificates.crt",
    )
    # Then no authority was read, and both are said as before
    assert found == [[], "/etc/ssl/certs/ca-certificates.crt", "SSL_CERT_DIR" in os.environ]
