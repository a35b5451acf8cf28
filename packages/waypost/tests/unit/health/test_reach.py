"""Where checks may go, and where not."""

import pytest

from waypost.health.reach import CheckReach

OWN = [("127.0.0.1", 8500), ("0.0.0.0", 8600)]


def reach(networks: str = "", *, loopback: bool = True) -> CheckReach:
    rule = CheckReach.parse(networks, loopback=loopback, own=OWN)
    return CheckReach(networks=rule.networks, loopback=loopback, own=rule.own, local=lambda address: address in MINE)


MINE = ("127.0.0.1", "127.0.0.2", "10.0.0.5")


@pytest.mark.parametrize(
    ("address", "port", "refused"),
    [
        ("10.0.0.1", 8080, ""),
        ("192.0.2.1", 8500, ""),
        ("2001:db8::1", 443, ""),
        ("127.0.0.1", 8080, ""),
        ("169.254.169.254", 80, "link-local"),
        ("fe80::1", 80, "link-local"),
        ("224.0.0.1", 80, "not the address of one host"),
        ("ff02::1", 80, "not the address of one host"),
        ("255.255.255.255", 80, "not the address of one host"),
        ("0.0.0.0", 80, "not the address of one host"),
        ("::", 80, "not the address of one host"),
        ("::ffff:127.0.0.1", 80, "stands for an IPv4 address"),
        ("::127.0.0.1", 80, "stands for an IPv4 address"),
        ("64:ff9b::a9fe:a9fe", 80, "stands for an IPv4 address"),
        ("2002:7f00:1::", 80, "stands for an IPv4 address"),
        ("127.0.0.1", 8500, "a listener of Waypost itself"),
        ("10.0.0.5", 8600, "a listener of Waypost itself"),
        ("10.0.0.6", 8600, ""),
    ],
)
def test_the_default_rule(address: str, port: int, refused: str) -> None:
    refusal = reach().refusal(address, port)
    assert refused in refusal if refused and refusal else refusal is None and not refused


def test_loopback_is_for_a_registry_on_loopback() -> None:
    assert "loopback" in str(reach(loopback=False).refusal("127.0.0.9", 80))


def test_named_networks_take_the_place_of_the_default_but_not_of_what_is_never_checked() -> None:
    rule = reach("10.0.0.0/8, 169.254.0.0/16, 127.0.0.0/8", loopback=False)
    assert rule.refusal("10.1.2.3", 80) is None
    assert rule.refusal("169.254.1.1", 80) is None
    assert "WAYPOST_CHECK_NETWORKS" in str(rule.refusal("192.0.2.1", 80))
    assert "Waypost itself" in str(rule.refusal("127.0.0.1", 8500))


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/64"):
        CheckReach.parse("10.0.0.0/64", loopback=False)
