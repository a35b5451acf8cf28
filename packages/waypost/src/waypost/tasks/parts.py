"""The parts of one platform beside its tasks: what each is started with. All are components."""

import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path

from waypost.health.link import ProberLink
from waypost.settings import PlatformSettings
from waypost.tasks.access import registry_access
from waypost.tasks.components import Component, Lifeline
from waypost.tasks.manifest import Manifest
from waypost.tasks.ports import BalancerPorts, Ports
from waypost.tasks.stop import BALANCED_S, ENDED_S, StopRequest

__all__ = ["Parts"]


class Parts:
    """Makes the components, and knows them from then on."""

    def __init__(
        self,
        settings: PlatformSettings,
        ports: Ports,
        lifeline: Lifeline,
        stop: StopRequest,
        *,
        state_dir: Path,
        inherited: Mapping[str, str],
        key: tuple[str, str] | None,  # with which the registry is called, where it wants one
        on_change: Callable[[], None],
    ) -> None:
        self._settings, self._ports, self._lifeline, self._stop = settings, ports, lifeline, stop
        self._state_dir, self._inherited, self._key, self._on_change = state_dir, inherited, key, on_change
        self._made: list[Component] = []

    def __iter__(self) -> Iterator[Component]:
        return iter(self._made)

    @property
    def registry_url(self) -> str:
        """Where this machine's processes reach the registry."""
        return f"http://{self._ports.http.address.to_connect}"

    def registry(self, namespace: str = "") -> Component:
        """Return the registry; ``namespace`` is that of the tasks, empty where none are run."""
        return self._make(
            "registry",
            "waypost.server",
            {
                "WAYPOST_DATABASE_URL": self._settings.database_url or f"sqlite:///{self._state_dir / 'registry.db'}",
                "WAYPOST_ACCOUNT": self._settings.account,
                "WAYPOST_QUOTAS": str(self._settings.quotas),
                "WAYPOST_CHECK_NETWORKS": self._settings.check_networks,
                "WAYPOST_LISTENERS": ",".join(map(str, self._ports.listeners)),
                "WAYPOST_PLATFORM_DIR": str(self._state_dir) if namespace else "",
                "WAYPOST_PLATFORM_NAMESPACE": namespace,
                **registry_access(self._settings, self._key),
                **self._feed,
                **self._relax,
            },
            sockets={"WAYPOST_HTTP_FD": self._ports.http.socket},
        )

    def nameserver(self, worker: int) -> Component:
        """Return one process of the nameserver, which the registry feeds."""
        sockets = {"WAYPOST_DNS_ADMIN_FD": self._ports.dns_admin.socket}
        for number, listener in enumerate(self._ports.dns):
            sockets[f"WAYPOST_DNS_UDP_FD_{number}"] = listener.datagrams[worker]
            sockets[f"WAYPOST_DNS_TCP_FD_{number}"] = listener.streams
        return self._make(
            f"nameserver-{worker + 1}" if worker else "nameserver",
            "waypost.nameserver",
            {
                "WAYPOST_DNS_WORKER": str(worker),
                "WAYPOST_DNS_WORKERS": str(self._settings.dns_workers),
                "WAYPOST_DNS_COUNTERS": str(self._state_dir / "dns-counters"),
                **self._settings.dns,
                **self._feed,
                **self._relax,
            },
            sockets=sockets,
        )

    def prober(self, link: ProberLink) -> Component:
        """Return the prober at the other end of the link."""
        return self._make("prober", "waypost.health", {}, line=("WAYPOST_PROBER_FD", link.connect))

    def balancer(self, manifest: Manifest, ports: BalancerPorts) -> Component:
        """Return the balancer in front of the service that the manifest names."""
        assert manifest.balancer is not None
        name = manifest.balancer.service
        checked = next(service.health.path for service in manifest.services if service.name == name)
        return self._make(
            "balancer",
            "waypost.balancer",
            {
                **self._settings.balancer,
                "WAYPOST_BALANCER_NAMESPACE": manifest.namespace,
                "WAYPOST_BALANCER_SERVICE": name,
                "WAYPOST_BALANCER_CHECK_PATH": checked,
                "AWS_ENDPOINT_URL_SERVICEDISCOVERY": self.registry_url,
                "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
                **self._credentials,
            },
            sockets={"WAYPOST_BALANCER_FD": ports.front.socket, "WAYPOST_BALANCER_ADMIN_FD": ports.admin.socket},
            stop_by_s=BALANCED_S,
        )

    @property
    def _credentials(self) -> dict[str, str]:
        if self._key is None:
            return {}
        key_id, secret = self._key
        return {"AWS_ACCESS_KEY_ID": key_id, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": ""}

    @property
    def _feed(self) -> dict[str, str]:
        return {"WAYPOST_FEED": str(self._state_dir / "feed.sock")}

    @property
    def _relax(self) -> dict[str, str]:
        return {"WAYPOST_RELAX": ",".join(self._settings.relax)}

    def _make(
        self,
        name: str,
        module: str,
        environment: Mapping[str, str],
        *,
        sockets: Mapping[str, socket.socket] | None = None,
        stop_by_s: float = ENDED_S,
        line: tuple[str, Callable[[], Awaitable[socket.socket]]] | None = None,
    ) -> Component:
        component = Component(
            name,
            module,
            environment={**self._inherited, **environment},
            sockets=sockets or {},
            log=self._state_dir / "logs" / f"{name}.log",
            lifeline=self._lifeline,
            stop=self._stop,
            stop_by_s=stop_by_s,
            line=line,
            on_change=self._on_change,
        )
        self._made.append(component)
        return component
