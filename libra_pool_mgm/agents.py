"""Is what a message brings for a device's agent of any use: looked at before anything is built."""

from __future__ import annotations

import os
import ssl

from libra_messages.pool_agent import Agent
from libra_pool_mgm.clouds.base import AgentWish
from libra_pool_mgm.clouds.errors import BadRequest


def agent_wish(agent: Agent) -> AgentWish:
    """What the cloud is asked for.

    Raises BadRequest naming the field whose text OpenSSL does not take: a device with it would
    be built, and its agent never start.
    """
    certificate = agent.certificate.get_secret_value()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_verify_locations(cadata=agent.ca)
    except (ssl.SSLError, ValueError) as error:
        raise BadRequest(f"agent.ca: cannot be used: {_reason(error)}") from None
    _load_pair(context, certificate)
    return AgentWish(
        amphora_id=agent.amphora_id,
        certificate=certificate,
        ca=agent.ca,
        heartbeat_key=agent.heartbeat_key.get_secret_value(),
        controllers=agent.controllers,
        port=agent.port,
    )


def _load_pair(context: ssl.SSLContext, text: str) -> None:
    # Python reads pairs from files alone; this one is in memory, and nobody else's.
    descriptor = os.memfd_create("certificate")
    try:
        os.write(descriptor, text.encode("ascii"))
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password="")
    except (ssl.SSLError, ValueError) as error:
        raise BadRequest(
            f"agent.certificate: certificate and key cannot be used together: {_reason(error)}"
        ) from None
    finally:
        os.close(descriptor)


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or type(error).__name__
