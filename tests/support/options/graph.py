"""From the body of a REST call that creates a whole load balancer to the tree that Octavia shows.

What Octavia's API fills in is filled in here too; secrets are named by their references.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from octavia_lib.api.drivers import data_models

from tests.support.octavia_trees import listener, member, monitor, new_id, pool, tree

Body = dict[str, Any]

_DATA = {
    "default_tls_container_ref": "default_tls_container_data",
    "client_ca_tls_container_ref": "client_ca_tls_container_data",
    "client_crl_container_ref": "client_crl_container_data",
    "tls_container_ref": "tls_container_data",
    "ca_tls_container_ref": "ca_tls_container_data",
    "crl_container_ref": "crl_container_data",
}


def shown(body: Body, secrets: Mapping[str, Any], ids: dict[str, str]) -> data_models.LoadBalancer:
    """The tree of a body. `ids` keeps the ids of objects by their places, over changes."""

    def known(place: str) -> str:
        return ids.setdefault(place, new_id())

    pools, listeners = [], []
    for behind in body.get("pools", ()):
        name = behind["name"]
        fields = _with_secrets(behind, secrets)
        fields["pool_id"] = known(f"pool {name}")
        fields["members"] = [
            member(member_id=known(f"member {name} {one['address']} {one['protocol_port']}"), **one)
            for one in behind.get("members", ())
        ]
        if behind.get("healthmonitor"):
            fields["healthmonitor"] = monitor(
                **{"healthmonitor_id": known(f"monitor {name}"), **behind["healthmonitor"]}
            )
        pools.append(pool(**fields))
    for front in body.get("listeners", ()):
        fields = _with_secrets(front, secrets)
        fields["listener_id"] = known(f"listener {front['protocol_port']}")
        default = fields.pop("default_pool", None)
        if default:
            fields["default_pool_id"] = known(f"pool {default['name']}")
        fields["l7policies"] = [
            _policy(policy, known, f"{front['protocol_port']} {number}", number)
            for number, policy in enumerate(front.get("l7policies", ()), 1)
        ]
        listeners.append(listener(**fields))
    others = {name: value for name, value in body.items() if name not in ("listeners", "pools")}
    return tree(listeners, pools, loadbalancer_id=known("balancer"), **others)


def _policy(policy: Body, known: Any, place: str, number: int) -> Body:
    fields = {"position": number, **policy}
    redirect = fields.pop("redirect_pool", None)
    if redirect:
        fields["redirect_pool_id"] = known(f"pool {redirect['name']}")
    fields["rules"] = [
        {"l7rule_id": known(f"rule {place} {count}"), "invert": False, "key": None, **rule}
        for count, rule in enumerate(policy.get("rules", ()))
    ]
    return {"l7policy_id": known(f"policy {place}"), "admin_state_up": True, **fields}


def _with_secrets(body: Body, secrets: Mapping[str, Any]) -> Body:
    fields = dict(body)
    for reference, data in _DATA.items():
        if fields.get(reference):
            fields[data] = secrets[fields[reference]]
    if fields.get("sni_container_refs"):
        fields["sni_container_data"] = [secrets[one] for one in fields["sni_container_refs"]]
    return fields
