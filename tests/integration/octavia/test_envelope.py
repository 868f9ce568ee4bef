"""Heartbeats as Octavia's own code wraps them, to the byte."""

from __future__ import annotations

import json
import subprocess

import pytest

from libra_octavia.health.envelope import BadDatagram, unwrap
from libra_octavia.health.message import read
from tests.support import octavia_env
from tests.unit.octavia.health.said import message

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

KEY = "the key of heartbeats, with an ü"
WRAP = """\
import json, sys
from octavia.amphorae.backends.health_daemon import status_message
said, key, hexadecimal = json.load(sys.stdin)
sys.stdout.buffer.write(status_message.wrap_envelope(said, key, hex=hexadecimal))
"""


@pytest.mark.parametrize("hexadecimal", [True, False])
@pytest.mark.parametrize("version", [1, 2, 3])
def test_what_octavias_amphorae_send_is_read(version: int, hexadecimal: bool) -> None:
    done = subprocess.run(
        [str(octavia_env.python()), "-c", WRAP],
        input=json.dumps([message(ver=version), KEY, hexadecimal]).encode(),
        capture_output=True,
        timeout=60,
        check=True,
    )
    found = read(unwrap(done.stdout, KEY))
    assert found.amphora_id == "amp"
    assert found.deltas is (version == 3)
    assert found.counts["l1"].bytes_in == 2
    with pytest.raises(BadDatagram):
        unwrap(done.stdout, KEY + "x")
