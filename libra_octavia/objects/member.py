"""Members."""

from __future__ import annotations

from libra_octavia.model import Member
from libra_octavia.objects.fields import Fields

_MEANINGLESS = ("name", "project_id", "pool_id")


def read_member(source: object) -> Member:
    """A member of a pool, whole. Raises Unsupported."""
    with Fields.of(source, "member", "member_id") as fields:
        fields.ignore(*_MEANINGLESS)
        if fields.raw("vnic_type", "normal") != "normal":
            fields.fault("vnic_type", "only 'normal' is supported")
        if not fields.has("address"):
            fields.fault("address", "must be set")
        return Member(
            id=fields.id("member_id"),
            address=fields.address("address") or "",
            port=fields.number("protocol_port", low=1, high=65535),
            weight=fields.number("weight", low=0, high=256, default=1),
            backup=fields.flag("backup", default=False),
            enabled=fields.flag("admin_state_up", default=True),
            monitor_address=fields.address("monitor_address"),
            monitor_port=(
                fields.number("monitor_port", low=1, high=65535)
                if fields.has("monitor_port")
                else None
            ),
            subnet=fields.id("subnet_id") if fields.has("subnet_id") else None,
        )
