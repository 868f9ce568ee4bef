"""One process that stands in for the workers of hundreds of devices, whose names are known.

`python -m tests.support.crowd SERVER` reads names from its standard input, one a line, registers
each, says `ready` and answers DIAGNOSTICS for all of them until its input ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from libra_common.jobs import AdminClient, Job, JobWorker, parse_server
from tests.support.wait import until

_ANSWER = json.dumps({"hpcs_response": "PASS", "network": "PASS", "gearman": []}).encode()


@contextmanager
def crowd(names: Iterable[str], server: str) -> Iterator[None]:
    """Stand in for the workers `names` while the context lasts."""
    wanted = set(names)
    admin = AdminClient(server=parse_server(server))
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.crowd", server],
        stdin=subprocess.PIPE,
        env={**os.environ},
    ) as process:
        assert process.stdin is not None
        try:
            process.stdin.write("".join(f"{name}\n" for name in sorted(wanted)).encode())
            process.stdin.flush()
            until(
                lambda: wanted <= {one.name for one in admin.status() if one.workers},
                "every stand-in is registered",
                60,
            )
            yield
        finally:
            process.kill()


def _answer(_job: Job) -> bytes:
    return _ANSWER


def main(server: str) -> None:
    for line in sys.stdin:
        JobWorker(
            name=line.strip(),
            servers=[parse_server(server)],
            slots=1,
            handler=_answer,
            on_oversize=lambda size: b"%d" % size,
        ).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
