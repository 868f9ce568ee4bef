"""The agent itself: its own certificate and its settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from libra_amphora import tls
from libra_amphora.api.base import JSON_BYTES, PEM_BYTES, V01, Answer, Call, Raw, Refused, Route, ok
from libra_amphora.mutable import MutableSettings
from libra_amphora.pem import BadPem
from libra_amphora.tls import BadServerCertificate
from libra_common.errors import LibraError


class AgentApi:
    """`install` brings a checked certificate into force for new connections."""

    def __init__(self, *, settings: MutableSettings, install: Callable[[bytes], None]) -> None:
        self._settings = settings
        self._install = install

    def routes(self) -> Iterable[Route]:
        """PUT of both; the documents spell the certificate's path in two ways."""
        for path in ("/certificate", "/certificates"):
            yield Route(
                "PUT",
                path,
                self._certificate,
                summary="Replace the agent's own certificate",
                body=Raw(limit=PEM_BYTES, kind="application/x-pem-file"),
                answers={202: "in force for new connections", 400: "it cannot be used"},
            )
        yield Route(
            "PUT",
            "/config",
            self._config,
            summary="Change the settings that may change while the agent runs",
            body=Raw(limit=JSON_BYTES),
            answers={202: "in force", 500: "nothing was changed, and why"},
        )

    def _certificate(self, call: Call) -> Answer:
        try:
            tls.checked(call.body, strict=call.version == V01)
            self._install(call.body)
        except BadPem as error:
            raise Refused(400, error.message, error.details) from error
        except BadServerCertificate as error:
            raise Refused(400, "Certificate cannot be used", str(error)) from error
        return ok(202)

    def _config(self, call: Call) -> Answer:
        try:
            self._settings.update(call.body)
        except LibraError as error:
            raise Refused(
                500, "Unable to update amphora-agent configuration.", str(error)
            ) from error
        return ok(202)
