"""An agent's own view of its UDP and SCTP listeners, read beside it."""

from __future__ import annotations

from pathlib import Path

from libra_amphora.lvs import LvsListeners
from libra_amphora.namespace import Namespace
from tests.support import need
from tests.support.amphora import Amphora


def listeners_of(agent: Amphora, namespace: str) -> LvsListeners:
    """All of them; keepalived runs already, so nothing is started."""
    found = LvsListeners(
        program=Path(need.program("keepalived")),
        namespace=Namespace(namespace),
        run_dir=agent.run_dir,
        state_dir=agent.state_dir,
        script_user=("root", "root"),
        forward=lambda *_: None,
    )
    found.open()
    return found
