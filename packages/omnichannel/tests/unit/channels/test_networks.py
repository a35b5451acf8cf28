import pytest

from omnichannel.channels.networks import AddressRefused, ReachableNetworks

PUBLIC_ONLY = ReachableNetworks.parse("")


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "64:ff9b::808:808"])
def test_public_addresses_are_reached(address: str) -> None:
    PUBLIC_ONLY.judge(address, 443)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.88.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",  # where clouds serve a machine's credentials
        "192.0.2.1",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fd00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "2002:7f00:1::",  # 6to4 of 127.0.0.1
        "64:ff9b::7f00:1",  # NAT64 of 127.0.0.1
        "127.1",
        "2130706433",
        "localhost",
        "",
    ],
)
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(AddressRefused):
        PUBLIC_ONLY.judge(address, 443)


def test_a_named_network_is_reached() -> None:
    networks = ReachableNetworks.parse("127.0.0.0/8, fd00::/8,")
    networks.judge("127.0.0.1", 9000)
    networks.judge("::ffff:127.0.0.1", 9000)
    networks.judge("fd00::1", 9000)
    with pytest.raises(AddressRefused, match="WEBHOOK_ALLOW_NETWORKS"):
        networks.judge("10.0.0.1", 9000)


@pytest.mark.parametrize("address", ["169.254.169.254", "224.0.0.1", "0.0.0.0", "fe80::1"])
def test_what_is_no_single_host_is_refused_even_in_a_named_network(address: str) -> None:
    with pytest.raises(AddressRefused):
        ReachableNetworks.parse("0.0.0.0/0,::/0").judge(address, 80)


def test_own_listeners_are_never_reached() -> None:
    networks = ReachableNetworks.parse("127.0.0.0/8", own=[("127.0.0.1", 8500)])
    networks.judge("127.0.0.1", 8501)
    networks.judge("127.0.0.2", 8500)
    with pytest.raises(AddressRefused, match="listener of this platform"):
        networks.judge("127.0.0.1", 8500)


def test_a_listener_on_every_address_is_known_by_each_loopback_address() -> None:
    networks = ReachableNetworks.parse("127.0.0.0/8", own=[("0.0.0.0", 8080)])
    with pytest.raises(AddressRefused, match="listener of this platform"):
        networks.judge("127.88.3.4", 8080)
    networks.judge("8.8.8.8", 8080)


def test_what_is_no_network_is_named() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/99"):
        ReachableNetworks.parse("127.0.0.0/8,10.0.0.0/99")
