"""What goes wrong in the agent, one class a cause; `api.base.Refused` is how a caller sees it."""

from __future__ import annotations

from libra_common.errors import LibraError


class AmphoraError(LibraError):
    """The root of the agent's own errors."""


class TransitionInProgress(AmphoraError):
    """The topology is being changed; nothing else may be changed until that is done."""

    code = "topology_transition"

    def __init__(self) -> None:
        super().__init__("Topology transition in progress")
