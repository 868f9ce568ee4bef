"""The rows of [archive]: the object stores that access logs are sent to."""

from __future__ import annotations

from libra_common.settings import values
from libra_common.settings.sections import Setting

_NODE = frozenset({"libra_worker", "libra_keeper"})

ARCHIVE_ROWS: tuple[Setting, ...] = (
    Setting(
        section="archive",
        name="ca",
        kind=values.FilePath(optional=True),
        default="",
        help=(
            "The certificate authority of the object stores, a PEM file. Empty: those that"
            " Python's certifi knows. Certificates are always verified."
        ),
        daemons=_NODE,
    ),
    Setting(
        section="archive",
        name="allow_http",
        kind=values.Switch(),
        default="false",
        help=(
            "Whether stores are written to over plain HTTP too, where anybody on the way can read"
            " the token and the logs."
        ),
        daemons=_NODE,
    ),
    Setting(
        section="archive",
        name="segment_bytes",
        kind=values.Number(minimum=1048576, maximum=5368709120),
        default="1073741824",
        unit="bytes",
        help=(
            "A log larger than this is sent as a static large object, whose segments hold this"
            " much of the log each. Stores take objects of up to 5 GiB."
        ),
        daemons=_NODE,
    ),
    Setting(
        section="archive",
        name="timeout",
        kind=values.Number(minimum=1, maximum=3600),
        default="30",
        unit="seconds",
        help="How long a store may take for a single step: to connect, to take or to say anything.",
        daemons=_NODE,
    ),
    Setting(
        section="archive",
        name="deadline",
        kind=values.Number(minimum=1, maximum=86400),
        default="3600",
        unit="seconds",
        help="How long one ARCHIVE may take in all; what is not sent by then stays for the next.",
        daemons=_NODE,
    ),
)
