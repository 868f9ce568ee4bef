"""Does a UDP or SCTP member answer? What keepalived asks again and again. Standard library only.

    lvs_check.py udp|sctp ADDRESS PORT SECONDS        exit code 0: yes, 1: no, 2: wrong arguments

Of UDP only a refusal can be told: a member that says nothing is one that has nothing to say to an
unknown byte. SCTP makes an association.
"""

from __future__ import annotations

import socket
import sys


def answers_udp(address: str, port: int, seconds: float) -> bool:
    """Whether nobody refuses a datagram in that time."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asker:
            asker.settimeout(seconds)
            asker.connect((address, port))
            asker.send(b"X")
            asker.recv(1)
    except TimeoutError:
        return True
    except OSError:
        return False
    return True


def answers_sctp(address: str, port: int, seconds: float) -> bool:
    """Whether an association comes about in that time."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_SCTP) as asker:
            asker.settimeout(seconds)
            asker.connect((address, port))
    except OSError:
        return False
    return True


def main(arguments: list[str]) -> int:
    """The exit code."""
    try:
        kind, address, port, seconds = arguments
        ask = {"udp": answers_udp, "sctp": answers_sctp}[kind]
        return 0 if ask(address, int(port), float(seconds)) else 1
    except (ValueError, KeyError):
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
