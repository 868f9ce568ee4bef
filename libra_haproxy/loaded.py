"""The certificates that a running HAProxy has loaded: which they are, and one for another.

HAProxy knows a certificate by the file that it was once read from, and may hold another content
there by now (management guide, 9.3 set ssl cert). Here they are told apart by what they are.
"""

from __future__ import annotations

import re

from libra_haproxy.errors import NotInForce
from libra_haproxy.model import Certificate
from libra_haproxy.runtime import Worker

_LEAF = re.compile(r"^SHA1 FingerPrint: ([0-9A-F]{40})$", re.MULTILINE)


class Loaded:
    """The certificates of the serving process.

    Each call raises HaproxyDown or HaproxyTimeout where it does not answer.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def leaves(self) -> dict[str, str]:
        """The fingerprint of each server certificate, by the file that HAProxy knows it by."""
        files = [
            line for line in self._worker.ask("show ssl cert").splitlines() if line.startswith("/")
        ]
        found = {file: _LEAF.search(self._worker.ask(f"show ssl cert {file}")) for file in files}
        return {file: match[1] for file, match in found.items() if match}

    def replace(self, old: Certificate, pem: str) -> None:
        """Serve `pem` to new connections wherever `old` is served; others go on with theirs.

        Raises NotInForce with HAProxy's own words where it refuses; nothing has changed then.
        """
        files = [file for file, leaf in self.leaves().items() if leaf == old.leaf]
        if not files:
            raise NotInForce("HAProxy does not have the certificate that is to be replaced")
        for file in files:
            self.renew(file, pem)

    def renew(self, file: str, pem: str) -> None:
        """Serve `pem` to new connections where HAProxy serves what it once read from `file`.

        Raises NotInForce with HAProxy's own words where it refuses; nothing has changed then.
        """
        said = self._worker.ask(f"set ssl cert {file}", payload=pem)
        if "ransaction" in said:
            said = self._worker.ask(f"commit ssl cert {file}")
        if "Success!" not in said:
            self._worker.ask(f"abort ssl cert {file}")
            raise NotInForce(f"HAProxy refuses a certificate: {' '.join(said.split())[:300]}")
