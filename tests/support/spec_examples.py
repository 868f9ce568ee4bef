"""Sends messages to a node whose only network is its own loopback, and prints the answers.

Run in a network namespace (`tests.support.loopback.alone`): the examples of the worker messages
name addresses and ports that must not be touched on a real network.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.support.gearmand import Gearmand
from tests.support.loopback import bring_loopback_up
from tests.support.node import Node


def main(folder: Path, messages: Path) -> None:
    """Send each of the messages in the file, in their order; print the list of answers."""
    bring_loopback_up()
    with (
        Gearmand() as gearmand,
        Node(folder=folder, servers=[gearmand.address], bind_address="") as node,
    ):
        node.start()
        answers = [node.send(message).answer for message in json.loads(messages.read_text())]
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
