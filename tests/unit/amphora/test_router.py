"""From a request's target to a route."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_amphora.api.base import UNVERSIONED, V01, V1, Answer, Call, Refused, Route
from libra_amphora.router import NoSuchMethod, Router

ID = "85e2111b-29c4-44be-94f3-e72045805801"


def nothing(call: Call) -> Answer:
    return Answer(200, dict(call.params))


def not_found(version: str, id_: str) -> Refused:
    return Refused(404, "Not here", f"{version} {id_}")


ROUTER = Router(
    [
        Route("GET", "/", nothing, versions=(UNVERSIONED,)),
        Route("GET", "/info", nothing, versions=(UNVERSIONED, V1, V01)),
        Route("PUT", "/vrrp/upload", nothing, summary="upload"),
        Route("PUT", "/vrrp/{action}", nothing, summary="action"),
        Route("GET", "/listeners/{listener_id}", nothing, absent=not_found),
        Route("DELETE", "/listeners/{listener_id}", nothing),
        Route("GET", "/things/{listener_id}/{filename}", nothing, versions=(V1,)),
    ]
)


@pytest.mark.parametrize("target", ["/", "//", "///", "/?a=b", "https://node:9443/"])
def test_slashes_are_folded(target: str) -> None:
    assert ROUTER.find("GET", target).route.path == "/"


@pytest.mark.parametrize(
    ("target", "version"),
    [
        ("/info", V1),
        ("/info/", V1),
        ("/1.0/info", V1),
        ("/1.0//info///", V1),
        ("/v0.1/info", V01),
        ("https://node/v0.1/info#x", V01),
    ],
)
def test_version_is_the_one_of_the_path(target: str, version: str) -> None:
    assert ROUTER.find("GET", target).version == version


def test_named_path_is_nearer_than_any_word() -> None:
    assert ROUTER.find("PUT", "/1.0/vrrp/upload").route.summary == "upload"
    assert ROUTER.find("PUT", "/1.0/vrrp/uploads").route.summary == "action"


@pytest.mark.parametrize(
    "target", ["/1.0", "/2.0/info", "/v1.0/info", "/1.0/", "/v0.1/things/x/y", "/a" * 2000, "*"]
)
def test_path_that_is_none_is_404(target: str) -> None:
    with pytest.raises(Refused) as refused:
        ROUTER.find("GET", target)
    assert refused.value.status == 404


def test_method_that_is_none_is_405_and_those_that_are_are_named() -> None:
    with pytest.raises(NoSuchMethod) as refused:
        ROUTER.find("POST", f"/1.0/listeners/{ID}")
    assert (refused.value.status, refused.value.allowed) == (405, "DELETE, GET")


def test_id_is_checked_and_the_route_says_how_an_impossible_one_is_answered() -> None:
    assert ROUTER.find("GET", f"/1.0/listeners/{ID.upper()}").params == {"listener_id": ID}
    with pytest.raises(Refused) as absent:
        ROUTER.find("GET", "/v0.1/listeners/..")
    assert (absent.value.status, absent.value.body["details"]) == (404, "0.1 ..")
    with pytest.raises(Refused) as bad:
        ROUTER.find("DELETE", "/1.0/listeners/x")
    assert (bad.value.status, bad.value.body["details"]) == (400, "listener_id is not a UUID")


@pytest.mark.parametrize("bad", ["%00", "%0a", "%ff", "x" * 200])
def test_part_of_a_path_that_cannot_be_printed_or_is_too_long_is_400(bad: str) -> None:
    with pytest.raises(Refused) as refused:
        ROUTER.find("GET", f"/1.0/things/{ID}/{bad}")
    assert refused.value.status == 400


def test_escaped_slash_stays_in_its_part() -> None:
    found = ROUTER.find("GET", f"/1.0/things/{ID}/..%2f..%2fetc")
    assert found.params["filename"] == "../../etc"


@given(st.text(), st.sampled_from(["GET", "PUT", "DELETE", ""]))
def test_any_target_is_found_or_refused(target: str, method: str) -> None:
    statuses = {200}
    try:
        ROUTER.find(method, target)
    except Refused as refused:
        statuses = {refused.status}
    assert statuses <= {200, 400, 404, 405}
