"""Any model that a door may ask for, for hypothesis."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from libra_haproxy.model import (
    Algorithm,
    Alpn,
    Certificate,
    LoadBalancer,
    Model,
    Monitor,
    MonitorType,
    Protocol,
    Server,
    Timeouts,
    Tls,
    TlsVersion,
)

NODE_IDS = (
    st.none()
    | st.integers(0, 10**9)
    | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", fullmatch=True)
)
ADDRESSES = st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(str)
PATHS = st.from_regex(r"/([A-Za-z0-9._~!$&()*+,;=:@/?-]|%[0-9A-F]{2}){0,60}", fullmatch=True)
MONITORS = st.builds(
    Monitor,
    type=st.sampled_from(MonitorType),
    delay=st.integers(1, 3600),
    timeout=st.integers(1, 3600),
    attempts=st.integers(1, 100),
    path=PATHS,
)
CERTIFICATES = [Certificate(name=f"{n:064x}", leaf=f"{n:040X}") for n in range(3)]
TLS = st.builds(
    Tls,
    certificate=st.sampled_from(CERTIFICATES),
    alpn=st.lists(st.sampled_from(Alpn), max_size=2, unique=True).map(tuple),
    oldest=st.sampled_from(TlsVersion),
)
SERVERS = st.builds(
    Server,
    address=ADDRESSES,
    port=st.integers(1, 65535),
    node_id=NODE_IDS,
    weight=st.integers(0, 256),
    enabled=st.booleans(),
    backup=st.booleans(),
)


def _load_balancers(protocol: Protocol, port: int) -> st.SearchStrategy[LoadBalancer]:
    return st.builds(
        LoadBalancer,
        protocol=st.just(protocol),
        port=st.just(port),
        servers=st.lists(
            SERVERS,
            min_size=1,
            max_size=6,
            unique_by=(_place, _named),
        ).map(tuple),
        algorithm=st.sampled_from(Algorithm),
        monitor=st.none() | MONITORS,
        timeouts=st.builds(
            Timeouts,
            client=st.integers(1, 86_400_000),
            server=st.integers(1, 86_400_000),
            connect=st.integers(1, 86_400_000),
        ),
        retries=st.integers(0, 100),
        sticky=st.booleans(),
        tls=st.none() | TLS,
        label=st.none() | st.text(max_size=20),
    )


def _place(server: Server) -> Any:
    return server.address, server.port


def _named(server: Server) -> Any:
    return object() if server.node_id is None else str(server.node_id)


MODELS = st.lists(st.sampled_from(Protocol), min_size=1, max_size=2, unique=True).flatmap(
    lambda protocols: st.tuples(
        *(_load_balancers(p, 20_000 + n) for n, p in enumerate(protocols))
    ).map(lambda lbs: Model(load_balancers=lbs))
)
