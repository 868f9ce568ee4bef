"""A real worker whose ARCHIVE goes to a store that accepts a connection and never says a word."""

from __future__ import annotations

import signal
import socket
import sys
from typing import Any

from libra_common.settings import Settings, load
from libra_messages.worker import Archive
from libra_worker.controller import Controller
from libra_worker.diagnostics import Diagnosis
from libra_worker.node import make_driver, make_jobs


def make_archiving_controller(
    settings: Settings, driver: Any, store: tuple[str, int]
) -> Controller:
    def archive(_: Archive) -> dict[str, Any]:
        with socket.create_connection(store, timeout=300) as connection:
            connection.sendall(b"PUT /v1/100/lbaaslogs/x HTTP/1.1\r\n\r\n")
            connection.recv(1)
        return {}

    return Controller(
        driver=driver,
        diagnose=lambda: Diagnosis(network=True, gearman=()),
        max_nodes=settings.haproxy.max_nodes,
        message_limit=settings.gearman.message_limit,
        archive=archive,
    )


def main(store_port: int, arguments: list[str]) -> None:
    settings = load(arguments, prog="libra_worker")
    driver = make_driver(settings)
    driver.open()
    store = ("127.0.0.1", store_port)
    make_jobs(settings, make_archiving_controller(settings, driver, store)).start()
    signal.pause()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
