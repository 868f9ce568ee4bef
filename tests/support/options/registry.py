"""The table of options, which the modules beside this one fill."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.options.stage import Stage

Proof = Callable[["Stage"], None]

KINDS = ("load balancer", "listener", "L7 policy", "L7 rule", "pool", "member", "health monitor")


@dataclass(frozen=True)
class Refusal:
    """A value that is refused when it is asked for: the fields of the object, and who refuses.

    `by` is "Libra" (501, by name) or "Octavia" (its own API, 400), which Libra never sees. What
    Octavia hides from its drivers is `late`: the object is ERROR once the agent has seen it.
    """

    fields: dict[str, Any]
    why: str = ""
    by: str = "Libra"
    late: bool = False


@dataclass(frozen=True)
class Option:
    """One option of a kind of object.

    `passes` and `fails` say which request of a client is served and which is not; `proof` shows
    both, or the test `by` where that takes another kernel than this machine's may be. Without
    either the option is not served, and `refusal` says what happens to it.
    """

    kind: str
    name: str
    passes: str = ""
    fails: str = ""
    proof: Proof | None = field(default=None, compare=False)
    refusal: Refusal | None = None
    note: str = ""
    by: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"


OPTIONS: list[Option] = []


def served(
    kind: str,
    *names: str,
    passes: str,
    fails: str,
    refusal: Refusal | None = None,
    note: str = "",
) -> Callable[[Proof], Proof]:
    """Registers a proof for options that it shows all of."""
    assert kind in KINDS

    def register(proof: Proof) -> Proof:
        OPTIONS.extend(Option(kind, one, passes, fails, proof, refusal, note) for one in names)
        return proof

    return register


def unserved(kind: str, *names: str, refusal: Refusal, note: str) -> None:
    """Registers options that are refused by name whatever else is asked for; `note` says why."""
    assert kind in KINDS
    OPTIONS.extend(Option(kind, name, refusal=refusal, note=note) for name in names)


def by_kernel(kind: str, *names: str, passes: str, fails: str, by: str, refusal: Refusal) -> None:
    """Registers options of UDP and SCTP, shown by a test of test_lvs_traffic."""
    assert kind in KINDS
    OPTIONS.extend(
        Option(kind, name, passes, fails, None, refusal, NEEDS_IP_VS, f"{_TRAFFIC}::{by}")
        for name in names
    )


_TRAFFIC = "tests/integration/octavia/test_lvs_traffic.py"

NEEDS_IP_VS = (
    "UDP and SCTP need IP_VS in the kernel of the load balancer's device; where the operator does"
    " not say that it is there ([octavia] ip_vs) they are refused by name"
)
