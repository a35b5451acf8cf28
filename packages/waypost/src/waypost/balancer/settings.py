"""What the environment decides about the balancer."""

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Final

from waypost.balancer.checks import CheckPolicy
from waypost.balancer.limits import Limits
from waypost.component import inherited_socket

__all__ = ["BalancerSettings", "SettingInvalid", "parse_variables"]

LISTENER: Final = "WAYPOST_BALANCER_FD"
ADMIN_LISTENER: Final = "WAYPOST_BALANCER_ADMIN_FD"
NAMESPACE: Final = "WAYPOST_BALANCER_NAMESPACE"
SERVICE: Final = "WAYPOST_BALANCER_SERVICE"
REGISTRY: Final = "AWS_ENDPOINT_URL_SERVICEDISCOVERY"
ACCESS_LOG: Final = "WAYPOST_BALANCER_ACCESS_LOG"
BODY_BYTES: Final = "WAYPOST_BALANCER_BODY_BYTES"
CHECK_PATH: Final = "WAYPOST_BALANCER_CHECK_PATH"
TRUSTED_PROXIES: Final = "WAYPOST_BALANCER_TRUSTED_PROXIES"

PATH: Final = re.compile(r"/[!-~]*")  # printable ASCII without a space


class SettingInvalid(Exception):
    """A variable of the environment cannot be used."""

    def __init__(self, variable: str, reason: str) -> None:
        super().__init__(variable, reason)
        self.variable, self.reason = variable, reason

    def __str__(self) -> str:
        return f"{self.variable}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancerSettings:
    """Where the balancer listens, and for whom."""

    listener: socket.socket
    admin_listener: socket.socket
    namespace: str
    service: str
    registry_url: str | None  # None: AWS's own Cloud Map
    log_requests: bool = True
    limits: Limits = field(default_factory=Limits)
    checks: CheckPolicy | None = field(default_factory=CheckPolicy)  # None: targets are not checked
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()  # whose X-Forwarded-… headers are believed

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "BalancerSettings":
        """Take over the listening sockets and read the rest.

        :raises SettingInvalid: a variable is missing, or is not what it has to be.
        """
        for variable in (LISTENER, ADMIN_LISTENER, NAMESPACE, SERVICE):
            if not environment.get(variable):
                raise SettingInvalid(variable, "missing")
        return cls(
            namespace=environment[NAMESPACE],
            service=environment[SERVICE],
            registry_url=environment.get(REGISTRY) or None,
            **parse_variables(environment),
            listener=_socket(environment, LISTENER),
            admin_listener=_socket(environment, ADMIN_LISTENER),
        )


def parse_variables(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings that a user's own variables decide; those that are not given have their defaults.

    :raises SettingInvalid: a variable is not what it has to be.
    """
    return {
        "log_requests": _is_on(environment),
        "limits": Limits(body_bytes=_body_bytes(environment)),
        "checks": _checks(environment),
        "trusted_proxies": _networks(environment),
    }


def _socket(environment: Mapping[str, str], variable: str) -> socket.socket:
    try:
        return inherited_socket(environment, variable)
    except (ValueError, OSError) as error:
        raise SettingInvalid(variable, f"not the descriptor of a socket: {error}") from error


def _is_on(environment: Mapping[str, str]) -> bool:
    value = environment.get(ACCESS_LOG) or "on"
    if value not in ("on", "off"):
        raise SettingInvalid(ACCESS_LOG, f"{value!r} is neither on nor off")
    return value == "on"


def _body_bytes(environment: Mapping[str, str]) -> int:
    value = environment.get(BODY_BYTES) or str(Limits().body_bytes)
    if not (value.isascii() and value.isdigit()):
        raise SettingInvalid(BODY_BYTES, f"{value!r} is not a number of bytes")
    return int(value)


def _checks(environment: Mapping[str, str]) -> CheckPolicy | None:
    path = environment.get(CHECK_PATH) or CheckPolicy().path
    if path == "off":
        return None
    if not PATH.fullmatch(path):
        raise SettingInvalid(CHECK_PATH, f"{path!r} is neither off nor a path such as /health")
    return CheckPolicy(path=path)


def _networks(environment: Mapping[str, str]) -> tuple[IPv4Network | IPv6Network, ...]:
    listed = environment.get(TRUSTED_PROXIES, "")
    try:
        return tuple(ip_network(each.strip()) for each in listed.split(",") if each.strip())
    except ValueError as error:
        raise SettingInvalid(TRUSTED_PROXIES, f"{error}; give networks separated by commas") from error
