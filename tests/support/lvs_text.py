"""Configurations of UDP and SCTP listeners as Octavia's controller writes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

LISTENER = "24346da1-635c-4c23-8e13-49c2acaf45aa"
OTHER = "0c2b4c8e-1c6c-4ba0-9b0b-5a1e5cd2b1f5"
POOL = "ad6a5d7a-3b0c-4d69-8c2d-3d92c0b8a8b1"
UDP_CHECK = "/var/lib/octavia/lvs/check/udp_check.sh {address} {port}"
SCTP_CHECK = "amphora-health-checker sctp -t 1 {address} {port}"


@dataclass(frozen=True, kw_only=True)
class Lvs:
    """One listener; `members` are addresses by their ids, all at `member_port`."""

    vip: str = "203.0.113.2"
    port: int = 53
    members: Mapping[str, str] = field(default_factory=dict)
    member_port: int = 5353
    protocol: str = "UDP"
    weights: Mapping[str, int] = field(default_factory=dict)
    disabled: tuple[str, ...] = ()
    check: str = UDP_CHECK
    id: str = LISTENER
    algorithm: str = "rr"

    def text(self) -> str:
        family = 6 if ":" in self.vip else 4
        return "\n".join(
            [
                "# Configuration for Loadbalancer 85e2111b-29c4-44be-94f3-e72045805801",
                f"# Configuration for Listener {self.id}",
                "",
                "net_namespace amphora-haproxy",
                "",
                f"virtual_server_group ipv{family}-group {{",
                f"    {self.vip} {self.port}",
                "}",
                "",
                f"virtual_server group ipv{family}-group {{",
                f"    lb_algo {self.algorithm}",
                "    lb_kind NAT",
                f"    protocol {self.protocol}",
                *(("    delay_loop 1", "    delay_before_retry 1", "    retry 1")),
                "",
                f"    # Configuration for Pool {POOL}",
                *(line for id_ in self.members for line in self._member(id_)),
                *(f"    # Member {id_} is disabled" for id_ in self.disabled),
                "}",
                "",
            ]
        )

    def _member(self, id_: str) -> list[str]:
        check = self.check.format(address=self.members[id_], port=self.member_port)
        checker = [
            "        MISC_CHECK {",
            f'            misc_path "{check}"',
            "            misc_timeout 10",
            "        }",
        ]
        return [
            f"    # Configuration for Member {id_}",
            f"    real_server {self.members[id_]} {self.member_port} {{",
            f"        weight {self.weights.get(id_, 1)}",
            "        uthreshold 1000",
            *(checker if self.check else []),
            "    }",
        ]
