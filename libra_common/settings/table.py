"""The one table of all settings: command line, files, sample and reference come from it.

A new daemon adds its rows here, its section in `sections` and its dataclass in `model`.
"""

from __future__ import annotations

import socket

from libra_common.settings import values
from libra_common.settings.sections import Setting

WORKER = "libra_worker"
"""The daemon that runs on each node."""

_NODE = frozenset({WORKER})
_TLS = (
    " TLS is used when key, certificate and CA are all set; setting only some of them is an"
    " error, and there is never a fall back to plain text."
)
_RUN_DIR_LIMIT = 80
"""Bytes. A unix socket's path ends at 107, HAProxy adds a suffix while it binds, and the
engine's own names below the directory need the rest."""

TABLE: tuple[Setting, ...] = (
    Setting(
        section="DEFAULT",
        name="log_level",
        kind=values.Choice("debug", "info", "warning", "error", "critical"),
        default="info",
        help="The least important lines that are still logged.",
    ),
    Setting(
        section="DEFAULT",
        name="log_format",
        kind=values.Choice("text", "json"),
        default="text",
        help="Log lines for people (text) or one JSON object a line (json).",
    ),
    Setting(
        section="DEFAULT",
        name="log_file",
        kind=values.FilePath(optional=True),
        default="",
        help=(
            "The file that log lines go to; it may be moved away by logrotate at any time."
            " Empty: standard error."
        ),
    ),
    Setting(
        section="DEFAULT",
        name="syslog",
        kind=values.Switch(),
        default="false",
        help="Send log lines to the system's syslog instead of standard error.",
    ),
    Setting(
        section="DEFAULT",
        name="syslog_facility",
        kind=values.Choice(
            *("daemon", "user", "local0", "local1", "local2", "local3"),
            *("local4", "local5", "local6", "local7"),
        ),
        default="daemon",
        help="The facility of lines sent to syslog.",
    ),
    Setting(
        section="DEFAULT",
        name="daemon",
        kind=values.Switch(),
        default="false",
        help=(
            "Detach from the terminal. The command returns once the daemon is ready, see the"
            " exit codes. Without it the daemon stays in the foreground, as systemd wants it."
        ),
    ),
    Setting(
        section="gearman",
        name="servers",
        kind=values.Several(values.Endpoint(default_port=4730)),
        default="localhost:4730",
        help="The job servers. IPv6 addresses are written [address]:port.",
    ),
    Setting(
        section="gearman",
        name="ssl_key",
        kind=values.FilePath(optional=True),
        default="",
        help="This node's private key, a PEM file." + _TLS,
    ),
    Setting(
        section="gearman",
        name="ssl_cert",
        kind=values.FilePath(optional=True),
        default="",
        help="This node's certificate, a PEM file." + _TLS,
    ),
    Setting(
        section="gearman",
        name="ssl_ca",
        kind=values.FilePath(optional=True),
        default="",
        help="The certificate authority that signed the job servers, a PEM file." + _TLS,
    ),
    Setting(
        section="gearman",
        name="message_limit",
        kind=values.Number(minimum=4096, maximum=268435456),
        default="4194304",
        unit="bytes",
        help="The largest message accepted; 10,000 nodes are about 1.2 million bytes.",
    ),
    Setting(
        section="worker",
        name="name",
        kind=values.FunctionName(words="printable ASCII without spaces, at most 512 bytes"),
        default=socket.gethostname,
        default_note="the host name",
        help="The gearman function under which this node receives its messages.",
        daemons=_NODE,
    ),
    Setting(
        section="worker",
        name="slots",
        kind=values.Number(minimum=1, maximum=64),
        default="4",
        help="How many messages are handled at the same time.",
        daemons=_NODE,
    ),
    Setting(
        section="worker",
        name="pid",
        kind=values.FilePath(),
        default="/run/libra/libra_worker.pid",
        help="The pid file; its lock lets only one worker run with these settings.",
        daemons=_NODE,
    ),
    Setting(
        section="worker",
        name="driver",
        kind=values.Choice("haproxy"),
        default="haproxy",
        help="What carries out the messages.",
        daemons=_NODE,
    ),
    Setting(
        section="worker",
        name="diagnostics_address",
        kind=values.Endpoint(optional=True),
        default="",
        help=(
            "An address outside that DIAGNOSTICS tries to reach over TCP. Empty: none, the node"
            " then never connects anywhere but to its job servers and stores."
        ),
        daemons=_NODE,
    ),
    Setting(
        section="worker",
        name="stop_timeout",
        kind=values.Number(minimum=1, maximum=3600),
        default="60",
        unit="seconds",
        help="How long a worker asked to stop waits for running messages to be answered.",
        daemons=_NODE,
    ),
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
        kind=values.FilePath(),
        default="/var/lib/libra/worker",
        help="Where the load balancers are stored; what is here survives a reboot.",
        daemons=_NODE,
    ),
    Setting(
        section="worker:haproxy",
        name="run_dir",
        kind=values.FilePath(
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
)

DAEMONS: frozenset[str] = frozenset().union(*(setting.daemons for setting in TABLE))
"""Every command that some setting is marked for."""


def offered(prog: str) -> tuple[Setting, ...]:
    """Give the settings that the command `prog` uses; all of them to a command of no mark."""
    return tuple(s for s in TABLE if not s.daemons or prog in s.daemons or prog not in DAEMONS)
