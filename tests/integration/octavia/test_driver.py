"""The driver checks, records and returns; what it accepts is never lost."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from octavia_lib.api.drivers import data_models, exceptions, provider_base

from libra_common.jobs import Job, JobWorker, parse_server
from libra_octavia import shared
from libra_octavia.driver import LibraProviderDriver
from libra_octavia.inventory import Database, Intent, Intents, Kind, Operation, migrate
from libra_octavia.waker import FUNCTION
from libra_octavia.wishes import said
from tests.support.gearmand import Gearmand
from tests.support.octavia_tls import container
from tests.support.octavia_trees import listener, member, monitor, pool, tree
from tests.support.ports import free_port
from tests.support.wait import until

Call = Callable[[LibraProviderDriver], Any]

_MODELS = {
    Kind.LISTENER: data_models.Listener,
    Kind.POOL: data_models.Pool,
    Kind.MEMBER: data_models.Member,
    Kind.HEALTH_MONITOR: data_models.HealthMonitor,
    Kind.L7_POLICY: data_models.L7Policy,
    Kind.L7_RULE: data_models.L7Rule,
}


def model(kind: Kind, fields: dict[str, Any]) -> Any:
    """A data model; null in `fields` is Unset there."""
    return _MODELS[kind](**{name: value for name, value in fields.items() if value is not None})


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Writes the settings file that the driver reads; without words one without gearmand."""

    def write(*, inventory: str = "", gearman: str = "", octavia: str = "") -> None:
        file = tmp_path / "libra.cfg"
        file.write_text(
            f"[octavia]\ninventory = {inventory or _url(tmp_path)}\n{octavia}\n"
            f"[gearman]\nservers = {gearman or f'127.0.0.1:{free_port()}'}\n"
        )
        monkeypatch.setenv(shared.CONFIG_VARIABLE, str(file))
        shared.shared.cache_clear()

    write()
    yield write
    shared.shared.cache_clear()


@pytest.fixture
def intents(configured: object, tmp_path: Path) -> Intents:
    """The inventory, made as an agent makes it when it starts."""
    database = Database(_url(tmp_path))
    migrate(database)
    return Intents(database)


def _url(folder: Path) -> str:
    return f"sqlite:///{folder / 'inventory.db'}"


def everything(intents: Intents) -> list[Intent]:
    return [*intents.homeless(), *intents.of("lb")]


def test_every_method_of_the_interface_is_there_with_its_arguments() -> None:
    for name, theirs in inspect.getmembers(provider_base.ProviderDriver, inspect.isfunction):
        ours = vars(LibraProviderDriver).get(name)
        assert ours is not None, name
        wanted = list(inspect.signature(theirs).parameters)
        assert list(inspect.signature(ours).parameters)[: len(wanted)] == wanted, name


def test_a_driver_object_opens_nothing(configured: object, tmp_path: Path) -> None:
    LibraProviderDriver()
    assert [path.name for path in tmp_path.iterdir()] == ["libra.cfg"]


_BALANCER = tree([], [], loadbalancer_id="lb", name="a")
_LISTENER = listener(listener_id="l", loadbalancer_id="lb")
_POOL = pool(pool_id="p", loadbalancer_id="lb")
_POOL_OF_SCTP = _POOL | {"protocol": "SCTP"}
_MEMBER = member(member_id="m", pool_id="p")
_MONITOR = monitor(healthmonitor_id="h", pool_id="p")
_RULE = {
    "l7rule_id": "r",
    "l7policy_id": "x",
    "type": "PATH",
    "compare_type": "EQUAL_TO",
    "value": "/",
}
_POLICY = {"l7policy_id": "x", "listener_id": "l", "action": "REJECT", "position": 1}

_CREATES: list[tuple[str, Kind, dict[str, Any]]] = [
    ("listener_create", Kind.LISTENER, _LISTENER),
    ("pool_create", Kind.POOL, _POOL),
    ("member_create", Kind.MEMBER, _MEMBER),
    ("health_monitor_create", Kind.HEALTH_MONITOR, _MONITOR),
    ("l7policy_create", Kind.L7_POLICY, _POLICY | {"rules": [_RULE]}),
    ("l7rule_create", Kind.L7_RULE, _RULE),
]

_ABOVE = {
    Kind.MEMBER: (Kind.POOL, "p"),
    Kind.HEALTH_MONITOR: (Kind.POOL, "p"),
    Kind.L7_POLICY: (Kind.LISTENER, "l"),
    Kind.L7_RULE: (Kind.L7_POLICY, "x"),
}
"""What objects are in that are not in the load balancer itself."""


@pytest.mark.parametrize(("method", "kind", "fields"), _CREATES)
def test_a_create_is_recorded(
    intents: Intents, method: str, kind: Kind, fields: dict[str, Any]
) -> None:
    getattr(LibraProviderDriver(), method)(model(kind, fields))
    (found,) = everything(intents)
    assert (found.operation, found.kind) == (Operation.CREATE, kind)
    assert found.object_id == fields[f"{kind}_id"]
    assert found.parent == _ABOVE.get(kind, (Kind.LOAD_BALANCER, "lb"))
    assert found.load_balancer_id == (None if kind in _ABOVE else "lb")


@pytest.mark.parametrize(
    ("method", "kind", "fields"),
    [(name.replace("create", "delete"), kind, fields) for name, kind, fields in _CREATES],
)
def test_a_delete_is_recorded(
    intents: Intents, method: str, kind: Kind, fields: dict[str, Any]
) -> None:
    getattr(LibraProviderDriver(), method)(model(kind, fields))
    (found,) = everything(intents)
    assert (found.operation, found.kind) == (Operation.DELETE, kind)
    assert found.object_id == fields[f"{kind}_id"]


@pytest.mark.parametrize(
    ("method", "kind", "old", "new"),
    [
        ("listener_update", Kind.LISTENER, _LISTENER, {"connection_limit": 5}),
        ("pool_update", Kind.POOL, _POOL, {"lb_algorithm": "SOURCE_IP"}),
        ("member_update", Kind.MEMBER, _MEMBER, {"weight": 7}),
        ("health_monitor_update", Kind.HEALTH_MONITOR, _MONITOR, {"delay": 9}),
        ("l7policy_update", Kind.L7_POLICY, _POLICY, {"position": 3}),
        ("l7rule_update", Kind.L7_RULE, _RULE, {"value": "/x"}),
    ],
)
def test_an_update_is_recorded_with_what_it_changes_and_what_was_there(
    intents: Intents, method: str, kind: Kind, old: dict[str, Any], new: dict[str, Any]
) -> None:
    changes = {f"{kind}_id": old[f"{kind}_id"], **new}
    getattr(LibraProviderDriver(), method)(model(kind, old), model(kind, changes))
    (found,) = everything(intents)
    assert (found.operation, found.kind) == (Operation.UPDATE, kind)
    assert found.changed == new
    assert found.previous == {name: old[name] for name in new}


def test_null_in_an_update_is_recorded_as_null(intents: Intents) -> None:
    sticky = {"type": "SOURCE_IP"}
    old = model(Kind.POOL, _POOL | {"session_persistence": sticky})
    new = data_models.Pool(pool_id="p", session_persistence=None)
    LibraProviderDriver().pool_update(old, new)
    (found,) = everything(intents)
    assert found.changed == {"session_persistence": None}
    assert found.previous == {"session_persistence": sticky}


def test_load_balancers_are_created_updated_failed_over_and_deleted(intents: Intents) -> None:
    driver = LibraProviderDriver()
    driver.loadbalancer_create(_BALANCER)
    new = data_models.LoadBalancer(loadbalancer_id="lb", name="b")
    driver.loadbalancer_update(_BALANCER, new)
    driver.loadbalancer_failover("lb")
    driver.loadbalancer_delete(_BALANCER)
    driver.loadbalancer_delete(_BALANCER, cascade=True)
    found = intents.of("lb")
    assert [one.operation for one in found] == [
        Operation.CREATE,
        Operation.UPDATE,
        Operation.FAILOVER,
        Operation.DELETE,
        Operation.CASCADE,
    ]
    assert {one.object_id for one in found} == {"lb"}
    assert found[1].changed == {"name": "b"}


def test_a_batch_names_the_members_that_stay(intents: Intents) -> None:
    changed = data_models.Member(
        member_id="m", address="192.0.2.1", protocol_port=80, weight=3, pool_id="p"
    )
    LibraProviderDriver().member_batch_update("p", [changed])
    (found,) = everything(intents)
    assert (found.operation, found.kind, found.object_id) == (Operation.BATCH, Kind.POOL, "p")
    assert found.changed == {
        "members": {"m": {"address": "192.0.2.1", "protocol_port": 80, "weight": 3}}
    }


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda d: d.listener_create(model(Kind.LISTENER, _LISTENER | {"protocol": "UDP"})), "UDP"),
        (
            lambda d: d.listener_update(
                model(Kind.LISTENER, _LISTENER),
                data_models.Listener(listener_id="l", insert_headers={"X-Forwarded-For": "no"}),
            ),
            "insert_headers.X-Forwarded-For",
        ),
        (lambda d: d.pool_create(model(Kind.POOL, _POOL | {"protocol": "SCTP"})), "SCTP"),
        (
            lambda d: d.pool_update(
                model(Kind.POOL, _POOL | {"protocol": "TCP"}),
                data_models.Pool(pool_id="p", session_persistence={"type": "HTTP_COOKIE"}),
            ),
            "session_persistence",
        ),
        (
            lambda d: d.member_create(model(Kind.MEMBER, _MEMBER | {"vnic_type": "direct"})),
            "vnic_type",
        ),
        (
            lambda d: d.member_batch_update("p", [model(Kind.MEMBER, _MEMBER | {"weight": 900})]),
            "weight",
        ),
        (
            lambda d: d.health_monitor_create(
                model(Kind.HEALTH_MONITOR, _MONITOR | {"type": "UDP-CONNECT"})
            ),
            "UDP",
        ),
        (
            lambda d: d.l7policy_create(
                model(Kind.L7_POLICY, _POLICY | {"rules": [_RULE | {"value": "a\nb"}]})
            ),
            "rules.value",
        ),
        (
            lambda d: d.l7policy_update(
                model(Kind.L7_POLICY, _POLICY),
                data_models.L7Policy(
                    l7policy_id="x", action="REDIRECT_TO_URL", redirect_url="http://a/#\n"
                ),
            ),
            "redirect_url",
        ),
        (lambda d: d.l7rule_create(model(Kind.L7_RULE, _RULE | {"value": "-f"})), "value"),
        (
            lambda d: d.l7rule_update(
                model(Kind.L7_RULE, _RULE), data_models.L7Rule(l7rule_id="r", value="a\rb")
            ),
            "value",
        ),
        (lambda d: d.loadbalancer_create(tree([], [], vip_qos_policy_id="q")), "vip_qos_policy_id"),
        (
            lambda d: d.loadbalancer_create(
                tree([listener(protocol="TERMINATED_HTTPS", listener_id="deep")], [])
            ),
            "listener deep: default_tls_container_ref",
        ),
        (lambda d: d.validate_flavor({"topology": "ACTIVE_STANDBY"}), "topology"),
        (lambda d: d.validate_flavor({"color": "red"}), "color"),
        (lambda d: d.validate_availability_zone({"moon": "x"}), "moon"),
    ],
)
def test_what_is_refused_is_named_to_both_and_leaves_no_trace(
    intents: Intents, call: Call, named: str
) -> None:
    with pytest.raises(exceptions.UnsupportedOptionError) as caught:
        call(LibraProviderDriver())
    assert named in caught.value.user_fault_string
    assert named in caught.value.operator_fault_string
    assert everything(intents) == []


_UDP: dict[str, Call] = {
    "listener": lambda d: d.listener_create(model(Kind.LISTENER, _LISTENER | {"protocol": "UDP"})),
    "listener with a pool": lambda d: d.listener_create(
        model(Kind.LISTENER, _LISTENER | {"protocol": "SCTP", "default_pool": _POOL_OF_SCTP})
    ),
    "pool": lambda d: d.pool_create(model(Kind.POOL, _POOL_OF_SCTP)),
    "monitor": lambda d: d.health_monitor_create(
        model(Kind.HEALTH_MONITOR, _MONITOR | {"type": "UDP-CONNECT"})
    ),
    "graph": lambda d: d.loadbalancer_create(
        tree([_LISTENER | {"protocol": "UDP"}], [_POOL_OF_SCTP], loadbalancer_id="lb")
    ),
}
"""Calls for UDP and SCTP."""


@pytest.mark.parametrize("name", _UDP)
@pytest.mark.parametrize(
    ("octavia", "why"),
    [
        ("", "needs IP_VS in the kernel of the load balancer's device"),
        ("ip_vs = false", "needs IP_VS in the kernel of the load balancer's device"),
        ("ip_vs = true\nvip = floating", "needs an address of Octavia's own"),
    ],
)
def test_udp_and_sctp_are_refused_with_the_reason_where_devices_cannot(
    configured: Callable[..., None], intents: Intents, name: str, octavia: str, why: str
) -> None:
    configured(octavia=octavia)
    with pytest.raises(exceptions.UnsupportedOptionError) as caught:
        _UDP[name](LibraProviderDriver())
    field = "type" if name == "monitor" else "protocol"
    for told in (caught.value.user_fault_string, caught.value.operator_fault_string):
        assert f"{field}: '" in told
        assert why in told
    assert everything(intents) == []


@pytest.mark.parametrize("name", _UDP)
def test_udp_and_sctp_are_taken_where_devices_have_ip_vs(
    configured: Callable[..., None], intents: Intents, name: str
) -> None:
    configured(octavia="ip_vs = true")
    _UDP[name](LibraProviderDriver())
    (found,) = everything(intents)
    assert found.operation is Operation.CREATE


def test_what_was_taken_before_can_be_changed_and_deleted_where_devices_have_no_ip_vs_now(
    intents: Intents,
) -> None:
    old, driver = model(Kind.LISTENER, _LISTENER | {"protocol": "UDP"}), LibraProviderDriver()
    driver.listener_update(old, data_models.Listener(listener_id="l", admin_state_up=False))
    driver.listener_delete(old)
    assert [one.operation for one in everything(intents)] == [Operation.UPDATE, Operation.DELETE]


def test_no_certificate_and_no_key_is_recorded_or_told(intents: Intents, tmp_path: Path) -> None:
    # Given a listener and a pool whose certificates Octavia hands over
    right, locked = container("www.example.org"), container("a.org", locked_by="open it")
    tls = {
        "protocol": "TERMINATED_HTTPS",
        "default_tls_container_ref": "ref",
        "default_tls_container_data": right,
        "sni_container_refs": ["locked"],
        "sni_container_data": [locked],
    }
    driver = LibraProviderDriver()
    # When they are created and changed
    driver.listener_create(model(Kind.LISTENER, _LISTENER | tls))
    driver.listener_update(
        model(Kind.LISTENER, _LISTENER | tls),
        data_models.Listener(
            listener_id="l", default_tls_container_ref="new", default_tls_container_data=locked
        ),
    )
    driver.pool_create(
        model(
            Kind.POOL,
            _POOL | {"tls_enabled": True, "tls_container_ref": "ref", "tls_container_data": right},
        )
    )
    # And one that cannot be opened is refused
    broken = tls | {"sni_container_data": [locked | {"passphrase": "another"}]}
    with pytest.raises(exceptions.UnsupportedOptionError, match="sni_container_refs") as caught:
        driver.listener_create(model(Kind.LISTENER, _LISTENER | broken))
    # Then nothing of them is in the inventory's files or in what is told
    assert len(everything(intents)) == 3
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("inventory.db*"))
    secrets = [part for one in (right, locked) for part in one["private_key"].split()[3:6]]
    for secret in (*secrets, "open it", "another"):
        assert secret.encode() not in kept
        assert secret not in caught.value.user_fault_string
        assert secret not in caught.value.operator_fault_string


def test_a_listener_is_taken_though_octavia_keeps_its_sni_containers_back(intents: Intents) -> None:
    front = model(
        Kind.LISTENER,
        _LISTENER
        | {
            "protocol": "TERMINATED_HTTPS",
            "default_tls_container_ref": "ref",
            "default_tls_container_data": container("www.example.org"),
            "sni_container_refs": ["other"],
        },
    )
    LibraProviderDriver().listener_create(front)
    (kept,) = everything(intents)
    assert kept.kind is Kind.LISTENER


def test_flavors_and_zones_that_are_offered_are_valid(configured: object) -> None:
    driver = LibraProviderDriver()
    assert set(driver.get_supported_flavor_metadata()) >= {"topology", "compute_flavor"}
    assert set(driver.get_supported_availability_zone_metadata()) == {
        "compute_zone",
        "management_network",
    }
    driver.validate_flavor({"topology": "SINGLE", "compute_flavor": "m1.small"})
    driver.validate_availability_zone({"compute_zone": "nova", "management_network": "n"})


@pytest.mark.parametrize("arguments", [("lb", "project", {}, []), ("lb", {})])
def test_the_vips_port_is_left_to_octavia(configured: object, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(exceptions.NotImplementedError) as caught:
        LibraProviderDriver().create_vip_port(*arguments)
    assert "Octavia" in caught.value.user_fault_string


@pytest.mark.parametrize("inventory", ["away", "not made yet", "nonsense"])
def test_without_an_inventory_the_call_fails_clearly(
    configured: Callable[..., None], tmp_path: Path, inventory: str
) -> None:
    urls = {
        "away": "postgresql+psycopg://libra:hunter2@127.0.0.1:1/libra",
        "not made yet": _url(tmp_path),
        "nonsense": "gopher:hunter2",
    }
    configured(inventory=urls[inventory])
    with pytest.raises(exceptions.DriverError) as caught:
        LibraProviderDriver().loadbalancer_failover("lb-7")
    assert "nothing was changed" in caught.value.user_fault_string
    assert "lb-7" in caught.value.operator_fault_string
    assert "hunter2" not in caught.value.operator_fault_string


def test_the_agents_are_told_which_load_balancer_it_is(
    configured: Callable[..., None], intents: Intents
) -> None:
    heard: list[bytes] = []

    def hear(job: Job) -> bytes:
        heard.append(job.data)
        return b""

    with Gearmand() as gearmand:
        configured(gearman=gearmand.address)
        worker = JobWorker(
            name=FUNCTION,
            servers=[parse_server(gearmand.address)],
            slots=1,
            handler=hear,
            on_oversize=lambda _: b"",
        )
        worker.start()
        LibraProviderDriver().loadbalancer_failover("lb")
        until(lambda: heard, "the hint arrives")
        worker.stop(5.0)
    assert heard == [b'{"load_balancer": "lb"}']


def test_without_gearmand_nothing_is_lost(intents: Intents) -> None:
    LibraProviderDriver().loadbalancer_failover("lb")
    assert [one.operation for one in intents.of("lb")] == [Operation.FAILOVER]
    assert list(intents.due(10)) == ["lb"]


def test_a_process_forked_from_one_that_used_the_driver_can_use_it_too(intents: Intents) -> None:
    LibraProviderDriver().loadbalancer_failover("lb")
    child = os.fork()
    if child == 0:
        try:
            LibraProviderDriver().loadbalancer_failover("lb")
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert len(intents.of("lb")) == 2


def test_no_key_and_no_certificate_is_kept() -> None:
    found = said(
        data_models.Listener(
            listener_id="l",
            default_tls_container_ref="ref",
            default_tls_container_data={"private_key": "hunter2"},
            sni_container_data=[{"private_key": "hunter2"}],
            timeout_client_data=5,
        ),
        Kind.LISTENER,
    )
    assert found == {"default_tls_container_ref": "ref", "timeout_client_data": 5}
