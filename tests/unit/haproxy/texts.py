"""Texts as a controller sends them, and where they are to run."""

from __future__ import annotations

from pathlib import Path

from libra_haproxy.text import Text, parse
from libra_haproxy.text_derive import TextPlace
from tests.support.octavia_text import MEMBERS, Proxy, configuration

GOOD = configuration(Proxy(port=8080, members={MEMBERS[0]: 80, MEMBERS[1]: 81}))


class Certificates:
    """All that lie in one folder."""

    def __init__(self, digest: str = "0") -> None:
        self._digest = digest

    def local(self, word: str, path: str) -> Path | None:
        if not path.startswith("/certs/"):
            return None
        return Path("/here") / (path[len("/certs/") :] + (".list" if word == "crt-list" else ""))

    def digests(self) -> dict[str, str]:
        return {"/here/one.pem": self._digest}


def place(**fields: object) -> TextPlace:
    given: dict[str, object] = {
        "admin_socket": Path("/run/x/admin.sock"),
        "peer": "me",
        "maxconn": 50_000,
        "open_files": 20_000,
        "files": Certificates(),
        **fields,
    }
    return TextPlace(**given)  # type: ignore[arg-type]


def proxied(**fields: object) -> Text:
    given: dict[str, object] = {"port": 80, "members": {MEMBERS[0]: 1, MEMBERS[1]: 2}, **fields}
    return parse(configuration(Proxy(**given)))  # type: ignore[arg-type]
