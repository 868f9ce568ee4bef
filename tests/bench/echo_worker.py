"""The least that a gearman worker can do, in a process of its own: give back what it gets.

`python -m tests.bench.echo_worker SERVER NAME [KEY CERTIFICATE CA]`
"""

from __future__ import annotations

import signal
import sys

from libra_common.jobs import JobWorker, parse_server, tls_from


def main() -> None:
    server, name, *files = sys.argv[1:]
    worker = JobWorker(
        name=name,
        servers=[parse_server(server)],
        slots=4,
        handler=lambda job: job.data,
        on_oversize=lambda _: b"{}",
        tls=tls_from(*files) if files else None,
    )
    worker.start()
    signal.sigwait({signal.SIGTERM})
    worker.stop(2)


if __name__ == "__main__":
    main()
