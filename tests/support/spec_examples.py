"""Sends messages to a node whose only network is its own loopback, and prints the answers.

Run in a network namespace (`tests.support.loopback.alone`): the examples of the worker messages
name addresses and ports that must not be touched on a real network.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

from tests.support.archives import local
from tests.support.gearmand import Gearmand
from tests.support.loopback import bring_loopback_up
from tests.support.node import Node
from tests.support.wait import until


def main(folder: Path, messages: Path) -> None:
    """Send each of the messages in the file, in their order; print the list of answers."""
    bring_loopback_up()
    with (
        Gearmand() as gearmand,
        Node(folder=folder, servers=[gearmand.address], bind_address="") as node,
    ):
        node.start()
        answers = []
        for message in json.loads(messages.read_text()):
            if message["hpcs_action"] == "ARCHIVE":
                _be_logged(node)
            answers.append(node.send(message).answer)
    json.dump(answers, sys.stdout)


def _be_logged(node: Node) -> None:
    """Have a line in the access log: that of a request which no server has to answer."""
    with socket.create_connection(("127.0.0.1", 80), timeout=20) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        connection.recv(100)
    until(lambda: local(node), "the request is logged")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
