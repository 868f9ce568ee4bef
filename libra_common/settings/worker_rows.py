"""The rows of [worker]: this node as the control plane knows it."""

from __future__ import annotations

import socket

from libra_common.settings import values
from libra_common.settings.sections import Setting

_NODE = frozenset({"libra_worker", "libra_keeper"})

WORKER_ROWS: tuple[Setting, ...] = (
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
)
