"""Proof that a gearman server is behind mutual TLS, for --check-config: not by its word.

gearmand of Debian takes every option of TLS and answers in plain text all the same, and says
nothing of it. So each server is spoken to as one should be, and as nobody should: without TLS,
without a certificate, and with one that its maker signed himself.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from libra_common.errors import SettingsError
from libra_common.jobs.admin import probe
from libra_common.jobs.errors import NoServer
from libra_common.jobs.named import servers_of, tls_of
from libra_common.jobs.servers import GearmanServer, TlsFiles
from libra_common.settings.model import GearmanSettings

PATIENCE = 5.0
"""Seconds for each attempt."""

# It is for nobody, and everybody knows its key: what counts is that no authority signed it.
_NOBODY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg9lIUteSM/sxPu0Uc
UOXlcIscD1x8yO9wLvAyo8AlXSChRANCAATEK1tIhhagniZuWcJoOByU1gQaeG/9
ymYfx1YLkIbAEedcsISvVQL75//lwGosl1LunEnr4NYxIIciqIQ18hb3
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBsjCCAVigAwIBAgIUPaj2XuM31n/LD4Y5VGP2QtqdMiEwCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGbm9ib2R5MCAXDTI2MTEyMTE5MDUyMloYDzIxMjYxMDI4MTkw
NTIyWjARMQ8wDQYDVQQDDAZub2JvZHkwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AATEK1tIhhagniZuWcJoOByU1gQaeG/9ymYfx1YLkIbAEedcsISvVQL75//lwGos
l1LunEnr4NYxIIciqIQ18hb3o4GLMIGIMB0GA1UdDgQWBBRq/agp5HLlX4wjUO+A
4K+KS9YmOTAfBgNVHSMEGDAWgBRq/agp5HLlX4wjUO+A4K+KS9YmOTAPBgNVHRMB
Af8EBTADAQH/MBMGA1UdJQQMMAoGCCsGAQUFBwMCMCAGA1UdEQQZMBeGFWxpYnJh
Om9wZXJhdG9yOm5vYm9keTAKBggqhkjOPQQDAgNIADBFAiEA3u8PKxn7UnTuSdg0
T9nnVh3djmri9otkY1PGklOqb8wCIEhtSbpjp6h03nbfCm0Gf37M3cp68UQU6M9u
AoojXVWP
-----END CERTIFICATE-----
"""


def faults_of(settings: GearmanSettings, *, prog: str) -> Iterator[str]:
    """Say where TLS is asked for and not had; nothing where [gearman] ssl_* are not set.

    A server that cannot be reached now proves nothing, and is no fault of the settings: that is
    said on standard error in the name of `prog`.
    """
    try:
        tls = tls_of(settings)
    except SettingsError as error:
        yield from (f"[gearman] {fault}" for fault in error.faults)
        return
    if tls is None:
        return
    for server in servers_of(settings):
        try:
            yield from (f"[gearman] servers = {server}: {fault}" for fault in prove(server, tls))
        except NoServer as error:
            sys.stderr.write(f"{prog}: warning: nothing is proved of its TLS now: {error}\n")


def prove(server: GearmanServer, tls: TlsFiles, timeout: float = PATIENCE) -> Sequence[str]:
    """Speak to a server in each way; give what is wrong, nothing where both sides verify.

    `timeout` is in seconds, for each way. Raises NoServer if it cannot be reached.
    """
    found = []
    try:
        socket.create_connection((server.host, server.port), timeout).close()
    except OSError as error:
        raise NoServer(f"gearman server {server}: {error}") from error
    try:
        probe(server, tls, timeout)
    except NoServer as error:
        found.append(f"does not answer us by TLS: {error}")
    if _answers(server, None, timeout):
        return [*found, "answers in plain text"]
    for context, who in (
        (ssl.create_default_context(cafile=str(tls.ca)), "has no certificate"),
        (_with_papers_of_nobody(tls.ca), "signed a certificate himself"),
    ):
        if _answers(server, context, timeout):
            found.append(f"lets in whoever {who}")
    return found


def _answers(server: GearmanServer, context: ssl.SSLContext | None, timeout: float) -> bool:
    """Whether a server says its version to whoever comes like this."""
    try:
        with contextlib.ExitStack() as stack:
            opened = socket.create_connection((server.host, server.port), timeout)
            stack.callback(opened.close)
            if context is not None:
                name = server.host.partition("%")[0]
                opened = context.wrap_socket(opened, server_hostname=name)
                stack.callback(opened.close)
            opened.sendall(b"version\n")
            return opened.recv(3) == b"OK "
    except OSError:
        return False


def _with_papers_of_nobody(ca: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca))
    with tempfile.TemporaryDirectory(prefix="libra-") as folder:
        path = Path(folder) / "nobody.pem"
        path.write_text(_NOBODY)
        context.load_cert_chain(path)
    return context
