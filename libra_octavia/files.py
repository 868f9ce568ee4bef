"""The files that a device needs beside the text of HAProxy's file. Pure.

Their contents hold private keys: they go to devices alone, never into a log or the inventory.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from libra_octavia.model import Listener, LoadBalancer

CERTIFICATES = PurePosixPath("/var/lib/octavia/certs")
"""The folder of all load balancers' certificates, as configurations name it (Octavia's default of
`base_cert_dir`)."""


class Files(dict[str, bytes]):
    """Contents by the names of the amphora API; shows names alone."""

    def __repr__(self) -> str:
        return f"Files({', '.join(sorted(self))})"


def files(balancer: LoadBalancer, *, folder: PurePosixPath = CERTIFICATES) -> Mapping[str, bytes]:
    """Give all files of a load balancer, by name.

    A name is 40 hexadecimal digits and `.pem` for certificates, authorities and revocation lists,
    and the listener's id and `.pem` for the list of the certificates that it serves. They are
    in the order in which they are to be sent: the lists are last, since they name the others.
    """
    found = Files({pem.name: pem.content for pem in balancer.pems})
    for listener, _ in balancer.serving:
        if listener.tls is not None:
            found[list_name(listener)] = "".join(
                f"{path(balancer, pem.name, folder=folder)}\n" for pem in listener.tls.certificates
            ).encode("ascii")
    return found


def list_name(listener: Listener) -> str:
    """The name of the list of certificates of a listener."""
    return f"{listener.id}.pem"


def path(
    balancer: LoadBalancer, name: str, *, folder: PurePosixPath = CERTIFICATES
) -> PurePosixPath:
    """Where the text says that a file is; the device may have it elsewhere."""
    return folder / balancer.id / name
