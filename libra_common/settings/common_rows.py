"""The rows of [DEFAULT] and [gearman], which all daemons have."""

from __future__ import annotations

from libra_common.settings import values
from libra_common.settings.sections import Setting

_TLS = (
    " TLS is used when key, certificate and CA are all set; setting only some of them is an"
    " error, and there is never a fall back to plain text."
)

COMMON_ROWS: tuple[Setting, ...] = (
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
)
