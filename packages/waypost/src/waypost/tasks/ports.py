"""Every port of a platform, bound before anything starts: one in use is found while there is nothing to undo."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from waypost.settings import ListenAddress, PlatformSettings
from waypost.tasks.errors import InUse
from waypost.tasks.listeners import DnsListener, Listener, bind_dns, bind_tcp

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
    dns: tuple[DnsListener, ...]  # at least one; the first is the one that tasks are told
    dns_admin: Listener
    balancer: BalancerPorts | None  # None: the manifest has none
    admin: Listener | None = None  # the supervisor's own; None: there is no supervisor

    @property
    def addresses(self) -> tuple[ListenAddress, ...]:
        """Where the platform listens, as its tasks are told.

        The supervisor's own is left out: its port is another at each start, and a task whose environment changes is
        replaced instead of adopted.
        """
        balancer = (self.balancer.front, self.balancer.admin) if self.balancer is not None else ()
        return tuple(listener.address for listener in (self.http, *self.dns, self.dns_admin, *balancer))

    @property
    def listeners(self) -> tuple[ListenAddress, ...]:
        """Where it listens, all of it: no check goes there."""
        return self.addresses if self.admin is None else (*self.addresses, self.admin.address)


@contextmanager
def bind_ports(settings: PlatformSettings, *, balancer: bool, supervisor: bool = False) -> Iterator[Ports]:
    """Bind them all; close them at the end.

    :raises InUse: one is somebody else's.
    :raises ManifestInvalid: one cannot be bound here.
    """
    with ExitStack() as sockets:

        def keep(listener: Listener) -> Listener:
            sockets.callback(listener.socket.close)
            return listener

        http = keep(bind_tcp(settings.http_address, "--http-address"))
        dns = []
        for address in settings.dns_address:
            dns.append(bind_dns(address, "--dns-address", workers=settings.dns_workers))
            sockets.callback(dns[-1].close)
        dns_admin = keep(_bind_dns_admin(settings, dns[0].address.port))
        in_front = None
        if balancer:
            in_front = BalancerPorts(
                front=keep(bind_tcp(settings.balancer_address, "--balancer-address")),
                admin=keep(bind_tcp(settings.balancer_admin_address, "--balancer-admin-address")),
            )
        admin = keep(bind_tcp(settings.admin_address, "--admin-address")) if supervisor else None
        yield Ports(http=http, dns=tuple(dns), dns_admin=dns_admin, balancer=in_front, admin=admin)


def _bind_dns_admin(settings: PlatformSettings, dns_port: int) -> Listener:
    """Bind the address that is given, or the port after that of DNS; where that one was free to choose, so is this."""
    flag = "--dns-admin-address"
    if settings.dns_admin_address is not None:
        return bind_tcp(settings.dns_admin_address, flag)
    beside = ListenAddress("127.0.0.1", dns_port + 1 if dns_port < 65_535 else 0)
    try:
        return bind_tcp(beside, flag)
    except InUse:
        if settings.dns_address[0].port:
            raise
        return bind_tcp(ListenAddress("127.0.0.1", 0), flag)
