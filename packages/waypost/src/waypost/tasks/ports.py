"""Every port of a platform, bound before anything starts: one in use is found while there is nothing to undo."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from waypost.settings import ListenAddress, PlatformSettings
from waypost.tasks.listeners import Listener, bind_dns, bind_tcp

__all__ = ["BalancerPorts", "Ports", "bind_ports"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancerPorts:
    """Where the balancer listens: in front, and for its operators."""

    front: Listener
    admin: Listener


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Every socket that the platform listens on."""

    http: Listener
    dns_datagrams: Listener
    dns_streams: Listener
    balancer: BalancerPorts | None  # None: the manifest has none

    @property
    def addresses(self) -> tuple[ListenAddress, ...]:
        """Where the platform itself listens."""
        balancer = (self.balancer.front, self.balancer.admin) if self.balancer is not None else ()
        return tuple(listener.address for listener in (self.http, self.dns_streams, *balancer))


@contextmanager
def bind_ports(settings: PlatformSettings, *, balancer: bool) -> Iterator[Ports]:
    """Bind them all; close them at the end.

    :raises InUse: one is somebody else's.
    :raises ManifestInvalid: one cannot be bound here.
    """
    with ExitStack() as sockets:

        def keep(listener: Listener) -> Listener:
            sockets.callback(listener.socket.close)
            return listener

        http = keep(bind_tcp(settings.http_address, "--http-address"))
        datagrams, streams = map(keep, bind_dns(settings.dns_address, "--dns-address"))
        in_front = None
        if balancer:
            in_front = BalancerPorts(
                front=keep(bind_tcp(settings.balancer_address, "--balancer-address")),
                admin=keep(bind_tcp(settings.balancer_admin_address, "--balancer-admin-address")),
            )
        yield Ports(http=http, dns_datagrams=datagrams, dns_streams=streams, balancer=in_front)
