"""Under which names unsigned calls are taken."""

import pytest

from waypost.apis.access.hosts import Hosts

HOSTS = Hosts(["registry.example.com", "Other.Example.net:8500"])


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:8500",
        "192.0.2.7:8500",
        "[::1]",
        "[::1]:8500",
        "[2001:db8::1]:1",
        "localhost",
        "LOCALHOST:8500",
        "localhost.",
        "servicediscovery.localhost:8500",
        "data-servicediscovery.localhost",
        "data-127.0.0.1:8500",
        "data-localhost",
        "waypost",
        "data-waypost:8500",
        "my_registry",
        "registry.example.com",
        "data-registry.example.com:443",
        "other.example.net",
    ],
)
def test_a_name_that_no_web_page_can_have_is_trusted(host: str) -> None:
    assert HOSTS.trusts(host.encode())


@pytest.mark.parametrize(
    "host",
    [
        "",
        "attacker.example",
        "attacker.example:8500",
        "data-attacker.example",
        "127.0.0.1.attacker.example",
        "localhost.attacker.example",
        "notlocalhost.example",
        "evil.registry.example.com",
        "registry.example.com.attacker.example",
        "attacker.example/127.0.0.1",
        "user@attacker.example",
        "attacker.example:80:80",
        "[attacker.example]",
        "a b",
        "\xff",
        "0x7f.1",
        "127.1",
    ],
)
def test_any_other_name_is_not(host: str) -> None:
    assert not HOSTS.trusts(host.encode("latin-1"))


def test_what_is_remembered_of_names_is_bounded() -> None:
    hosts = Hosts()
    for number in range(5_000):
        assert not hosts.trusts(f"n{number}.attacker.example".encode())
    assert len(hosts._verdicts) <= 1_024
    assert hosts.trusts(b"localhost")
