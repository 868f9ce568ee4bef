"""The rows of [gate]: mutual TLS and authorisation in front of gearmand."""

from __future__ import annotations

from libra_common.settings import values
from libra_common.settings.sections import Setting

_GATE = frozenset({"libra_gate"})

GATE_ROWS: tuple[Setting, ...] = (
    Setting(
        section="gate",
        name="bind",
        kind=values.Several(values.Endpoint(default_port=4730)),
        default="[::]:4730",
        help="Where the gate listens, for TLS only. [::] is every address, IPv4 and IPv6.",
        daemons=_GATE,
    ),
    Setting(
        section="gate",
        name="gearmand",
        kind=values.Several(values.Endpoint(default_port=4731)),
        default="127.0.0.1:4731",
        help=(
            "The gearman servers behind the gate. They speak plain text to whoever reaches them,"
            " so they must listen where only the gate does. All connections go to the first that"
            " answers, and stay with it for as long as it does; the others wait for its end."
        ),
        daemons=_GATE,
    ),
    Setting(
        section="gate",
        name="ssl_key",
        kind=values.FilePath(optional=True),
        default="",
        help="The gate's private key, a PEM file; the gate does not start without.",
        daemons=_GATE,
    ),
    Setting(
        section="gate",
        name="ssl_cert",
        kind=values.FilePath(optional=True),
        default="",
        help=(
            "The gate's certificate, a PEM file, with each name and address by which it is"
            " connected to; the gate does not start without."
        ),
        daemons=_GATE,
    ),
    Setting(
        section="gate",
        name="ssl_ca",
        kind=values.FilePath(optional=True),
        default="",
        help=(
            "The authorities whose certificates are let in, a PEM file of one or several; the"
            " gate does not start without."
        ),
        daemons=_GATE,
    ),
    Setting(
        section="gate",
        name="crl",
        kind=values.FilePath(optional=True),
        default="",
        help=(
            "The lists of revoked certificates, a PEM file of one for each authority. Read again"
            " as soon as it changes, and who is on it then is cut off. Empty: none is revoked."
        ),
        daemons=_GATE,
    ),
    Setting(
        section="gate",
        name="pid",
        kind=values.FilePath(),
        default="/run/libra/libra_gate.pid",
        help="The pid file; its lock lets only one gate run with these settings.",
        daemons=_GATE,
    ),
    Setting(
        section="gate",
        name="stop_timeout",
        kind=values.Number(minimum=1, maximum=3600),
        default="20",
        unit="seconds",
        help="How long a gate asked to stop waits for the jobs that go through it.",
        daemons=_GATE,
    ),
    Setting(
        section="gate",
        name="handshake_timeout",
        kind=values.Number(minimum=1, maximum=300),
        default="10",
        unit="seconds",
        help="How long a client may take for the TLS handshake, and for its first packet.",
        daemons=_GATE,
    ),
    Setting(
        section="gate",
        name="packet_timeout",
        kind=values.Number(minimum=1, maximum=3600),
        default="30",
        unit="seconds",
        help=(
            "How long a client may take to send the rest of a packet, and to take what is sent"
            " to it; a second more is given for each 64 KiB."
        ),
        daemons=_GATE,
    ),
    Setting(
        section="gate",
        name="packet_limit",
        kind=values.Number(minimum=8192, maximum=268435456),
        default="8388608",
        unit="bytes",
        help=(
            "The largest packet let through. Must be more than [gearman] message_limit of the"
            " nodes, whose answers hold the message and more."
        ),
        daemons=_GATE,
    ),
    Setting(
        section="gate",
        name="packets_per_second",
        kind=values.Number(minimum=10, maximum=1000000),
        default="2000",
        help=(
            "How many packets the holders of one name may send in a second, all their"
            " connections together; whoever sends more is read more slowly."
        ),
        daemons=_GATE,
    ),
    Setting(
        section="gate",
        name="connections",
        kind=values.Number(minimum=16, maximum=100000),
        default="10000",
        help=(
            "How many connections the gate has at the same time. The limit on open files must be"
            " twice that and a little more."
        ),
        daemons=_GATE,
    ),
    Setting(
        section="gate",
        name="connections_per_name",
        kind=values.Number(minimum=1, maximum=100000),
        default="1000",
        help="How many of them the holders of one name may have.",
        daemons=_GATE,
    ),
)
"""Part of the table."""
