"""What is said of a load balancer: its listeners, pools and members, truly. Pure.

Listeners are known by their frontends' names, pools and members by those of backends and servers;
`<pool>:<listener>` is how Octavia calls a backend. A text whose frontends have other names is one
listener, by the id under which it was uploaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from libra_amphora.snapshot import Listener, Member, Pool, Traffic
from libra_haproxy.text import Section, Text, is_listener, kind
from libra_haproxy.text_stat import Row, Stat

ACTIVE = "ACTIVE"
STOPPED = "STOPPED"
ERROR = "ERROR"

_SERVING = ("OPEN", "FULL")
_INTERNAL = "prometheus"


@dataclass(frozen=True, kw_only=True)
class View:
    """What is known of one load balancer at one moment.

    `should_run` is what is wanted; `stat` is None where HAProxy does not answer. `traffic` gives
    what went through a frontend, by its name.
    """

    id: str
    text: Text
    should_run: bool
    stat: Stat | None
    traffic: Callable[[str], Traffic] = lambda _: Traffic()


def listeners(view: View) -> dict[str, Section]:
    """The listeners of a load balancer by their ids."""
    ours = [s for s in view.text.frontends if _INTERNAL not in s.name]
    named = {s.name: s for s in ours if is_listener(s)}
    if not named and ours:
        return {view.id: ours[0]}
    return named


def status(view: View, frontend: Section) -> str:
    """ACTIVE, STOPPED or ERROR."""
    if not view.should_run:
        return STOPPED
    if frontend.has("disabled"):
        return STOPPED
    return ACTIVE if _word(view, frontend) in _SERVING else ERROR


def listener(view: View, id_: str, frontend: Section) -> Listener:
    """One listener for a snapshot."""
    return Listener(
        id=id_,
        loadbalancer_id=view.id,
        type=kind(view.text, frontend),
        status=_word(view, frontend),
        traffic=view.traffic(frontend.name),
    )


def pools(view: View) -> list[Pool]:
    """The pools of a load balancer, as each listener uses them."""
    found = []
    for backend in view.text.backends:
        if _INTERNAL in backend.name:
            continue
        id_, _, listener_id = backend.name.partition(":")
        row = _row(view.stat.backends if view.stat else {}, backend.name)
        found.append(
            Pool(
                id=id_,
                listener_id=listener_id,
                backend=backend.name,
                status="UP" if row.get("status", "").startswith("UP") else "DOWN",
                members=tuple(
                    Member(id=words[0], status=_member(view, backend.name, words[0]))
                    for words in backend.values("server")
                    if words
                ),
            )
        )
    return found


def details(view: View, id_: str, frontend: Section) -> dict[str, object]:
    """One listener's status with its pools and members, as v0.1 gives it."""
    return {
        "status": status(view, frontend),
        "uuid": id_,
        "type": kind(view.text, frontend),
        "pools": [
            pool_details(pool) for pool in pools(view) if pool.backend in _used(view.text, frontend)
        ],
    }


def pool_details(pool: Pool) -> dict[str, object]:
    """A pool and its members, as v0.1 gives it."""
    return {
        "uuid": pool.id,
        "status": _pool(pool),
        "members": [{member.id: _up(member.status)} for member in pool.members],
    }


def _used(text: Text, frontend: Section) -> set[str]:
    """The backends that a frontend sends to."""
    used = {
        words[0]
        for keyword in ("default_backend", "use_backend")
        for words in frontend.values(keyword)
        if words
    }
    if frontend.keyword == "listen":
        used.add(frontend.name)
    return used | {s.name for s in text.backends if s.name.endswith(f":{frontend.name}") and s.name}


def _pool(pool: Pool) -> str:
    up = [_up(member.status) == "UP" for member in pool.members]
    if pool.status != "UP":
        return "DOWN"
    return "UP" if all(up) else "DEGRADED"


def _up(word: str) -> str:
    return "UP" if word.startswith(("UP", "no check", "DRAIN")) else "DOWN"


def _member(view: View, backend: str, name: str) -> str:
    row = view.stat.servers.get((backend, name)) if view.stat else None
    if row is None:
        return "DOWN"
    word = row.get("status", "")
    # Up, and gets nothing new: HAProxy itself calls only a server DRAIN that was told so.
    return "DRAIN" if word.startswith("UP") and row.get("weight") == "0" else word


def _word(view: View, frontend: Section) -> str:
    if not view.should_run:
        return ""
    return _row(view.stat.frontends if view.stat else {}, frontend.name).get("status", "")


def _row(rows: Mapping[str, Row], name: str) -> Row:
    return rows.get(name, {})
