"""Names that multicast DNS claims. Source: RFC 6762 sections 3 and 22.1."""

from collections.abc import Sequence

from waypost.catalog.changes import NamespaceCreated, Recorded
from waypost.catalog.model import NamespaceType
from waypost.structured_log import structlog

__all__ = ["MulticastWarning", "multicast_warning"]

log = structlog.get_logger()


class MulticastWarning:
    """Warns in the log when a DNS namespace under ``.local`` is created; a listener of the registry."""

    def publish(self, changes: Sequence[Recorded]) -> None:
        for change in (each.change for each in changes):
            if isinstance(change, NamespaceCreated) and change.namespace.type is not NamespaceType.HTTP:
                warning = multicast_warning([change.namespace.name])
                if warning is not None:
                    log.warning("namespace.under_local", namespace=change.namespace.id, warning=warning)

    def restarted(self) -> None:
        """Do nothing: what is there is no news."""


def multicast_warning(namespaces: Sequence[str]) -> str | None:
    """Return what to know about namespaces under ``.local``; None if none is."""
    concerned = [name for name in namespaces if name.lower().rstrip(".").rpartition(".")[2] == "local"]
    if not concerned:
        return None
    return (
        f"{', '.join(concerned)}: many systems look names under .local up by multicast and never ask a name server for "
        "them. Send the name to Waypost explicitly (`waypost resolver install`), have nss-mdns answer only names of "
        "two labels (`mdns4_minimal` in /etc/nsswitch.conf), or choose a name under .internal or .test instead."
    )
