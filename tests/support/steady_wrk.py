"""`wrk` as a load that leaves something of the machine for others."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

from tests.support.need import program

_SECONDS = 30.0


class SteadyWrk:
    """`wrk` at a bounded rate, from the beginning of a `with` block to its end."""

    def __init__(self, port: int, folder: Path, *, keep_alive: bool, scheme: str = "http") -> None:
        self.name = f"wrk, {scheme}, {'kept' if keep_alive else 'new'} connections"
        self.done = 0
        self.failed: list[str] = []
        self.cut: list[str] = []
        script = folder / f"wrk-{keep_alive}.lua"
        script.write_text(_KEPT if keep_alive else _NEW)
        self._command = [
            program("wrk"), "-t1", "-c8", "-d1h", "--timeout", f"{_SECONDS:g}s", "-s", str(script),
            f"{scheme}://127.0.0.1:{port}/",
        ]  # fmt: skip
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> SteadyWrk:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        said, _err = self._process.communicate(timeout=60)
        found = re.search(r"(\d+) requests in", said)
        assert found is not None, said
        self.done = int(found[1])
        errors = re.search(r"Socket errors: (.*)", said)
        for kind, count in re.findall(r"(\w+) (\d+)", errors[1] if errors else ""):
            self.cut += [f"{self.name}: {kind}"] * int(count)
        refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
        if refused:
            self.failed += [f"{self.name}: an answer that is not 2xx"] * int(refused[1])


# Each connection of wrk waits a little, else nothing is left of the machine for the changes.
_NEW = """\
wrk.headers["Connection"] = "close"
function delay() return 8 end
"""
_KEPT = """\
local plain, asked = nil, 0
local cookie = ""
function init()
  plain = wrk.format("GET", "/")
end
function delay() return 4 end
function request()
  asked = asked + 1
  if asked % 100 == 0 then cookie = "" end
  if cookie == "" then return plain end
  return wrk.format("GET", "/", {["Host"] = "x", ["Cookie"] = "SERVERID=" .. cookie})
end
function response(status, headers)
  local given = headers["Set-Cookie"] or headers["set-cookie"]
  if given then cookie = string.match(given, "SERVERID=([^;]+)") or "" end
end
"""
