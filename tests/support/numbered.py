"""Traffic in which every request has a number of its own: `wrk` that asks for /1, /2, /3 ..."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

from tests.support.need import program
from tests.support.wait import until

CONNECTIONS = 32

_SCRIPT = """\
local asked, answered = 0, 0
function delay() return {pause} end
function request()
  asked = asked + 1
  return wrk.format("GET", "/" .. asked)
end
function response()
  answered = answered + 1
  if answered >= {count} then
    io.open("{done}", "w"):close()
    wrk.thread:stop()
  end
end
"""


class NumberedLoad:
    """At least `count` requests, each connection pausing for `pause` milliseconds before each."""

    def __init__(self, folder: Path, port: int, *, count: int, pause: int = 2) -> None:
        script = folder / "numbered.lua"
        self._done = folder / "numbered.done"
        script.write_text(_SCRIPT.format(count=count, pause=pause, done=self._done))
        self._process = subprocess.Popen(
            [
                program("wrk"),
                "-t1",
                f"-c{CONNECTIONS}",
                "-d1h",
                "--timeout",
                "60s",
                "-s",
                str(script),
                f"http://127.0.0.1:{port}/",
            ],
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> NumberedLoad:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def running(self) -> bool:
        assert self._process.poll() is None, "wrk has ended"
        return not self._done.exists()

    def answered(self) -> int:
        """Wait for the end; how many were answered, all with 200."""
        until(lambda: not self.running, "every request is answered", 1200)
        # Its thread has stopped; the program goes on until its time is over, or this.
        self._process.send_signal(signal.SIGINT)
        said, _ = self._process.communicate(timeout=30)
        done = re.search(r"(\d+) requests in", said)
        assert done is not None, said
        assert not re.search(r"Socket errors|Non-2xx", said), said
        return int(done[1])
