"""The one table of all settings: command line, files, sample and reference come from it.

A new daemon adds its rows here, its section in `sections` and its dataclass in `model`.
"""

from __future__ import annotations

import socket

from libra_common.settings import values
from libra_common.settings.gate_rows import GATE_ROWS
from libra_common.settings.health_rows import HEALTH_ROWS
from libra_common.settings.local_rows import LOCAL_ROWS
from libra_common.settings.nova_rows import NOVA_ROWS
from libra_common.settings.octavia_device_rows import OCTAVIA_DEVICE_ROWS
from libra_common.settings.octavia_rows import OCTAVIA_ROWS
from libra_common.settings.sections import Setting

WORKER = "libra_worker"
"""The daemon that runs on each node."""

POOL_MANAGER = "libra_pool_mgm"
"""The daemon that builds devices."""

KEEPER = "libra_keeper"
"""What a service manager starts as HAProxy's parent; it reads the worker's settings."""

_NODE = frozenset({WORKER, KEEPER})
_POOL = frozenset({POOL_MANAGER})
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
        kind=values.FilePath(),
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
    Setting(
        section="mgm",
        name="cloud",
        kind=values.Text(words="local, nova or the name of a Python module"),
        default="local",
        help=(
            "Where devices live: local (network namespaces of this machine), nova"
            " (OpenStack), or the dotted name of a Python module that has another one's"
            " `make_cloud`."
        ),
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="az",
        kind=values.Text(words="text"),
        default="1",
        help=(
            "The zone that answers name, as the API server knows it; a number for the original's."
        ),
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="pid",
        kind=values.FilePath(),
        default="/run/libra/libra_pool_mgm.pid",
        help="The pid file; its lock lets only one pool manager run with these settings.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="node_basename",
        kind=values.Basename(words="1 to 63 letters, digits, dots, hyphens and underscores"),
        default="libra",
        help=(
            "What the name of each device begins with. Only what bears it is ever swept, so"
            " no two pools may share it. Underscores become hyphens in names."
        ),
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="slots",
        kind=values.Number(minimum=1, maximum=1024),
        default="64",
        help=(
            "How many messages are worked at the same time, for each job server; more wait"
            " in its queue."
        ),
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="threads",
        kind=values.Number(minimum=1, maximum=64),
        default="8",
        help=(
            "How many calls to the cloud run at the same time. Builds that wait need none, and"
            " new devices are looked at beside them."
        ),
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="cloud_timeout",
        kind=values.Number(minimum=1, maximum=600),
        default="30",
        unit="seconds",
        help="How long one call to the cloud may take.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="build_timeout",
        kind=values.Number(minimum=1, maximum=86400),
        default="600",
        unit="seconds",
        help=(
            "How long a device may take from its order to its registration at a job server;"
            " what is slower is deleted again."
        ),
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="build_diag_timeout",
        kind=values.Number(minimum=1, maximum=600),
        default="10",
        unit="seconds",
        help="How long a new device may take to answer DIAGNOSTICS.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="delete_timeout",
        kind=values.Number(minimum=1, maximum=3600),
        default="20",
        unit="seconds",
        help="How long DELETE_DEVICE waits until the device is gone.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="assign_timeout",
        kind=values.Number(minimum=1, maximum=3600),
        default="30",
        unit="seconds",
        help=(
            "How long ASSIGN_IP waits until the address is seen at its device, and answers"
            " there if tcp_check_port is set; and ATTACH_PORT and DETACH_PORT until the port is"
            " there, or gone."
        ),
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="tcp_check_port",
        kind=values.Number(minimum=1, maximum=65535, optional=True),
        default="",
        help=(
            "The port of a floating IP that ASSIGN_IP must be able to connect to. Empty: no check."
        ),
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="stop_timeout",
        kind=values.Number(minimum=1, maximum=3600),
        default="60",
        unit="seconds",
        help=(
            "How long a pool manager asked to stop waits for running messages; builds that"
            " need longer are undone ten seconds before the end."
        ),
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="sweep_interval",
        kind=values.Number(minimum=0, maximum=86400),
        default="600",
        unit="seconds",
        help=(
            "Time between two sweeps for devices and addresses that nobody was given. 0: no"
            " sweeps but those asked for by --sweep."
        ),
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="sweep_grace",
        kind=values.Number(minimum=0, maximum=604800),
        default="3600",
        unit="seconds",
        help="How old a thing must be to be swept; must be longer than a build takes.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="sweep_share",
        kind=values.Number(minimum=1, maximum=100),
        default="50",
        unit="percent",
        help=(
            "A sweep that would remove more than this share of all devices, or of all"
            " addresses, removes none and complains; five it may always remove."
        ),
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="nova_auth_url",
        kind=values.Text(),
        default="",
        help="URL of Keystone, with its version (/v3).",
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="nova_user",
        kind=values.Text(),
        default="",
        help="The user to log in as.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="nova_pass",
        kind=values.Text(),
        default="",
        help="The password of nova_user.",
        secret=True,
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="nova_region",
        kind=values.Text(),
        default="",
        help="The region. Empty: the only one.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="nova_tenant",
        kind=values.Text(),
        default="",
        help="The name of the project.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="nova_tenant_id",
        kind=values.Text(),
        default="",
        help="The id of the project, instead of its name.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="nova_keyname",
        kind=values.Text(),
        default="",
        help="The key pair for new devices. Empty: none.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="nova_secgroup",
        kind=values.Text(),
        default="",
        help="The security group of new devices, name or id. Empty: the project's default.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="nova_image",
        kind=values.Text(),
        default="",
        help="The image that new devices boot, name or id.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="nova_image_size",
        kind=values.Text(),
        default="",
        help="The flavor of new devices, name or id.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="nova_az_name",
        kind=values.Text(),
        default="",
        help="The availability zone to build in. Empty: the cloud chooses.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="nova_net_id",
        kind=values.Text(),
        default="",
        help="The network of new devices, name or id. Empty: the project's only one.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="nova_bypass_url",
        kind=values.Text(),
        default="",
        help="The URL of Nova, where the one in Keystone's catalogue is not to be used.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="nova_insecure",
        kind=values.Switch(),
        default="false",
        help="Do not verify the cloud's certificates: for tests only.",
        daemons=_POOL,
    ),
    *LOCAL_ROWS,
    *NOVA_ROWS,
    *OCTAVIA_ROWS,
    *OCTAVIA_DEVICE_ROWS,
    *GATE_ROWS,
    *HEALTH_ROWS,
)

DAEMONS: frozenset[str] = frozenset().union(*(setting.daemons for setting in TABLE))
"""Every command that some setting is marked for."""


def offered(prog: str) -> tuple[Setting, ...]:
    """Give the settings that the command `prog` uses; all of them to a command of no mark."""
    return tuple(s for s in TABLE if not s.daemons or prog in s.daemons or prog not in DAEMONS)
