"""What to check of an instance whose service has a HealthCheckConfig. Pure.

Cloud Map says type, path and threshold; attributes of the service say the rest, and more finely. An attribute that
cannot be used counts as absent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from waypost.catalog.health_settings import GRPC, GRPC_SERVICE, GRPC_SERVICE_LENGTH, LIMITS, whole_number
from waypost.catalog.model import Health, HealthCheckType, Instance, Service, decode_attributes
from waypost.health.probe import CheckKind
from waypost.health.reach import CheckReach
from waypost.health.wire import Watch

__all__ = ["Refused", "plan_check"]

INTERVAL_MS: Final = 5_000
TIMEOUT_MS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Refused:
    """The instance's address may not be checked: it counts as unhealthy."""

    reason: str


def plan_check(service: Service, instance: Instance, reach: CheckReach, *, fresh: bool) -> Watch | Refused | None:
    """Return the check of an instance, or None where there is none: without a check, or without an address.

    :param fresh: it was registered just now: it is checked at once, and nothing is believed of it.
    """
    check = service.health_check
    attributes = decode_attributes(instance.attributes)
    address = attributes.get("AWS_INSTANCE_IPV4") or attributes.get("AWS_INSTANCE_IPV6")
    if check is None or address is None or "AWS_INSTANCE_PORT" not in attributes:
        return None
    port = int(attributes["AWS_INSTANCE_PORT"])
    refusal = reach.refusal(address, port)
    if refusal is not None:
        return Refused(refusal)
    settings = dict(service.attributes)
    kind: CheckKind = "https" if check.type is HealthCheckType.HTTPS else "http"
    path = check.path or "/"
    if check.type is HealthCheckType.TCP:
        grpc = GRPC in service.attributes
        kind, path = ("grpc", settings.get(GRPC_SERVICE, "")[:GRPC_SERVICE_LENGTH]) if grpc else ("tcp", "")
    return Watch(
        number=0,
        kind=kind,
        address=address,
        port=port,
        path=path if kind in ("tcp", "grpc") or path.startswith("/") else f"/{path}",
        interval_ms=_setting(settings, "WAYPOST_CHECK_INTERVAL_MS", INTERVAL_MS),
        timeout_ms=_setting(settings, "WAYPOST_CHECK_TIMEOUT_MS", TIMEOUT_MS),
        rise=_setting(settings, "WAYPOST_CHECK_RISE", check.failure_threshold),
        fall=_setting(settings, "WAYPOST_CHECK_FALL", check.failure_threshold),
        healthy=None if fresh else instance.health is not Health.UNHEALTHY,
        weighed=not instance.supervised,
    )


def _setting(settings: Mapping[str, str], name: str, default: int) -> int:
    number = whole_number(settings.get(name, ""), *LIMITS[name])
    return default if number is None else number
