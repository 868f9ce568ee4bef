"""Each answer of OpenStack's services, and each way to get none, has its stable code."""

from __future__ import annotations

import json
import logging

import pytest
import requests
from keystoneauth1 import exceptions as keystone
from novaclient import exceptions as nova
from openstack import exceptions as sdk

from libra_pool_mgm.clouds.errors import BadRequest, CloudError, CloudTimeout
from libra_pool_mgm.clouds.nova.failures import (
    Refusal,
    classify,
    explained,
    fault_is_for_room,
    refusal_of,
)


@pytest.mark.parametrize(
    ("status", "kind", "text", "code"),
    [
        (403, "", "Quota exceeded for instances: Requested 1, but already used 0 of 0", "quota"),
        (403, "", "Maximum number of ports exceeded", "quota"),
        (403, "", "Policy doesn't allow os_compute_api:servers:create to be performed.",
         "unauthorized"),
        (409, "OverQuota", "Quota exceeded for resources: ['floatingip'].", "quota"),
        (409, "IpAddressGenerationFailure", "No more IP addresses available", "capacity"),
        (409, "FloatingIPPortAlreadyAssociated", "Cannot associate", "conflict"),
        (409, "", "Cannot 'reboot' instance while it is in task_state deleting", "conflict"),
        (404, "ExternalGatewayForFloatingIPNotFound", "External network is not reachable",
         "bad_request"),
        (404, "PortNotFound", "Port could not be found.", "not_found"),
        (400, "", "Can not find requested image", "bad_request"),
        (401, "", "The request you have made requires authentication.", "unauthorized"),
        (413, "", "Too large", "quota"),
        (429, "", "Slow down", "cloud_unavailable"),
        (500, "", "Unexpected API Error.", "cloud_unavailable"),
        (502, "", "", "cloud_unavailable"),
        (503, "", "Service Unavailable", "cloud_unavailable"),
        (504, "", "", "timeout"),
    ],
)  # fmt: skip
def test_each_answer_of_a_service_has_its_code(
    status: int, kind: str, text: str, code: str
) -> None:
    assert classify(Refusal(status=status, kind=kind, text=text)).code == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (keystone.ConnectTimeout("Request to http://nova timed out"), "timeout"),
        (requests.exceptions.ReadTimeout("read timed out"), "timeout"),
        (keystone.ConnectFailure("Unable to establish connection"), "cloud_unavailable"),
        (keystone.EndpointNotFound("no compute endpoint"), "cloud_unavailable"),
        (keystone.Unauthorized("wrong"), "unauthorized"),
        (keystone.ServiceUnavailable("away"), "cloud_unavailable"),
        (sdk.SDKException("something"), "cloud_unavailable"),
        (sdk.ServiceDiscoveryException("no version"), "cloud_unavailable"),
        (nova.Forbidden(403, message="Quota exceeded for cores"), "quota"),
        (nova.NotFound(404, message="Instance x could not be found."), "not_found"),
        (nova.UnsupportedVersion("2.1"), "cloud_unavailable"),
    ],
)
def test_each_exception_of_the_three_clients_becomes_an_error_of_ours(
    error: Exception, code: str
) -> None:
    # When a client raises it
    with pytest.raises(CloudError) as caught, explained("server lb-1"):
        raise error

    # Then the code is the stable one, and the text says what was tried
    assert caught.value.code == code
    assert str(caught.value).startswith("server lb-1: ")


def test_what_is_no_fault_of_the_cloud_is_left_alone() -> None:
    with pytest.raises(ZeroDivisionError), explained("server lb-1"):
        raise ZeroDivisionError

    with pytest.raises(BadRequest, match="as it was"), explained("server lb-1"):
        raise BadRequest("as it was")


def test_neutron_s_own_name_of_a_fault_is_read_from_its_answer() -> None:
    # Given neutron's answer as openstacksdk hands it over
    response = requests.Response()
    response.status_code = 409
    response.headers["x-openstack-request-id"] = "req-1"
    response.headers["Content-Type"] = "application/json"
    response._content = json.dumps(
        {"NeutronError": {"type": "OverQuota", "message": "Quota\nexceeded", "detail": ""}}
    ).encode()

    # When it is read
    refusal = refusal_of(sdk.ConflictException(response=response))

    # Then type, text (on one line) and request id are there
    assert refusal == Refusal(
        status=409, kind="OverQuota", text="Quota exceeded", request_id="req-1"
    )


def test_the_request_id_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(CloudError),
        explained("server lb-1"),
    ):
        raise nova.ClientException(500, message="Unexpected API Error.", request_id="req-77")

    assert "req-77" in caplog.text


def test_a_fault_for_want_of_room_is_told_from_a_build_that_failed() -> None:
    assert fault_is_for_room("No valid host was found. ")
    assert not fault_is_for_room("Exceeded maximum number of retries. Exhausted all hosts")


def test_the_innards_of_the_http_library_are_no_reason() -> None:
    error = keystone.ConnectFailure(
        "Unable to establish connection to http://nova: HTTPConnectionPool(host='nova'): Max"
    )
    assert refusal_of(error).text == "Unable to establish connection to http://nova"


def test_a_timeout_is_said_to_leave_open_whether_it_was_done() -> None:
    with pytest.raises(CloudTimeout), explained("server lb-1"):
        raise keystone.ConnectTimeout("timed out")
