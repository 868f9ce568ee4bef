"""HAProxy's metrics are told in Octavia's words."""

from __future__ import annotations

from libra_amphora.prometheus import translated

POOL = "4e0c3a4e-2f3a-4a86-a27e-7d2a4b3f1f10"

HAPROXYS = f"""\
# HELP haproxy_process_current_connections Number of active sessions on the service.
# TYPE haproxy_process_current_connections gauge
haproxy_process_current_connections 7
haproxy_process_pool_used_bytes 100
haproxy_process_build_info{{version="2.6"}} 1
haproxy_frontend_bytes_in_total{{proxy="listener-1"}} 12
haproxy_frontend_status{{proxy="listener-1",state="UP"}} 1
haproxy_frontend_bytes_in_total{{proxy="prometheus-exporter-internal-endpoint"}} 5
haproxy_backend_status{{proxy="{POOL}:listener-1",state="UP"}} 1
haproxy_server_weight{{proxy="{POOL}:listener-1",server="member-1"}} 1
haproxy_listener_bytes_in_total{{proxy="listener-1",listener="sock-1"}} 1
haproxy_sticktable_size{{name="x"}} 1
"""


def test_each_metric_has_the_name_and_labels_of_octavias_documents() -> None:
    assert list(translated(HAPROXYS)) == [
        "# HELP octavia_loadbalancer_current_connections Number of active sessions on the service.",
        "# TYPE octavia_loadbalancer_current_connections gauge",
        "octavia_loadbalancer_current_connections 7",
        "octavia_memory_pool_used_bytes 100",
        'octavia_listener_bytes_in_total{listener="listener-1"} 12',
        'octavia_listener_status{listener="listener-1",state="UP"} 1',
        f'octavia_pool_status{{pool="{POOL}:listener-1",state="UP"}} 1',
        f'octavia_member_weight{{pool="{POOL}:listener-1",member="member-1"}} 1',
    ]
