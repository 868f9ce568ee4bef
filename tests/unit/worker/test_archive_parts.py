"""The pure parts of an archive: packing, parts, names, and what a store's errors mean."""

from __future__ import annotations

import gzip
import hashlib
import io
import ssl
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from swiftclient.exceptions import ClientException

from libra_messages.faults import Malformed
from libra_messages.worker import Archive, parse
from libra_worker.archive.base import StoreTimeout, StoreTypeUnknown
from libra_worker.archive.destination import destination_of, prefix
from libra_worker.archive.packing import Packed, parts
from libra_worker.archive.stores import refuse_unknown
from libra_worker.archive.swift_errors import meaning_of

SECRET = "gAAAAAtoken"  # noqa: S105 - nobody's


def archive(**change: Any) -> Archive:
    message = {
        "hpcs_action": "ARCHIVE",
        "hpcs_object_store_type": "swift",
        "hpcs_object_store_basepath": "logs",
        "hpcs_object_store_endpoint": "https://swift.example/v1/AUTH_1/",
        "hpcs_object_store_token": SECRET,
        "loadbalancers": [{"protocol": "HTTP"}],
    }
    request = parse({**message, **change}, max_nodes=1)
    assert isinstance(request, Archive)
    return request


def packed(data: bytes, start: int = 0, length: int | None = None) -> Packed:
    return Packed(
        io.BytesIO(data),
        start=start,
        length=len(data) if length is None else length,
        progress=lambda: None,
    )


@given(st.lists(st.binary(max_size=300), max_size=30), st.integers(1, 700))
def test_the_parts_of_a_log_read_as_one_file(lines: list[bytes], most: int) -> None:
    # Given a log and a size of parts / When each part is packed and they are put in a row
    log = b"".join(line.replace(b"\n", b"") + b"\n" for line in lines)
    found, counted = b"", 0
    for start, length in parts(len(log), most=most):
        one = packed(log, start, length)
        data = b"".join(one)
        assert one.checksum == hashlib.md5(data, usedforsecurity=False).hexdigest()
        assert one.size == len(data)
        found, counted = found + data, counted + one.lines
    # Then it is the log, and no line was counted twice
    assert gzip.decompress(found) == log
    assert counted == len(lines)


@given(st.integers(0, 10**13), st.integers(1, 10**10))
def test_no_log_has_more_parts_than_a_store_takes(size: int, most: int) -> None:
    most = max(most, size // 5000)
    found = parts(size, most=most)
    assert sum(length for _, length in found) == size
    assert len(found) <= 1000
    assert size > most or len(found) == 1


def test_the_same_log_is_packed_into_the_same_bytes() -> None:
    # Since an upload that is repeated must replace the object by its like
    log = b"line\n" * 100_000
    assert list(packed(log)) == list(packed(log))


def test_packing_stops_when_the_time_is_up() -> None:
    def up() -> None:
        raise StoreTimeout("up")

    with pytest.raises(StoreTimeout):
        list(Packed(io.BytesIO(b"x" * 10**6), start=0, length=10**6, progress=up))


@pytest.mark.parametrize(
    ("label", "name"),
    [
        (None, "HTTP"),
        ("", "HTTP"),
        (15, "15"),
        ("15", "15"),
        ("a-b_c.d", "a-b_c.d"),
        ("a/b", "a%2Fb"),
        ("..", "%2E%2E"),
        (".hidden", "%2Ehidden"),
        ("lb #1", "lb%20%231"),
        ("ü", "%C3%BC"),
        ("\ud800", "%3F"),
    ],
)
def test_an_id_names_objects_and_leads_nowhere_else(label: str | int | None, name: str) -> None:
    assert prefix(label, "HTTP") == name


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("endpoint", "http://swift.example/v1/x"),
        ("endpoint", "https:///v1/x"),
        ("endpoint", "https://swift.example:99999/v1"),
        ("endpoint", "https://swift.example:x/v1"),
        ("endpoint", "https://user:word@swift.example/v1"),
        ("endpoint", "https://swift.example/v1?a=b"),
        ("endpoint", "https://swift.example/v1#a"),
        ("endpoint", "https://swift.example/v 1"),
        ("endpoint", "https://[::1/v1"),
        ("endpoint", "file:///etc/passwd"),
        ("basepath", "a/b"),
        ("basepath", "."),
        ("basepath", "a\nb"),
        ("basepath", "x" * 257),
        ("basepath", "\ud800"),
        ("token", "a\r\nX-Other: b"),
        ("token", "two words"),
        ("token", "ü"),
    ],
)
def test_a_bad_destination_is_refused_by_its_field(field: str, value: str) -> None:
    name = f"hpcs_object_store_{field}"
    with pytest.raises(Malformed) as refused:
        destination_of(archive(**{name: value}), allow_http=False)
    assert [fault.path for fault in refused.value.faults] == [name]
    assert field != "token" or value not in str(refused.value)


def test_a_token_is_not_shown_by_what_holds_it() -> None:
    destination = destination_of(archive(), allow_http=False)
    assert destination.endpoint == "https://swift.example/v1/AUTH_1"
    assert SECRET not in repr(destination)


def test_an_unknown_store_is_refused_by_name() -> None:
    refuse_unknown("SWIFT")
    with pytest.raises(StoreTypeUnknown, match="'s3'"):
        refuse_unknown("s3")


def nested(*errors: BaseException) -> Exception:
    """Errors, each in the arguments of the next, as the libraries nest them."""
    inner = errors[0]
    for outer in errors[1:]:
        outer.args = (*outer.args, inner)
        inner = outer
    assert isinstance(inner, Exception)
    return inner


def status(number: int, **headers: str) -> ClientException:
    return ClientException(
        f"PUT failed {SECRET}",
        http_host="h",
        http_status=number,
        http_reason=SECRET,
        http_response_content=SECRET.encode(),
        http_response_headers={"X-Auth-Token": SECRET, **headers},
    )


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (status(401), "store_unauthorized", "identity service"),
        (status(403), "store_forbidden", "403 Forbidden"),
        (status(413), "store_full", "quota"),
        (status(507), "store_full", "507 Insufficient Storage"),
        (status(504), "store_timeout", "504"),
        (status(503, **{"X-Trans-Id": "tx1-2"}), "store_error", "transaction tx1-2"),
        (status(599), "store_error", "answered 599"),
        (ClientException(SECRET), "store_error", "no answer"),
        (requests.ReadTimeout(SECRET), "store_timeout", "in time"),
        (
            nested(TimeoutError("timed out"), requests.ConnectionError(SECRET)),
            "store_timeout",
            "in time",
        ),
        (
            nested(ConnectionRefusedError(111, "Connection refused"), requests.ConnectionError()),
            "store_unreachable",
            "Connection refused",
        ),
        (requests.ConnectionError(SECRET), "store_unreachable", "cut"),
        (requests.TooManyRedirects(SECRET), "store_error", "elsewhere"),
        (requests.exceptions.SSLError(SECRET), "store_untrusted", "TLS"),
    ],
)
def test_each_failure_of_a_store_is_told_in_words_without_its_secrets(
    error: Exception, code: str, words: str
) -> None:
    meant = meaning_of(error, "PUT of logs/x")
    assert meant.code == code
    assert words in str(meant)
    assert SECRET not in str(meant)


def test_a_certificate_that_is_not_trusted_is_told_with_its_reason() -> None:
    bad = ssl.SSLCertVerificationError(1, "x")
    bad.verify_message = "self-signed certificate"
    meant = meaning_of(nested(bad, requests.exceptions.SSLError()), "HEAD of logs")
    assert (meant.code, "self-signed certificate" in str(meant)) == ("store_untrusted", True)
