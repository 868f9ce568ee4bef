"""From the target of a request to its route; only slashes are folded. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from libra_amphora.api.base import PARAMETERS, PREFIXES, UNVERSIONED, V1, Refused, Route

_LONGEST = 2048


@dataclass(frozen=True, kw_only=True)
class Found:
    """A route, the version of the API by which it was asked for, and its parameters."""

    route: Route
    version: str
    params: Mapping[str, str]


class NoSuchMethod(Refused):
    """The path is there, the method is not; `allowed` are those that are."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self.allowed = ", ".join(sorted(allowed))
        super().__init__(405, "Method Not Allowed", f"allowed: {self.allowed}")


class Router:
    """All routes, found by method and path."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._shapes: dict[tuple[str, int], list[tuple[tuple[str, ...], Route]]] = {}
        for route in routes:
            parts = tuple(part for part in route.path.split("/") if part)
            for version in route.versions:
                self._shapes.setdefault((version, len(parts)), []).append((parts, route))
        for candidates in self._shapes.values():
            # What is named is nearer than what is any word.
            candidates.sort(key=lambda one: [part.startswith("{") for part in one[0]])

    def find(self, method: str, target: str) -> Found:
        """The route for a method and the target of a request line.

        Raises Refused: 404 for a path that is none, 405, or 400 for a part that cannot be.
        """
        parts = _parts(target)
        version = PREFIXES.get(parts[0], UNVERSIONED) if parts else UNVERSIONED
        rest = parts if version == UNVERSIONED else parts[1:]
        matching = [
            (shape, route)
            for shape, route in self._shapes.get((version, len(rest)), ())
            if all(a == b or a.startswith("{") for a, b in zip(shape, rest, strict=True))
        ]
        if not matching:
            raise Refused(404, "Not Found", "there is nothing at this path")
        for shape, route in matching:
            if route.method == method:
                given = {a[1:-1]: b for a, b in zip(shape, rest, strict=True) if a[0] == "{"}
                version = V1 if version == UNVERSIONED else version
                return Found(route=route, version=version, params=_checked(route, version, given))
        raise NoSuchMethod({route.method for _, route in matching})


def _parts(target: str) -> list[str]:
    """The parts of a path, percent-decoded one by one, so that none can bring a slash along."""
    path = target.partition("?")[0].partition("#")[0]
    if not path.startswith("/"):
        # The absolute form that proxies are sent: scheme and authority come first.
        _, authority, path = path.partition("://")
        if not authority:
            raise Refused(404, "Not Found", "there is nothing at this path")
        path = "/" + path.partition("/")[2]
    if len(path) > _LONGEST:
        raise Refused(404, "Not Found", "the path is too long")
    try:
        return [unquote(part, errors="strict") for part in path.split("/") if part]
    except UnicodeDecodeError:
        raise Refused(400, "Invalid request", "the path is not UTF-8") from None


def _checked(route: Route, version: str, given: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, text in given.items():
        try:
            found[name] = PARAMETERS[name](text)
        except ValueError as reason:
            if route.absent is not None and name.endswith("_id") and text.isprintable():
                raise route.absent(version, text[:128]) from None
            raise Refused(400, "Invalid request", f"{name} {reason}") from None
    return found
