"""The certificates of load balancers."""

from __future__ import annotations

from collections.abc import Iterable

from libra_amphora.api.balancers import no_such_object
from libra_amphora.api.base import PEM_BYTES, V01, V1, Answer, Call, Raw, Refused, Route, ok
from libra_amphora.balancers import Balancers
from libra_amphora.certificates import BadName, Certificates
from libra_amphora.pem import BadPem

_PATHS = (
    (V1, "/loadbalancer/{loadbalancer_id}/certificates/{filename}"),
    (V01, "/listeners/{listener_id}/certificates/{filename}"),
)


class CertificatesApi:
    """Certificates come before the configuration that names them."""

    def __init__(self, *, balancers: Balancers, certificates: Certificates) -> None:
        self._balancers = balancers
        self._certificates = certificates

    def routes(self) -> Iterable[Route]:
        """PUT, GET and DELETE of one."""
        for version, path in _PATHS:
            yield Route(
                "PUT",
                path,
                self._put,
                summary="Keep a certificate for the next start or reload",
                body=Raw(limit=PEM_BYTES, kind="application/x-pem-file"),
                guarded=True,
                versions=(version,),
                absent=no_such_object,
                answers={
                    201: "kept",
                    400: "it is not what it should be",
                    404: "no thing can have this id",
                    503: "topology transition",
                },
            )
            yield Route(
                "GET",
                path,
                self._get,
                summary="The MD5 of a certificate's bytes as they were received",
                versions=(version,),
                absent=no_such_object,
                answers={200: "the sum", 404: "there is none"},
            )
            yield Route(
                "DELETE",
                path,
                self._delete,
                summary="Remove a certificate",
                guarded=True,
                versions=(version,),
                absent=no_such_object,
                answers={200: "gone", 404: "there was none", 503: "topology transition"},
            )

    def _put(self, call: Call) -> Answer:
        try:
            md5 = self._certificates.put(
                _id(call), call.params["filename"], call.body, strict=call.version == V01
            )
        except BadName as error:
            raise Refused(400, "Filename has wrong format", str(error)) from error
        except BadPem as error:
            raise Refused(400, error.message, error.details) from error
        return ok(201, headers={"ETag": md5})

    def _get(self, call: Call) -> Answer:
        id_, name = _id(call), call.params["filename"]
        try:
            md5 = self._certificates.md5(id_, name)
        except BadName:
            md5 = None
        if md5 is not None:
            return Answer(200, {"md5sum": md5}, {"ETag": md5})
        if self._balancers.find(id_) is None and not self._certificates.known(id_):
            raise no_such_object(call.version, id_)
        raise _no_such_certificate(name)

    def _delete(self, call: Call) -> Answer:
        name = call.params["filename"]
        try:
            there = self._certificates.delete(_id(call), name)
        except BadName:
            there = False
        if not there:
            raise _no_such_certificate(name)
        return ok()


def _no_such_certificate(name: str) -> Refused:
    return Refused(404, "Certificate Not Found", f"No certificate with file name: {name}")


def _id(call: Call) -> str:
    return call.params.get("loadbalancer_id") or call.params["listener_id"]
