"""Which life of the agent this is: a number that is higher at each start.

Receivers of heartbeats tell old datagrams by it from those of an agent that was started anew.
"""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path

from libra_amphora.files import replace
from libra_haproxy.errors import DiskError

LOG = logging.getLogger(__name__)


def next_boot(path: Path) -> int:
    """The number of this start, kept in the file `path`.

    It is the time in seconds, unless that is no higher than the last number: so it grows when
    the file is lost, and when the clock is set back.
    """
    try:
        last = int(json.loads(path.read_bytes())["boot"])
    except (OSError, ValueError, KeyError, TypeError):
        last = 0
    found = max(last + 1, int(time.time()))
    try:
        replace(path, json.dumps({"boot": found}).encode())
    except DiskError as error:
        LOG.warning("the number of this start is not kept: %s", error)
    return found
