"""Who gets in, what silent callers cost the others, and the agent's own certificate."""

from __future__ import annotations

import datetime
import http.client
import socket
import ssl
import statistics
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest
import trustme

from tests.support import folders
from tests.support.amphora import AMPHORA_ID, Amphora, Authorities
from tests.support.wait import until

SILENT = 400


@pytest.fixture(scope="module")
def agent(authorities: Authorities) -> Iterator[Amphora]:
    with Amphora(folder=folders.folder(), authorities=authorities) as made:
        made.start()
        yield made


def refused(agent: Amphora, context: ssl.SSLContext) -> bool:
    """Whether a caller with this context gets nothing: with TLS 1.3 it learns so when it reads."""
    try:
        agent.call("GET", "/info", context=context)
    except (ssl.SSLError, OSError, http.client.HTTPException):
        return True
    return False


def test_caller_without_a_certificate_is_refused(agent: Amphora) -> None:
    assert refused(agent, agent.context(anonymous=True))


def test_caller_with_a_foreign_certificate_is_refused(agent: Amphora) -> None:
    leaf = agent.authorities.strangers.issue_cert("controller", common_name="controller")
    assert refused(agent, agent.context(leaf))


def test_caller_with_an_expired_certificate_is_refused(agent: Amphora) -> None:
    leaf = agent.authorities.controllers.issue_cert(
        "controller",
        common_name="controller",
        not_before=datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
        not_after=datetime.datetime(2021, 1, 1, tzinfo=datetime.UTC),
    )
    assert refused(agent, agent.context(leaf))


def test_caller_without_tls_is_refused(agent: Amphora) -> None:
    with socket.create_connection(("127.0.0.1", agent.port), 10) as connection:
        connection.sendall(b"GET /info HTTP/1.1\r\nHost: x\r\n\r\n")
        with suppress(ConnectionError):
            assert b"hostname" not in connection.recv(1000)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_of_tls_are_spoken_under_the_name_of_the_node(
    agent: Amphora, version: ssl.TLSVersion
) -> None:
    context = agent.context()
    context.minimum_version = context.maximum_version = version
    assert agent.call("GET", "/1.0/info", context=context).body["uuid"] == AMPHORA_ID


def test_older_tls_is_refused(agent: Amphora) -> None:
    context = agent.context()
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1_1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    assert refused(agent, context)


def test_verified_caller_whose_name_is_not_allowed_gets_401_as_json(
    authorities: Authorities,
) -> None:
    folder = folders.folder()
    with Amphora(folder=folder, authorities=authorities, allowed_names="controller") as agent:
        agent.start()
        other = authorities.controllers.issue_cert("other", common_name="other")

        reply = agent.call("PUT", "/1.0/config", b"", context=agent.context(other))

        assert reply.status == 401
        assert reply.body == {
            "message": "Unauthorized",
            "details": "other may not call this node",
        }
        assert agent.call("GET", "/info").status == 200


def test_socket_on_the_node_is_for_its_owner_alone(agent: Amphora) -> None:
    assert (agent.run_dir / "api.sock").stat().st_mode & 0o777 == 0o600
    assert agent.local("GET", "//").body == {"api_version": "1.0"}


def test_connection_is_kept_for_many_requests(agent: Amphora) -> None:
    connection = agent.connect()
    try:
        for _ in range(50):
            connection.request("GET", "/1.0/info")
            response = connection.getresponse()
            assert response.status == 200
            response.read()
            assert connection.sock is not None
    finally:
        connection.close()


def test_request_that_is_too_large_is_refused_unread(agent: Amphora) -> None:
    connection = agent.connect()
    try:
        connection.putrequest("PUT", "/1.0/certificate")
        connection.putheader("Content-Length", str(1 << 40))
        connection.endheaders()
        response = connection.getresponse()
        assert response.status == 413
        assert response.headers.get_content_type() == "application/json"
    finally:
        connection.close()


def test_what_is_no_http_gets_json_and_the_connection_is_closed(agent: Amphora) -> None:
    connection = agent.connect()
    try:
        assert connection.sock is not None
        connection.sock.sendall(b"NONSENSE\r\n\r\n")
        said = connection.sock.recv(65536)
        while chunk := connection.sock.recv(65536):
            said += chunk
        head, _, body = said.partition(b"\r\n\r\n")
        assert b" 400 " in head.split(b"\r\n")[0]
        assert body == b'{"message": "Invalid request"}'
    finally:
        connection.close()


@pytest.mark.slow
def test_silent_callers_cost_the_others_nothing(agent: Amphora) -> None:
    # Given callers that connect and never say a word, and more that stop in the middle
    with ExitStack() as stack:
        for number in range(SILENT):
            connection = stack.enter_context(
                socket.create_connection(("127.0.0.1", agent.port), 10)
            )
            if number % 2:
                connection.sendall(b"\x16\x03\x01")

        # When the node is asked who it is, by new connections and by kept ones
        times: list[float] = []
        context = agent.context()
        kept = stack.enter_context(_Closing(agent.connect()))
        for _ in range(100):
            began = time.perf_counter()
            kept.request("GET", "/1.0/info")
            assert kept.getresponse().read()
            times.append(time.perf_counter() - began)
        assert agent.call("GET", "/1.0/info", context=context).status == 200

        # Then answers come; how fast is a measurement and not a promise of this test
        p99 = statistics.quantiles(times, n=100)[98]
        print(f"GET info beside {SILENT} silent callers: p99 {p99 * 1000:.1f} ms")


@pytest.mark.slow
def test_silent_callers_are_cut_off_after_the_time_for_the_handshake(
    authorities: Authorities,
) -> None:
    with Amphora(folder=folders.folder(), authorities=authorities, handshake_timeout=1) as agent:
        agent.start()
        with (
            socket.create_connection(("127.0.0.1", agent.port), 10) as connection,
            suppress(ConnectionError),
        ):
            assert connection.recv(100) == b""


def test_certificate_is_replaced_for_new_connections_and_kept_ones_go_on(
    agent: Amphora,
) -> None:
    # Given a connection that is kept
    kept = agent.connect()
    before = _shown(agent)

    # When the certificate is replaced
    new = agent.authorities.server()
    assert agent.call("PUT", "/1.0/certificate", new).status == 202

    # Then new connections are shown the new one, and the file has it, for its owner alone
    assert _shown(agent) != before
    assert _shown(agent) == ssl.PEM_cert_to_DER_cert(_leaf(new))
    assert agent.certificate.read_bytes() == new
    assert agent.certificate.stat().st_mode & 0o777 == 0o600
    kept.request("GET", "/info")
    assert kept.getresponse().status == 200
    kept.close()


def test_certificate_that_cannot_be_used_leaves_the_old_one(agent: Amphora) -> None:
    authorities = agent.authorities
    good = authorities.server()
    assert agent.call("PUT", "/1.0/certificate", good).status == 202
    expired = authorities.agents.issue_cert(
        AMPHORA_ID,
        key_type=trustme.KeyType.RSA,
        not_before=datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
        not_after=datetime.datetime(2021, 1, 1, tzinfo=datetime.UTC),
    ).private_key_and_cert_chain_pem.bytes()
    for bad, message in (
        (b"", "No certificate found"),
        (expired, "Certificate has expired"),
        (good + authorities.strangers.cert_pem.bytes(), "Certificate chain is broken"),
    ):
        reply = agent.call("PUT", "/1.0/certificate", bad)
        assert (reply.status, reply.body["message"]) == (400, message)
        assert agent.certificate.read_bytes() == good
        assert _shown(agent) == ssl.PEM_cert_to_DER_cert(_leaf(good))


@pytest.mark.slow
def test_no_good_request_fails_while_the_certificate_is_replaced_a_hundred_times(
    agent: Amphora,
) -> None:
    # Given callers that connect anew all the time
    failures: list[str] = []
    done = [0]
    end = threading.Event()
    context = agent.context()

    def ask() -> None:
        while not end.is_set():
            try:
                assert agent.call("GET", "/1.0/info", context=context).status == 200
                done[0] += 1
            except (OSError, http.client.HTTPException, AssertionError) as error:
                failures.append(repr(error))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    certificates = [agent.authorities.server() for _ in range(4)]
    for thread in threads:
        thread.start()

    # When it is replaced a hundred times
    try:
        for number in range(100):
            body = certificates[number % len(certificates)]
            assert agent.call("PUT", "/1.0/certificate", body).status == 202
    finally:
        end.set()
        for thread in threads:
            thread.join(60)

    # Then no request failed
    assert not failures
    assert done[0] > 100


def test_certificate_that_was_replaced_in_its_file_is_taken_at_sighup(agent: Amphora) -> None:
    new = agent.authorities.server()
    agent.certificate.write_bytes(new)
    agent.reread()
    until(lambda: _shown(agent) == ssl.PEM_cert_to_DER_cert(_leaf(new)), "it is shown")


class _Closing:
    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection

    def __enter__(self) -> http.client.HTTPConnection:
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def _shown(agent: Amphora) -> bytes:
    connection = agent.connect()
    try:
        assert isinstance(connection.sock, ssl.SSLSocket)
        shown = connection.sock.getpeercert(binary_form=True)
        assert shown is not None
        return shown
    finally:
        connection.close()


def _leaf(pem: bytes) -> str:
    begin = pem.index(b"-----BEGIN CERTIFICATE-----")
    mark = b"-----END CERTIFICATE-----\n"
    return pem[begin : pem.index(mark) + len(mark)].decode()
