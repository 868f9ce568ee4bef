"""Options of L7 policies."""

from __future__ import annotations

from typing import Any

from tests.support.options.registry import Refusal, served
from tests.support.options.stage import Stage

KIND = "L7 policy"
CODES = (301, 302, 303, 307, 308)


def path(value: str, compare: str = "STARTS_WITH", **fields: Any) -> dict[str, Any]:
    """A rule about the path."""
    return {"type": "PATH", "compare_type": compare, "value": value, **fields}


def policy(action: str, *rules: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"action": action, "rules": list(rules), **fields}


def serve(stage: Stage, *policies: dict[str, Any], **behind: Any) -> None:
    """A listener whose pool is `default`, beside one that is `other`."""
    pools = [
        {
            "name": name,
            "protocol": "HTTP",
            "lb_algorithm": "ROUND_ROBIN",
            "members": [stage.member(stage.web(name))],
            **(behind if name == "other" else {}),
        }
        for name in ("default", "other")
    ]
    front = {
        "protocol": "HTTP",
        "protocol_port": stage.port,
        "default_pool": {"name": "default"},
        "l7policies": list(policies),
    }
    stage.serve({"listeners": [front], "pools": pools})


@served(
    KIND,
    "action REDIRECT_TO_POOL",
    "redirect_pool_id",
    passes="a request that matches: served by the other pool",
    fails="one that does not match, or whose pool is down: the default pool's",
    refusal=Refusal({"action": "REDIRECT_TO_POOL", "redirect_pool_id": "nothing"}, by="Octavia"),
)
def redirect_to_pool(stage: Stage) -> None:
    to_other = policy("REDIRECT_TO_POOL", path("/other"), redirect_pool={"name": "other"})
    serve(stage, to_other)
    assert stage.get("/other/x").body == b"other"
    assert stage.get("/").body == b"default"
    serve(stage, to_other, admin_state_up=False)
    assert stage.get("/other/x").body == b"default"


@served(
    KIND,
    "action REDIRECT_TO_URL",
    "redirect_url",
    passes="a request that matches: sent to the address, byte for byte",
    fails="one that does not match: the default pool's",
    refusal=Refusal(
        {"action": "REDIRECT_TO_URL", "redirect_url": "http://www.example.org/map(1)"},
        "redirect_url",
    ),
)
def redirect_to_url(stage: Stage) -> None:
    urls = (
        "https://www.example.org/a%20b?x=%41&y='$1'#fragment",
        "http://[2001:db8::1]:8080/~a;b=(c),*!",
        "http://www.example.org/$HOME%5Benv(HOME)%5D",
    )
    serve(
        stage,
        *(
            policy("REDIRECT_TO_URL", path(f"/go{number}"), redirect_url=url)
            for number, url in enumerate(urls)
        ),
    )
    for number, url in enumerate(urls):
        found = stage.get(f"/go{number}/away?q=1")
        assert (found.status, found.headers["Location"]) == (302, url)
    assert stage.get("/stay").body == b"default"


@served(
    KIND,
    "action REDIRECT_PREFIX",
    "redirect_prefix",
    passes="a request that matches: sent to the same path behind the prefix",
    fails="one that does not match: the default pool's",
    refusal=Refusal(
        {"action": "REDIRECT_PREFIX", "redirect_prefix": "http://www.example.org/map(1)"},
        "redirect_prefix",
    ),
)
def redirect_prefix(stage: Stage) -> None:
    prefix = "https://new.example.org/b%20c"
    serve(stage, policy("REDIRECT_PREFIX", path("/go"), redirect_prefix=prefix))
    found = stage.get("/go/x%20y?q='1'")
    assert (found.status, found.headers["Location"]) == (302, f"{prefix}/go/x%20y?q='1'")
    assert stage.get("/stay").body == b"default"


@served(
    KIND,
    "action REJECT",
    passes="a request that does not match",
    fails="one that matches: 403",
    refusal=Refusal({"action": "REGRET"}, by="Octavia"),
)
def reject(stage: Stage) -> None:
    serve(stage, policy("REJECT", path("/private")))
    assert stage.get("/private/x").status == 403
    assert stage.get("/public").body == b"default"


@served(
    KIND,
    "redirect_http_code",
    passes="a request that matches: sent away by each of the five codes",
    fails="one that does not match: the default pool's",
    refusal=Refusal(
        {"action": "REDIRECT_TO_URL", "redirect_url": "http://a.org/", "redirect_http_code": 304},
        by="Octavia",
    ),
)
def redirect_http_code(stage: Stage) -> None:
    away = "http://www.example.org/"
    both = [
        policy("REDIRECT_TO_URL", path(f"/{code}"), redirect_url=away, redirect_http_code=code)
        for code in CODES
    ] + [
        policy("REDIRECT_PREFIX", path(f"/p{code}"), redirect_prefix=away, redirect_http_code=code)
        for code in CODES
    ]
    serve(stage, *both)
    for code in CODES:
        assert stage.get(f"/{code}").status == code
        assert stage.get(f"/p{code}").status == code
    assert stage.get("/300").body == b"default"


@served(
    KIND,
    "position",
    passes="a request that two policies match: the first one's",
    fails="the later one's; of different actions REJECT is first, REDIRECT_TO_POOL last",
    refusal=Refusal({"action": "REJECT", "position": 0}, by="Octavia"),
)
def position(stage: Stage) -> None:
    def away(name: str) -> dict[str, Any]:
        return policy("REDIRECT_TO_URL", path("/x"), redirect_url=f"http://{name}.org/")

    serve(stage, away("first"), away("second"))
    assert stage.get("/x").headers["Location"] == "http://first.org/"
    serve(stage, away("second"), away("first"))
    assert stage.get("/x").headers["Location"] == "http://second.org/"
    to_other = policy("REDIRECT_TO_POOL", path("/"), redirect_pool={"name": "other"})
    serve(stage, to_other, away("first"), policy("REJECT", path("/x/no")))
    assert stage.get("/x").headers["Location"] == "http://first.org/"
    assert stage.get("/x/no").status == 403
    assert stage.get("/y").body == b"other"


@served(
    KIND,
    "admin_state_up",
    "rules",
    passes="a request that matches a policy that is up",
    fails="one that matches a policy that is down or has no rule: the default pool's",
)
def admin_state_up(stage: Stage) -> None:
    serve(stage, policy("REJECT", path("/x"), path("/x/y")))
    assert stage.get("/x/y").status == 403
    assert stage.get("/x").body == b"default"  # one of two rules is not enough
    serve(stage, policy("REJECT", path("/x"), admin_state_up=False), policy("REJECT"))
    assert stage.get("/x/y").body == b"default"
