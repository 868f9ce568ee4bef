"""One process that stands in for the workers of hundreds of devices, whose names are known.

`python -m tests.support.crowd SERVER` reads names from its standard input, one a line, registers
each and answers DIAGNOSTICS for all of them. A line may be `NAME bad`: that one finds itself ill.
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

_GOOD = json.dumps(
    {
        "hpcs_response": "PASS",
        # to DIAGNOSTICS
        "network": "PASS",
        "gearman": [],
        # to DISCOVER and STATS
        "release": "1.2",
        "lb_status": "ACTIVE",
        "generation": 3,
        "nodes": [{"id": "1", "status": "UP"}, {"id": "2", "status": "DOWN"}],
        "load_balancers": [{"protocol": "HTTP", "requests_per_second": 7}],
    }
).encode()
_BAD = json.dumps({"hpcs_response": "PASS", "network": "FAIL", "gearman": []}).encode()


@contextmanager
def crowd(names: Iterable[str], server: str, *, bad: Iterable[str] = ()) -> Iterator[None]:
    """Stand in for the workers `names`, and for the `bad` ones, while the context lasts."""
    ill = set(bad)
    wanted = {*names, *ill}
    admin = AdminClient(server=parse_server(server))
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.crowd", server],
        stdin=subprocess.PIPE,
        env={**os.environ},
    ) as process:
        assert process.stdin is not None
        try:
            process.stdin.write(
                "".join(
                    f"{name} bad\n" if name in ill else f"{name}\n" for name in sorted(wanted)
                ).encode()
            )
            process.stdin.flush()
            until(
                lambda: wanted <= {one.name for one in admin.status() if one.workers},
                "every stand-in is registered",
                60,
            )
            yield
        finally:
            process.kill()


def _good(_job: Job) -> bytes:
    return _GOOD


def _bad(_job: Job) -> bytes:
    return _BAD


def main(server: str) -> None:
    for line in sys.stdin:
        name, _, word = line.strip().partition(" ")
        JobWorker(
            name=name,
            servers=[parse_server(server)],
            slots=1,
            handler=_bad if word else _good,
            on_oversize=lambda size: b"%d" % size,
        ).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
