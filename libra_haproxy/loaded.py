"""The certificates that a running HAProxy has loaded: which they are, and one for another.

HAProxy knows a certificate by the file that it was once read from, and may hold another content
there by now (management guide, 9.3 set ssl cert). Here they are told apart by what they are.
"""

from __future__ import annotations

import re
from pathlib import Path

from libra_haproxy.deadline import Deadline
from libra_haproxy.errors import NotInForce
from libra_haproxy.model import Certificate
from libra_haproxy.runtime import ANSWER_SECONDS, ask

_LEAF = re.compile(r"^SHA1 FingerPrint: ([0-9A-F]{40})$", re.MULTILINE)


class Loaded:
    """The certificates of the process behind an admin socket.

    Each call raises HaproxyDown or HaproxyTimeout where it does not answer.
    """

    def __init__(self, *, socket_path: Path, seconds: float = ANSWER_SECONDS) -> None:
        self._path = socket_path
        self._seconds = seconds

    def leaves(self) -> dict[str, str]:
        """The fingerprint of each server certificate, by the file that HAProxy knows it by."""
        files = [line for line in self._ask("show ssl cert").splitlines() if line.startswith("/")]
        found = {file: _LEAF.search(self._ask(f"show ssl cert {file}")) for file in files}
        return {file: match[1] for file, match in found.items() if match}

    def replace(self, old: Certificate, pem: str) -> None:
        """Serve `pem` to new connections wherever `old` is served; others go on with theirs.

        Raises NotInForce with HAProxy's own words where it refuses; nothing has changed then.
        """
        files = [file for file, leaf in self.leaves().items() if leaf == old.leaf]
        if not files:
            raise NotInForce("HAProxy does not have the certificate that is to be replaced")
        for file in files:
            said = self._ask(f"set ssl cert {file}", payload=pem)
            if "ransaction" in said:
                said = self._ask(f"commit ssl cert {file}")
            if "Success!" not in said:
                self._ask(f"abort ssl cert {file}")
                raise NotInForce(f"HAProxy refuses a certificate: {' '.join(said.split())[:300]}")

    def _ask(self, line: str, *, payload: str = "") -> str:
        return ask(self._path, line, payload=payload, deadline=Deadline.after(self._seconds))
