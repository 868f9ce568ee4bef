"""Which paths may stand in HAProxy's configuration without quotes."""

from __future__ import annotations

import re

PLAIN = re.compile(r"/[A-Za-z0-9_.,+@/-]*", re.ASCII)
"""An absolute path, no character of which means anything but itself; to be matched whole."""
