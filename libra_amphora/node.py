"""Puts an agent together from its settings: the one place that knows all its parts."""

from __future__ import annotations

import ipaddress
import logging
import shutil
import ssl
from collections.abc import Iterable, Iterator
from pathlib import Path

from libra_amphora import ping, tls
from libra_amphora.api.agent import AgentApi
from libra_amphora.api.balancers import BalancersApi
from libra_amphora.api.base import Route
from libra_amphora.api.certificates import CertificatesApi
from libra_amphora.api.details import DetailsApi
from libra_amphora.api.info import InfoApi
from libra_amphora.api.interface import InterfaceApi
from libra_amphora.api.listeners import ListenersApi
from libra_amphora.api.plug import PlugApi
from libra_amphora.api.topology import TopologyApi
from libra_amphora.api.udp import UdpApi
from libra_amphora.api.vrrp import VrrpApi
from libra_amphora.app import App
from libra_amphora.balancers import Balancers
from libra_amphora.boots import next_boot
from libra_amphora.certificates import Certificates
from libra_amphora.conf import AmphoraSettings
from libra_amphora.fence import Fence
from libra_amphora.files import in_memory
from libra_amphora.gate import Gate
from libra_amphora.heartbeat import Heartbeat
from libra_amphora.keepalived import Keepalived
from libra_amphora.lvs import LvsListeners
from libra_amphora.mutable import MutableSettings
from libra_amphora.network import Network
from libra_amphora.openapi import OpenApiApi
from libra_amphora.plugged import SINGLE
from libra_amphora.prometheus import BACKEND, MetricsProxy
from libra_amphora.server import ApiServer
from libra_amphora.system import System
from libra_amphora.topology import Topology
from libra_amphora.vault import Vault
from libra_common.errors import LibraError
from libra_haproxy.errors import DiskError
from libra_haproxy.privileges import identity
from libra_haproxy.versions import haproxy_version

LOG = logging.getLogger(__name__)

_DAEMONS = "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"


class Node:
    """All parts of one agent. `open` brings the stored state into force, then it is served."""

    def __init__(self, settings: AmphoraSettings) -> None:
        own = settings.own
        who = identity(user=own.user, group=own.group)
        for noisy in ("asyncio", "pyroute2"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        self._settings = settings
        self.gate = Gate()
        self.fence = Fence(path=own.state_dir / "fence.json")
        self.vault = Vault(directory=own.state_dir / "secrets", key_file=own.node_key)
        self.network = Network(netns=own.netns, state_dir=own.state_dir)
        keepalived = Path(shutil.which("keepalived", path=_DAEMONS) or "/usr/sbin/keepalived")
        self.keepalived = Keepalived(
            program=keepalived,
            namespace=self.network.namespace,
            run_dir=own.run_dir,
            state_dir=own.state_dir,
            script_user=(own.user, own.group),
            vault=self.vault,
            drop_addresses=self.network.drop_vips,
        )
        self.certificates = Certificates(
            directory=own.run_dir / "certs",
            base=settings.haproxy.base_cert_dir,
            vault=self.vault,
            user=who.user,
            group=who.group,
        )
        self.lvs = LvsListeners(
            program=keepalived,
            namespace=self.network.namespace,
            run_dir=own.run_dir,
            state_dir=own.state_dir,
            script_user=(own.user, own.group),
        )
        self.balancers = Balancers(
            lvs=self.lvs,
            settings=settings,
            certificates=self.certificates,
            ping=own.state_dir / "ping-wrapper.sh",
        )
        self.topology = Topology(
            network=self.network,
            keepalived=self.keepalived,
            gate=self.gate,
            path=own.state_dir / "topology.json",
            configured=settings.controller.loadbalancer_topology,
        )
        self.heartbeat = Heartbeat(
            amphora_id=settings.agent.amphora_id,
            settings=lambda: self.mutable.settings.health,
            snapshot=self.balancers.snapshot,
            fit=lambda: self.keepalived.running or not self.keepalived.configured,
        )
        self.metrics = MetricsProxy(self.network.namespace)
        self.system = System(interfaces=self.network.interfaces)
        self.mutable = MutableSettings(
            settings=settings,
            vault=self.vault,
            changed=self._changed,
            settled=self.heartbeat.changed,
        )
        self.context: ssl.SSLContext | None = None
        self._release = ""
        self._app: App | None = None
        self._server: ApiServer | None = None

    # -- life --------------------------------------------------------------------------------

    def open(self) -> None:
        """Bring the stored state into force, then serve the API. Raises LibraError.

        What belongs to traffic and fails is logged: the API must be there to mend it.
        """
        own = self._settings.own
        for directory in (own.state_dir, own.state_dir / "balancers", own.run_dir):
            _passable(directory)
        if not in_memory(own.run_dir):
            LOG.warning("run_dir %s is not on a memory file system: keys reach a disk", own.run_dir)
        self.context = tls.server_context(
            certificate=self._settings.agent.agent_server_cert,
            authorities=self._settings.agent.agent_server_ca,
            oldest=self._settings.agent.agent_tls_protocol,
        )
        self.fence.open()
        ping.install(own.state_dir)
        self._release = haproxy_version(self._settings.haproxy.haproxy_cmd)
        self.mutable.open()
        self.certificates.restore()
        for part in (self.network.restore, self.topology.open):
            try:
                part()
            except LibraError as error:
                LOG.error("the network is not as it was: %s", error)
        self.balancers.open()
        self.lvs.open()
        self.keepalived.open()
        self._announce(None)
        self.system.start()
        self._serve(self.context)
        self.heartbeat.start(boot=next_boot(own.state_dir / "boot.json"))

    def look(self) -> None:
        """See after everything that runs."""
        self._release = haproxy_version(self._settings.haproxy.haproxy_cmd)
        self.network.look()
        self.balancers.look()
        self.metrics.look(wanted=self.balancers.tell(BACKEND))
        self.lvs.look()
        self.keepalived.watch(self.balancers.admin_sockets())

    def take(self, settings: AmphoraSettings) -> None:
        """Take over settings and the certificate that were changed in files. Raises LibraError."""
        self.mutable.take(settings)
        self._install(self._settings.agent.agent_server_cert.read_bytes())

    def close(self, seconds: float) -> None:
        """Answer what is asked now and go; traffic goes on."""
        self.heartbeat.stop()
        if self._server is not None:
            self._server.stop(seconds)
        self.system.stop()
        self.metrics.close()
        if self._app is not None:
            self._app.close()
        self.keepalived.close()
        self.balancers.close()

    @property
    def port(self) -> int | None:
        """The port of the API, once it is served."""
        return self._server.port if self._server is not None else None

    # -- in parts ----------------------------------------------------------------------------

    def routes(self) -> Iterator[Route]:
        """Every route of the API, and the document of them."""
        routes = list(self._routes())
        yield from (*routes, *OpenApiApi(routes=routes).routes())

    def _routes(self) -> Iterator[Route]:
        id_ = self._settings.agent.amphora_id
        udp = UdpApi(
            listeners=self.lvs, prepare=self._prepare, announce=lambda: self._announce(None)
        )
        for resource in (
            InfoApi(amphora_id=id_, haproxy_version=lambda: self._release),
            TopologyApi(topology=self.topology, amphora_id=id_),
            ListenersApi(balancers=self.balancers, deleted=self._tidy),
            BalancersApi(
                balancers=self.balancers,
                prepare=self._prepare,
                announce=self._announce,
                other=udp.act,
                by_kernel=self.lvs.ids,
            ),
            CertificatesApi(balancers=self.balancers, certificates=self.certificates),
            AgentApi(settings=self.mutable, install=self._install),
            DetailsApi(
                amphora_id=id_,
                haproxy_version=lambda: self._release,
                system=self.system,
                snapshot=self.balancers.snapshot,
                topology=self.topology,
                memory_limit=self._settings.own.memory_limit,
            ),
            udp,
            PlugApi(network=self.network),
            InterfaceApi(network=self.network),
            VrrpApi(keepalived=self.keepalived),
        ):
            routes: Iterable[Route] = resource.routes()
            yield from routes

    def _serve(self, context: ssl.SSLContext) -> None:
        settings = self._settings
        self._app = App(
            routes=self.routes(),
            gate=self.gate,
            fence=self.fence,
            allowed=settings.own.allowed_names,
            read_seconds=settings.agent.agent_request_read_timeout,
        )
        self._server = ApiServer(
            answer=self._app.answer,
            context=context,
            host=settings.haproxy.bind_host,
            port=settings.haproxy.bind_port,
            socket_path=settings.own.run_dir / "api.sock",
            handshake_seconds=settings.own.handshake_timeout,
        )
        self._server.start()

    def _changed(self, settings: AmphoraSettings) -> None:
        """Have the parts take over what changed. Raises LibraError."""
        self.topology.configure(settings.controller.loadbalancer_topology)

    def _install(self, data: bytes) -> None:
        """Bring the agent's own new certificate into force; handshakes are made in the loop."""
        server, context = self._server, self.context
        if server is None or context is None:
            raise RuntimeError("asked before it was opened")
        path = self._settings.agent.agent_server_cert

        async def install() -> None:
            tls.install(data, certificate=path, context=context)

        server.in_loop(install())

    def _announce(self, balancer: str | None) -> None:
        """Tell the neighbours where addresses are; keepalived does so where there are two."""
        if self.topology.wish.topology != SINGLE:
            return
        try:
            self.network.announce(map(ipaddress.ip_address, self.balancers.addresses(balancer)))
        except (LibraError, ValueError) as error:
            LOG.warning("the addresses of %s were not announced: %s", balancer or "all", error)

    def _prepare(self) -> None:
        """Have the addresses there that rested while nobody listened at them."""
        try:
            self.network.wake()
        except LibraError as error:
            LOG.warning("the addresses cannot be brought back: %s", error)

    def _tidy(self) -> None:
        """What nobody uses any more goes."""
        self.keepalived.watch(self.balancers.admin_sockets())
        if self.balancers.listen_everywhere():
            return
        try:
            self.network.rest(frozenset(map(ipaddress.ip_address, self.balancers.addresses())))
        except (LibraError, ValueError) as error:
            LOG.warning("addresses that nobody uses stay: %s", error)


def _passable(directory: Path) -> None:
    """A directory that others may pass through, but not look around in."""
    try:
        directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        directory.chmod(0o711)
    except OSError as error:
        raise DiskError(f"cannot use {directory}: {error.strerror}") from error
