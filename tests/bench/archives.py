"""Figure 9: a large access log to Swift, by ARCHIVE and by `gzip | swift upload`."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tests.bench.bench import Bench, save
from tests.bench.summary import Row, row
from tests.bench.systems import Libra
from tests.bench.timing import median
from tests.support.archives import logs_of, message
from tests.support.need import program
from tests.support.swift import Account, Swift
from tests.support.traffic import get
from tests.support.wait import until

_MB = 1 << 20
_LINES_AT_ONCE = 20_000


def measure(bench: Bench) -> list[Row]:
    """Both in turns, on the same lines; a real Swift of one device on this machine."""
    size = bench.amount(256, 32) * _MB
    found: dict[str, list[float]] = {"libra": [], "gzip | swift upload": []}
    system = bench.libra(log_max_bytes=10**11, log_rotate_bytes=10**11)
    try:
        system.start(bench.three)
        with Swift() as swift:
            for turn in range(bench.amount(5, 2)):
                log = _grown(system, size)
                megabytes = log.stat().st_size / _MB
                account, container = swift.account(), f"bench{turn}"
                found["gzip | swift upload"].append(megabytes / _by_hand(account, container, log))
                found["libra"].append(megabytes / _by_message(system, account, container))
    finally:
        system.stop()
    save("9-archives", {"unit": "MB/s of log", "megabytes": size / _MB, "speeds": found})
    return [
        row(
            "9-archive-vs-gzip-and-swift-upload",
            median(found["libra"]),
            "MB/s",
            against=median(found["gzip | swift upload"]),
        )
    ]


def _by_message(system: Libra, account: Account, container: str) -> float:
    began = time.perf_counter()
    result = system.node.send(message(account, container), timeout=600)
    took = time.perf_counter() - began
    assert result.ok, result.error
    assert len(result.answer["objects"]) == 1
    return took


def _by_hand(account: Account, container: str, log: Path) -> float:
    """What an operator would type; the time until both programs have ended well."""
    swift = Path(sys.executable).with_name("swift")
    began = time.perf_counter()
    with subprocess.Popen([program("gzip"), "-c", str(log)], stdout=subprocess.PIPE) as gzip:
        subprocess.run(
            [
                str(swift),
                "--os-storage-url",
                account.endpoint,
                "--os-auth-token",
                account.token,
                "upload",
                container,
                "-",
                "--object-name",
                log.name,
            ],
            stdin=gzip.stdout,
            stdout=subprocess.DEVNULL,
            check=True,
        )
    took = time.perf_counter() - began
    assert gzip.returncode == 0
    return took


def _grown(system: Libra, size: int) -> Path:
    """The log that is being written, with lines enough: as a day of traffic would leave it."""
    get(system.port, "/1")
    until(lambda: logs_of(system.node), "a line is logged")
    (log,) = logs_of(system.node)
    line = log.read_bytes().splitlines(keepends=True)[0]
    with log.open("ab") as file:
        number = 1
        while file.tell() < size:
            some = range(number, number + _LINES_AT_ONCE)
            file.write(b"".join(line.replace(b"GET /1 ", b"GET /%d " % one) for one in some))
            number += _LINES_AT_ONCE
    return log
