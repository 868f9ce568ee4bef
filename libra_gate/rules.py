"""Who may send what: the decision on one packet, from its role, its name and the packet's head.

Everything that is not named here is refused. gearmand compares names byte by byte, so a name
passes only if it is, byte by byte, one that the role has; a NUL in it would end the name for a
reader and not for gearmand, and is refused with everything else that is no such name.

| role       | takes the jobs of     | submits to                       | reads (admin protocol)   |
|------------|-----------------------|----------------------------------|--------------------------|
| node       | its name, `<name>/..` | nobody                           | what is about itself     |
| pool       | `libra_pool_mgm`      | nodes                            | everything that reads    |
| provider   | `libra_octavia`       | `libra_pool_mgm`, `libra_octavia`| what is about itself     |
| controller | nobody                | everybody                        | everything that reads    |
| operator   | everybody             | everybody                        | everything, and commands |

A provider submits to its own function too: Octavia's API wakes the agents by it.
"""

from __future__ import annotations

from dataclasses import dataclass

from libra_common.roles import POOL_FUNCTION, PROVIDER_FUNCTION, RESERVED, Identity, Role
from libra_gate.packets import Kind, Packet

CODE = "NOT_ALLOWED"
"""The word for programs in the ERROR packet of a refusal."""

TOO_LARGE = "TOO_LARGE"
"""The same for a packet over the limit."""

_NAMING = {Kind.CAN_DO: 1, Kind.CAN_DO_TIMEOUT: 2, Kind.CANT_DO: 1}
"""Kinds whose first field is the function that a worker takes, and how many fields they have."""

_GRABBING = frozenset({Kind.GRAB_JOB, Kind.GRAB_JOB_UNIQ, Kind.GRAB_JOB_ALL})
_ENDING = frozenset({Kind.WORK_COMPLETE, Kind.WORK_FAIL, Kind.WORK_EXCEPTION})
_WORKING = frozenset(
    {
        Kind.RESET_ABILITIES,
        Kind.PRE_SLEEP,
        Kind.ALL_YOURS,
        Kind.WORK_STATUS,
        Kind.WORK_DATA,
        Kind.WORK_WARNING,
        *_GRABBING,
        *_ENDING,
    }
)
_SUBMITTING = {
    Kind.SUBMIT_JOB: 3,
    Kind.SUBMIT_JOB_HIGH: 3,
    Kind.SUBMIT_JOB_LOW: 3,
    Kind.SUBMIT_JOB_BG: 3,
    Kind.SUBMIT_JOB_HIGH_BG: 3,
    Kind.SUBMIT_JOB_LOW_BG: 3,
    Kind.SUBMIT_JOB_SCHED: 8,
    Kind.SUBMIT_JOB_EPOCH: 4,
    Kind.SUBMIT_REDUCE_JOB: 4,
    Kind.SUBMIT_REDUCE_JOB_BACKGROUND: 4,
}
"""Kinds that submit a job, and how many fields they have; the first is the function."""
_REDUCING = frozenset({Kind.SUBMIT_REDUCE_JOB, Kind.SUBMIT_REDUCE_JOB_BACKGROUND})
_ASKING = frozenset({Kind.GET_STATUS, Kind.GET_STATUS_UNIQUE})
_HARMLESS = frozenset({Kind.ECHO_REQ, Kind.OPTION_REQ})

_WORKERS = frozenset({Role.NODE, Role.POOL, Role.PROVIDER, Role.OPERATOR})
_SUBMITTERS = frozenset({Role.CONTROLLER, Role.POOL, Role.PROVIDER, Role.OPERATOR})


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a packet does not pass. `ends` the connection where the client would rely on it."""

    reason: str
    ends: bool = False


def refusal_of(who: Identity, packet: Packet) -> Refusal | None:
    """Say why `who` may not send this packet, None if it may."""
    kind = packet.kind
    if kind in _HARMLESS:
        return None
    if kind in _NAMING:
        return _refused_function(who, packet)
    if kind == Kind.SET_CLIENT_ID:
        return _refused_id(who, packet)
    if kind in _WORKING:
        return None if who.role in _WORKERS else Refusal(f"a {who.role} takes no jobs")
    if kind in _SUBMITTING:
        return _refused_job(who, packet)
    if kind in _ASKING:
        return None if who.role in _SUBMITTERS else Refusal(f"a {who.role} submits no jobs")
    return Refusal(f"nobody may send a {packet}")


def owns(who: Identity, function: bytes) -> bool:
    """Whether `who` may take the jobs of a function."""
    if who.role is Role.OPERATOR:
        return _is_name(function)
    own = {
        Role.NODE: who.name,
        Role.POOL: POOL_FUNCTION,
        Role.PROVIDER: PROVIDER_FUNCTION,
    }.get(who.role)
    return own is not None and _within(function, own.encode())


def submits_to(who: Identity, function: bytes) -> bool:
    """Whether `who` may submit to a function."""
    if not _is_name(function):
        return False
    reserved = function.decode().partition("/")[0] in RESERVED
    match who.role:
        case Role.OPERATOR | Role.CONTROLLER:
            return True
        case Role.POOL:
            return not reserved
        case Role.PROVIDER:
            return reserved
        case _:
            return False


def function_of(packet: Packet) -> bytes | None:
    """Give the function that a packet registers for, None where it registers for none."""
    if packet.kind not in {Kind.CAN_DO, Kind.CAN_DO_TIMEOUT}:
        return None
    return packet.head.partition(b"\0")[0]


def is_job(kind: int) -> bool:
    """Whether a packet of this kind submits a job."""
    return kind in _SUBMITTING


def is_foreground(kind: int) -> bool:
    """Whether it submits one whose answer its sender waits for."""
    return kind in {
        Kind.SUBMIT_JOB,
        Kind.SUBMIT_JOB_HIGH,
        Kind.SUBMIT_JOB_LOW,
        Kind.SUBMIT_REDUCE_JOB,
    }


def is_grab(kind: int) -> bool:
    """Whether it asks for a job."""
    return kind in _GRABBING


def is_end(kind: int) -> bool:
    """Whether it ends a job."""
    return kind in _ENDING


def _refused_function(who: Identity, packet: Packet) -> Refusal | None:
    fields = packet.fields(_NAMING[Kind(packet.kind)])
    if fields is None or not packet.whole:
        return Refusal(f"{packet} is malformed", ends=True)
    if owns(who, fields[0]):
        return None
    # A worker takes silence for consent: it must not believe that it is registered.
    return Refusal(f"{who} may not take the jobs of {_shown(fields[0])}", ends=True)


def _refused_id(who: Identity, packet: Packet) -> Refusal | None:
    name = packet.head
    if packet.whole and _is_name(name) and (who.role is Role.OPERATOR or _is_id_of(who, name)):
        return None
    return Refusal(f"{who} may not call itself {_shown(name)}", ends=True)


def _is_id_of(who: Identity, name: bytes) -> bool:
    own = {Role.POOL: POOL_FUNCTION, Role.PROVIDER: PROVIDER_FUNCTION}.get(who.role, who.name)
    # Pool managers add their host behind an @, so that operators can tell them apart.
    return _within(name, own.encode()) or (
        who.role in {Role.POOL, Role.PROVIDER} and name.startswith(own.encode() + b"@")
    )


def _refused_job(who: Identity, packet: Packet) -> Refusal | None:
    if who.role not in _SUBMITTERS:
        return Refusal(f"a {who.role} submits no jobs")
    fields = packet.fields(_SUBMITTING[Kind(packet.kind)])
    if fields is None:
        return Refusal(f"{packet} is malformed")
    functions = [fields[0], fields[2]] if packet.kind in _REDUCING else [fields[0]]
    for function in functions:
        if not submits_to(who, function):
            return Refusal(f"{who} may not submit to {_shown(function)}")
    return None


def _within(name: bytes, own: bytes) -> bool:
    return name == own or (name.startswith(own + b"/") and _is_name(name))


def _is_name(name: bytes) -> bool:
    return bool(name) and all(0x21 <= byte <= 0x7E for byte in name)


def _shown(name: bytes) -> str:
    return ascii(name[:80].decode("utf-8", "replace"))
