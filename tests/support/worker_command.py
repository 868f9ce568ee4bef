"""The command of a node's worker, run to its end, and what changes how it goes."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from libra_client.client import Result
from tests.support.gearmand import Gearmand
from tests.support.need import program
from tests.support.node import Node


def lb(port: int, *nodes: dict[str, object]) -> dict[str, object]:
    return {"protocol": "HTTP", "port": port, "nodes": list(nodes)}


def slow_haproxy(folder: Path, seconds: int) -> str:
    """HAProxy whose check takes its time once there is a file `slow`."""
    path = folder / "haproxy"
    path.write_text(
        f'#!/bin/sh\n[ "$1" = -c ] && [ -e {folder}/slow ] && sleep {seconds}\n'
        f'exec {program("haproxy")} "$@"\n'
    )
    path.chmod(0o755)
    return str(path)


def in_thread(job: Callable[[], Result]) -> tuple[threading.Thread, list[Result]]:
    results: list[Result] = []
    thread = threading.Thread(target=lambda: results.append(job()))
    thread.start()
    return thread, results


def run(node: Node, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "libra_worker.main", "--config-file", str(node.config), *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def slots(gearmand: Gearmand, node: Node) -> set[str]:
    done = subprocess.run(
        [program("gearadmin"), "-h", "127.0.0.1", "-p", str(gearmand.port), "--workers"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    return {words[2] for words in lines if words[-1:] == [node.name]}


def edit(node: Node, old: str, new: str) -> None:
    text = node.config.read_text()
    assert old in text
    node.config.write_text(text.replace(old, new))
