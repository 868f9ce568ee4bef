"""One process that plays the workers of all devices of a `file_cloud`, for hundreds of them.

`python -m tests.support.device_farm FOLDER SERVER`: whatever device is in the cloud's folder, and
is not mute, is registered at the job server and answers DIAGNOSTICS.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path

from libra_common.jobs import Job, JobWorker, parse_server
from tests.support.file_cloud import FileCloud

ANSWER = json.dumps({"hpcs_response": "PASS", "network": "PASS", "gearman": []}).encode()


def answer(_job: Job) -> bytes:
    return ANSWER


def main(folder: str, address: str) -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    cloud = FileCloud(folder=Path(folder))
    workers: dict[str, JobWorker] = {}
    while not stop.wait(0.1):
        names = set(cloud.awake())
        for name in names - workers.keys():
            workers[name] = JobWorker(
                name=name,
                servers=[parse_server(address)],
                slots=1,
                handler=answer,
                on_oversize=lambda size: b"%d" % size,
            )
            workers[name].start()
        for name in workers.keys() - names:
            workers.pop(name).stop(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
