"""Runs one of Swift's own servers: `python -m tests.support.swift_server proxy|account|... FILE`.

Beside it stands what takes memcached's place: a cache within the proxy, which is one process.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Cache:
    """The part of Swift's memcache client that its proxy uses."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Any, float]] = {}

    def get(self, key: str, **_: object) -> Any:
        value, until = self._kept.get(key, (None, 0.0))
        return value if time.time() < until else None

    def set(self, key: str, value: Any, time: float = 0, **_: object) -> None:
        self._kept[key] = (value, _end(time))

    def delete(self, key: str, **_: object) -> None:
        self._kept.pop(key, None)

    def incr(self, key: str, delta: int = 1, time: float = 0, **_: object) -> int:
        total = int(self.get(key) or 0) + delta
        self.set(key, total, time)
        return total


def cache_filter(_: dict[str, Any], **__: Any) -> Callable[[Application], Application]:
    """Made by paste from the proxy's file."""
    cache = Cache()

    def around(application: Application) -> Application:
        def serve(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
            environ["swift.cache"] = cache
            return application(environ, start)

        return serve

    return around


def _end(seconds: float) -> float:
    return time.time() + seconds if seconds else float("inf")


def main(kind: str, config: str) -> int:
    from swift.common.utils import set_swift_dir
    from swift.common.wsgi import run_wsgi

    set_swift_dir(str(Path(config).parent))
    return int(run_wsgi(config, f"{kind}-server"))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
