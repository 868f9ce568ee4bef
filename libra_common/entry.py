"""How the command of a daemon begins: by its settings, or by what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from libra_common.complaint import complain
from libra_common.daemon import Daemon
from libra_common.errors import LibraError

Given = TypeVar("Given")
_Taken = TypeVar("_Taken", contravariant=True)


class MakesDaemon(Protocol[_Taken]):
    """What a daemon is made by; `reread` gives the settings anew at SIGHUP."""

    def __call__(self, *, settings: _Taken, reread: Callable[[], _Taken]) -> Daemon:
        """Make it, and start nothing yet."""


def live(prog: str, *, read: Callable[[], Given], make: MakesDaemon[Given]) -> int:
    """Read the settings of the command `prog` and live as the daemon that is made of them.

    Returns the exit code; settings that cannot be used are told on standard error.
    """
    try:
        settings = read()
    except LibraError as error:
        return complain(prog, error)
    return make(settings=settings, reread=read).main()
