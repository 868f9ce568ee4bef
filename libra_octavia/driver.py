"""The provider driver: what Octavia's API calls, inside its transaction and before it commits.

Each method checks the whole request, records it in the inventory, hints the agents and returns;
none waits for anything but the inventory, or touches Octavia. Source: provider driver guide; the
signatures are octavia-lib's (provider_base), which octavia-lib's errors are raised by.
"""

# ruff: noqa: ARG002 - the arguments are octavia-lib's, needed or not
from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from octavia_lib.api.drivers import provider_base

from libra_octavia import ip_vs, wishes
from libra_octavia.inventory import Kind, Operation, Wish
from libra_octavia.objects import (
    read_listener,
    read_member,
    read_monitor,
    read_policy,
    read_pool,
    read_rule,
    read_vip,
)
from libra_octavia.objects.fields import merged, plain
from libra_octavia.objects.load_balancer import (
    FLAVOR,
    ZONE,
    check_flavor,
    check_zone,
    refuse,
)
from libra_octavia.refusals import not_implemented, told
from libra_octavia.shared import shared
from libra_octavia.translate import translate
from libra_octavia.vip import floating_vip


class LibraProviderDriver(provider_base.ProviderDriver):  # type: ignore[misc]
    """Octavia's provider `libra`. An object costs nothing: the API makes one for each request."""

    # -- load balancers --------------------------------------------------------------------

    def create_vip_port(
        self,
        loadbalancer_id: str,
        project_id: object = None,
        vip_dictionary: object = None,
        additional_vip_dicts: object = None,
    ) -> Any:
        """Have a floating IP made, or leave the port to Octavia, which makes it when told so.

        Takes the four arguments that Octavia gives, which are answered with the VIP and all further
        ones, and the two of the guide, which are answered with the VIP alone.
        """
        guided = isinstance(project_id, Mapping)
        vip: Any = project_id if guided else vip_dictionary
        more: Any = additional_vip_dicts or ()
        with told(f"create the VIP of load balancer {loadbalancer_id}"):
            make = shared().make_address
            if make is not None:
                found = floating_vip(loadbalancer_id, vip or {}, more, make=make)
                return found if guided else (found, list(more))
        raise not_implemented("create_vip_port", "Octavia makes the VIP's port itself")

    def loadbalancer_create(self, loadbalancer: Any) -> None:
        """Create a load balancer with all that is in it."""
        with told(f"create load balancer {plain(loadbalancer).get('loadbalancer_id')}"):
            # What the API hands over is not whole: the tree may hold more to refuse.
            _possible(translate(loadbalancer))
            _record(wishes.wish(Operation.CREATE, Kind.LOAD_BALANCER, loadbalancer))

    def loadbalancer_delete(self, loadbalancer: Any, cascade: bool = False) -> None:
        """Delete a load balancer, with `cascade` all that is in it too."""
        operation = Operation.CASCADE if cascade else Operation.DELETE
        self._delete(Kind.LOAD_BALANCER, loadbalancer, operation)

    def loadbalancer_failover(self, loadbalancer_id: str) -> None:
        """Have a load balancer served by another device."""
        with told(f"fail over load balancer {loadbalancer_id}"):
            _record(
                Wish(
                    operation=Operation.FAILOVER,
                    kind=Kind.LOAD_BALANCER,
                    object_id=loadbalancer_id,
                    load_balancer_id=loadbalancer_id,
                    parent=(Kind.LOAD_BALANCER, loadbalancer_id),
                )
            )

    def loadbalancer_failover_with_flavor(self, loadbalancer_id: str, flavor_id: str) -> NoReturn:
        """Refuse: a flavor's id tells a driver nothing of what is in it."""
        raise not_implemented("failover to another flavor", "fail over without one")

    def loadbalancer_update(self, old_loadbalancer: Any, new_loadbalancer: Any) -> None:
        """Change a load balancer's own fields."""
        with told(f"update load balancer {plain(old_loadbalancer).get('loadbalancer_id')}"):
            after = merged(old_loadbalancer, new_loadbalancer)
            read_vip(after)
            _record(
                wishes.wish(
                    Operation.UPDATE, Kind.LOAD_BALANCER, new_loadbalancer, old=old_loadbalancer
                )
            )

    # -- listeners -------------------------------------------------------------------------

    def listener_create(self, listener: Any) -> None:
        """Create a listener, and the pool that comes with it."""
        with told(f"create listener {plain(listener).get('listener_id')}"):
            _possible(read_listener(listener, whole=_came_whole(listener)))
            if pool := plain(listener).get("default_pool"):
                _possible(read_pool(pool))
            _record(wishes.wish(Operation.CREATE, Kind.LISTENER, listener))

    def listener_delete(self, listener: Any) -> None:
        """Delete a listener."""
        self._delete(Kind.LISTENER, listener)

    def listener_update(self, old_listener: Any, new_listener: Any) -> None:
        """Change a listener."""
        self._update(Kind.LISTENER, old_listener, new_listener)

    # -- pools -----------------------------------------------------------------------------

    def pool_create(self, pool: Any) -> None:
        """Create a pool, with the members and the monitor that come with it."""
        with told(f"create pool {plain(pool).get('pool_id')}"):
            _possible(read_pool(pool))
            _record(wishes.wish(Operation.CREATE, Kind.POOL, pool))

    def pool_delete(self, pool: Any) -> None:
        """Delete a pool with all its members."""
        self._delete(Kind.POOL, pool)

    def pool_update(self, old_pool: Any, new_pool: Any) -> None:
        """Change a pool's own fields."""
        self._update(Kind.POOL, old_pool, new_pool)

    # -- members ---------------------------------------------------------------------------

    def member_create(self, member: Any) -> None:
        """Create a member."""
        with told(f"create member {plain(member).get('member_id')}"):
            read_member(member)
            _record(wishes.wish(Operation.CREATE, Kind.MEMBER, member))

    def member_delete(self, member: Any) -> None:
        """Delete a member."""
        self._delete(Kind.MEMBER, member)

    def member_update(self, old_member: Any, new_member: Any) -> None:
        """Change a member."""
        self._update(Kind.MEMBER, old_member, new_member)

    def member_batch_update(self, pool_id: str, members: Sequence[Any]) -> None:
        """Have exactly these members in a pool: those that are not named are deleted."""
        with told(f"update the members of pool {pool_id}"):
            for member in members:
                read_member(member)
            _record(wishes.batch(pool_id, members))

    # -- health monitors -------------------------------------------------------------------

    def health_monitor_create(self, healthmonitor: Any) -> None:
        """Create a pool's health monitor."""
        with told(f"create health monitor {plain(healthmonitor).get('healthmonitor_id')}"):
            _possible(read_monitor(healthmonitor))
            _record(wishes.wish(Operation.CREATE, Kind.HEALTH_MONITOR, healthmonitor))

    def health_monitor_delete(self, healthmonitor: Any) -> None:
        """Delete a health monitor."""
        self._delete(Kind.HEALTH_MONITOR, healthmonitor)

    def health_monitor_update(self, old_healthmonitor: Any, new_healthmonitor: Any) -> None:
        """Change a health monitor."""
        self._update(Kind.HEALTH_MONITOR, old_healthmonitor, new_healthmonitor)

    # -- L7 policies and rules ---------------------------------------------------------------

    def l7policy_create(self, l7policy: Any) -> None:
        """Create an L7 policy, with the rules that come with it."""
        with told(f"create L7 policy {plain(l7policy).get('l7policy_id')}"):
            read_policy(l7policy)
            _record(wishes.wish(Operation.CREATE, Kind.L7_POLICY, l7policy))

    def l7policy_delete(self, l7policy: Any) -> None:
        """Delete an L7 policy with all its rules."""
        self._delete(Kind.L7_POLICY, l7policy)

    def l7policy_update(self, old_l7policy: Any, new_l7policy: Any) -> None:
        """Change an L7 policy's own fields."""
        self._update(Kind.L7_POLICY, old_l7policy, new_l7policy)

    def l7rule_create(self, l7rule: Any) -> None:
        """Create an L7 rule."""
        with told(f"create L7 rule {plain(l7rule).get('l7rule_id')}"):
            read_rule(l7rule)
            _record(wishes.wish(Operation.CREATE, Kind.L7_RULE, l7rule))

    def l7rule_delete(self, l7rule: Any) -> None:
        """Delete an L7 rule."""
        self._delete(Kind.L7_RULE, l7rule)

    def l7rule_update(self, old_l7rule: Any, new_l7rule: Any) -> None:
        """Change an L7 rule."""
        self._update(Kind.L7_RULE, old_l7rule, new_l7rule)

    # -- flavors and availability zones ------------------------------------------------------

    def get_supported_flavor_metadata(self) -> dict[str, str]:
        """The keys of a flavor, and what they mean."""
        return dict(FLAVOR)

    def validate_flavor(self, flavor_metadata: Mapping[str, Any]) -> None:
        """Refuse what a flavor cannot have."""
        with told("validate flavor"):
            refuse("flavor", check_flavor(flavor_metadata))

    def get_supported_availability_zone_metadata(self) -> dict[str, str]:
        """The keys of an availability zone, and what they mean."""
        return dict(ZONE)

    def validate_availability_zone(self, availability_zone_metadata: Mapping[str, Any]) -> None:
        """Refuse what an availability zone cannot have."""
        with told("validate availability zone"):
            refuse("availability zone", check_zone(availability_zone_metadata))

    # ------------------------------------------------------------------------------------

    @staticmethod
    def _update(kind: Kind, old: Any, new: Any) -> None:
        with told(f"update {kind} {plain(old).get(f'{kind}_id')}"):
            _READERS[kind](_alone(merged(old, new)))
            _record(wishes.wish(Operation.UPDATE, kind, new, old=old))

    @staticmethod
    def _delete(kind: Kind, one: Any, operation: Operation = Operation.DELETE) -> None:
        with told(f"delete {kind} {plain(one).get(f'{kind}_id')}"):
            _record(wishes.wish(operation, kind, one))


_READERS: dict[Kind, Callable[[dict[str, Any]], object]] = {
    # The certificates of before may be missing, since Octavia fetches only what is new.
    Kind.LISTENER: functools.partial(read_listener, whole=False),
    Kind.POOL: functools.partial(read_pool, whole=False),
    Kind.MEMBER: read_member,
    Kind.HEALTH_MONITOR: read_monitor,
    Kind.L7_POLICY: read_policy,
    Kind.L7_RULE: read_rule,
}


def _alone(one: dict[str, Any]) -> dict[str, Any]:
    """An object without those below it, which this call does not change.

    Nor with the contents of a certificate whose reference is gone.
    """
    return {
        name: value
        for name, value in one.items()
        if name not in ("members", "healthmonitor", "default_pool", "l7policies", "rules")
        and not (name.endswith("_data") and not _refers(one, name.removesuffix("_data")))
    }


def _came_whole(listener: Any) -> bool:
    """Whether a listener has its certificates with it.

    Octavia's API puts the references of SNI containers back into one that is made alone, without
    what they refer to, which the tree has.
    """
    found = plain(listener)
    return not found.get("sni_container_refs") or bool(found.get("sni_container_data"))


def _refers(one: dict[str, Any], container: str) -> bool:
    return f"{container}_ref" in one or f"{container}_refs" in one


def _possible(found: object) -> None:
    """Refuse what is new and the devices of this cloud cannot serve. Raises Unsupported."""
    if ip_vs.needs(found) and (why := shared().no_ip_vs) is not None:
        ip_vs.refuse(found, why)


def _record(wish: Wish) -> None:
    """Note what is asked for, and say so to the agents."""
    common = shared()
    common.intents.record(wish)
    common.waker.wake(wish.load_balancer_id or "")
