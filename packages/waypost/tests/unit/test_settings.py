"""Flags and environment become values, or are refused."""

import pytest

from waypost.settings import ListenAddress, parse_database_url, parse_relaxations, parse_task_network


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:8500", "127.0.0.1", 8500), ("localhost:0", "127.0.0.1", 0), ("[::1]:53", "::1", 53)],
)
def test_an_address_has_a_host_and_a_port(text: str, host: str, port: int) -> None:
    assert ListenAddress.parse(text) == ListenAddress(host, port)


@pytest.mark.parametrize("text", ["", "8500", ":8500", "127.0.0.1", "127.0.0.1:http", "127.0.0.1:65536", "web:80"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not host:port|does not appear to be an IPv4 or IPv6 address"):
        ListenAddress.parse(text)


def test_an_address_reads_back() -> None:
    for text in ("127.0.0.1:8500", "[::1]:53"):
        assert str(ListenAddress.parse(text)) == text


def test_a_listener_on_every_address_is_reached_on_loopback() -> None:
    assert str(ListenAddress.parse("0.0.0.0:53").to_connect) == "127.0.0.1:53"
    assert str(ListenAddress.parse("[::]:53").to_connect) == "[::1]:53"
    assert str(ListenAddress.parse("192.0.2.1:53").to_connect) == "192.0.2.1:53"


def test_tasks_live_on_loopback() -> None:
    assert str(parse_task_network("127.88.0.0/16")) == "127.88.0.0/16"
    with pytest.raises(ValueError, match=r"not inside 127\.0\.0\.0/8"):
        parse_task_network("10.0.0.0/8")


def test_only_known_rules_can_be_relaxed() -> None:
    assert parse_relaxations("nodata, more-than-8") == ("nodata", "more-than-8")
    assert parse_relaxations("") == ()
    with pytest.raises(ValueError, match="'ttl' cannot be relaxed"):
        parse_relaxations("ttl")


@pytest.mark.parametrize(
    "text", ["sqlite:////srv/registry.db", "postgresql://waypost@db.example/waypost", "postgres://u:p@[::1]:5432/w"]
)
def test_the_address_of_a_database_is_taken_as_it_is(text: str) -> None:
    assert parse_database_url(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "registry.db", "mysql://db.example/waypost", "sqlite://", "sqlite:///:memory:", "postgresql://db.example:x/w"],
)
def test_what_is_no_address_of_a_database_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^the address (is neither sqlite:///path|names no file)"):
        parse_database_url(text)
