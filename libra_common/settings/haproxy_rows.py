"""The rows of [worker:haproxy]: the engine."""

from __future__ import annotations

from libra_common.settings import values
from libra_common.settings.sections import Setting

_NODE = frozenset({"libra_worker", "libra_keeper"})
_RUN_DIR_LIMIT = 80
"""Bytes. A unix socket's path ends at 107, HAProxy adds a suffix while it binds, and the
engine's own names below the directory need the rest."""

HAPROXY_ROWS: tuple[Setting, ...] = (
    Setting(
        section="worker:haproxy",
        name="haproxy",
        kind=values.FilePath(),
        default="/usr/sbin/haproxy",
        help="The HAProxy program.",
        flag="--haproxy",
        daemons=_NODE,
    ),
    Setting(
        section="worker:haproxy",
        name="bind_address",
        kind=values.Several(values.Address(), optional=True),
        default="",
        help="The addresses that load balancers listen on. Empty: all, IPv4 and IPv6.",
        daemons=_NODE,
    ),
    Setting(
        section="worker:haproxy",
        name="state_dir",
        kind=values.PlainPath(),
        default="/var/lib/libra/worker",
        help="Where the load balancers are stored; what is here survives a reboot.",
        daemons=_NODE,
    ),
    Setting(
        section="worker:haproxy",
        name="run_dir",
        kind=values.PlainPath(
            max_bytes=_RUN_DIR_LIMIT, why="the paths of unix sockets must stay below 100 bytes"
        ),
        default="/run/libra/worker",
        help="Where sockets and other things that end with the machine are kept.",
        daemons=_NODE,
    ),
    Setting(
        section="worker:haproxy",
        name="log_dir",
        kind=values.FilePath(),
        default="/var/log/libra",
        help="Where the access logs of load balancers are written.",
        daemons=_NODE,
    ),
    Setting(
        section="worker:haproxy",
        name="user",
        kind=values.Account(words="name of a user"),
        default="haproxy",
        help="The user HAProxy runs as when the worker runs as root; else the worker's own.",
        daemons=_NODE,
    ),
    Setting(
        section="worker:haproxy",
        name="group",
        kind=values.Account(words="name of a group"),
        default="haproxy",
        help="The group HAProxy runs as when the worker runs as root; else the worker's own.",
        daemons=_NODE,
    ),
    Setting(
        section="worker:haproxy",
        name="max_nodes",
        kind=values.Number(minimum=1, maximum=100000),
        default="10000",
        help="The most nodes that all load balancers of one message may have together.",
        daemons=_NODE,
    ),
    Setting(
        section="worker:haproxy",
        name="maxconn",
        kind=values.Number(minimum=10, maximum=2000000),
        default="20000",
        help=(
            "The most client connections at the same time; fewer where the limit of open files"
            " does not allow as many."
        ),
        daemons=_NODE,
    ),
    Setting(
        section="worker:haproxy",
        name="linger",
        kind=values.Number(minimum=1, maximum=86400),
        default="43200",
        unit="seconds",
        help=(
            "How long connections go on that a reload has left in the process before it. Each such"
            " process keeps its memory until its last connection ends; then these are cut."
        ),
        daemons=_NODE,
    ),
    Setting(
        section="worker:haproxy",
        name="log_max_bytes",
        kind=values.Number(minimum=65536, maximum=10**15),
        default="4294967296",
        unit="bytes",
        help=(
            "How much of the access logs is kept, all load balancers of a node together. Of more,"
            " the oldest are removed unsent; that is logged and counted, and STATS tells it."
        ),
        daemons=_NODE,
    ),
    Setting(
        section="worker:haproxy",
        name="log_max_age",
        kind=values.Number(minimum=1, maximum=10**9),
        default="604800",
        unit="seconds",
        help=(
            "How long access logs are kept that nobody has archived, those of deleted load"
            " balancers too."
        ),
        daemons=_NODE,
    ),
    Setting(
        section="worker:haproxy",
        name="log_free_percent",
        kind=values.Number(minimum=0, maximum=90),
        default="5",
        unit="percent",
        help=(
            "How much of the file system is left free: access logs are removed, the oldest first,"
            " before they leave less."
        ),
        daemons=_NODE,
    ),
    Setting(
        section="worker:haproxy",
        name="log_rotate_bytes",
        kind=values.Number(minimum=4096, maximum=10**13),
        default="268435456",
        unit="bytes",
        help=(
            "An access log of this size is rotated without being asked; each becomes an object of"
            " its own. At most a quarter of log_max_bytes."
        ),
        daemons=_NODE,
    ),
    Setting(
        section="worker:haproxy",
        name="logfile",
        kind=values.FilePath(optional=True),
        default="",
        help=(
            "A file that syslog writes the lines of the program haproxy to; HAProxy then logs to"
            " syslog_socket, and access logs are taken from this file, which HAProxy's user must be"
            " able to read. Empty: HAProxy logs to its keeper, and no syslog is needed."
        ),
        daemons=_NODE,
    ),
    Setting(
        section="worker:haproxy",
        name="syslog_socket",
        kind=values.PlainPath(),
        default="/dev/log",
        help="The socket of the syslog that writes logfile; not used without one.",
        daemons=_NODE,
    ),
    Setting(
        section="worker:haproxy",
        name="keeper",
        kind=values.Choice("own", "service"),
        default="own",
        help=(
            "Who starts HAProxy's keeper: the worker itself, or a service of its own that runs"
            " libra_keeper with the same settings, as under systemd."
        ),
        daemons=_NODE,
    ),
    Setting(
        section="worker:haproxy",
        name="renewal",
        kind=values.Moment(),
        default="hand",
        help=(
            "When an updated HAProxy takes over from the one that runs, by a reload that loses"
            " nothing: at once, within the hour after a time of day, or by hand, which is SIGHUP"
            " of the worker. Any reload for another reason has it take over too."
        ),
        daemons=_NODE,
    ),
)
