import socket
from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from waypost.balancer.checks import CheckPolicy
from waypost.balancer.settings import BalancerSettings, SettingInvalid


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """What a supervisor sets at least."""
    descriptors = [socket.socket().detach() for _ in range(2)]
    yield {
        "WAYPOST_BALANCER_FD": str(descriptors[0]),
        "WAYPOST_BALANCER_ADMIN_FD": str(descriptors[1]),
        "WAYPOST_BALANCER_NAMESPACE": "example.com",
        "WAYPOST_BALANCER_SERVICE": "api",
    }
    for descriptor in descriptors:
        socket.close(descriptor)


def read(environment: dict[str, str]) -> BalancerSettings:
    settings = BalancerSettings.from_environment(environment)
    settings.listener.detach()
    settings.admin_listener.detach()
    return settings


def test_the_rest_has_defaults(environment: dict[str, str]) -> None:
    settings = read(environment)
    assert (settings.namespace, settings.service, settings.registry_url) == ("example.com", "api", None)
    assert (settings.log_requests, settings.limits.body_bytes, settings.trusted_proxies) == (True, 64 * 1024 * 1024, ())


def test_each_setting_has_a_variable(environment: dict[str, str]) -> None:
    settings = read(
        environment
        | {
            "AWS_ENDPOINT_URL_SERVICEDISCOVERY": "http://127.0.0.1:8500",
            "WAYPOST_BALANCER_ACCESS_LOG": "off",
            "WAYPOST_BALANCER_BODY_BYTES": "1000",
            "WAYPOST_BALANCER_CHECK_PATH": "/up",
            "WAYPOST_BALANCER_TRUSTED_PROXIES": "192.0.2.0/24, 2001:db8::/32",
        }
    )
    assert (settings.registry_url, settings.log_requests) == ("http://127.0.0.1:8500", False)
    assert settings.limits.body_bytes == 1000
    assert settings.checks == CheckPolicy(path="/up")
    assert read(environment | {"WAYPOST_BALANCER_CHECK_PATH": "off"}).checks is None
    assert settings.trusted_proxies == (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("WAYPOST_BALANCER_FD", ""),
        ("WAYPOST_BALANCER_FD", "x"),
        ("WAYPOST_BALANCER_FD", "99999"),
        ("WAYPOST_BALANCER_ADMIN_FD", ""),
        ("WAYPOST_BALANCER_NAMESPACE", ""),
        ("WAYPOST_BALANCER_SERVICE", ""),
        ("WAYPOST_BALANCER_ACCESS_LOG", "yes"),
        ("WAYPOST_BALANCER_BODY_BYTES", "-1"),
        ("WAYPOST_BALANCER_CHECK_PATH", "health"),
        ("WAYPOST_BALANCER_CHECK_PATH", "/a b"),
        ("WAYPOST_BALANCER_CHECK_PATH", "/a\r\nX: y"),
        ("WAYPOST_BALANCER_TRUSTED_PROXIES", "192.0.2.1/24"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(environment: dict[str, str], variable: str, value: str) -> None:
    with pytest.raises(SettingInvalid) as invalid:
        read(environment | {variable: value})
    assert str(invalid.value).startswith(f"{variable}: ")
