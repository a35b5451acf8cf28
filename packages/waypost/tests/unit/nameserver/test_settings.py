"""The nameserver's variables become values, or are refused by name."""

import pytest

from waypost.nameserver.settings import NameserverSettings, Place, parse_places


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("192.0.2.53", [("192.0.2.53", 53)]),
        ("192.0.2.53:5353, 2001:db8::53", [("192.0.2.53", 5353), ("2001:db8::53", 53)]),
        ("[2001:db8::53]:5353,[::1]", [("2001:db8::53", 5353), ("::1", 53)]),
        ("", []),
    ],
)
def test_servers_have_an_address_and_perhaps_a_port(text: str, places: list[tuple[str, int]]) -> None:
    assert parse_places(text) == tuple(Place(*place) for place in places)
    assert parse_places(",".join(map(str, parse_places(text)))) == parse_places(text)


@pytest.mark.parametrize("text", ["example.org", "192.0.2.53:0", "192.0.2.53:65536", "192.0.2.53:", "[::1]:x", "::1]"])
def test_what_is_no_server_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not address or address:port"):
        parse_places(text)


def test_nothing_set_is_a_server_for_one_machine() -> None:
    settings = NameserverSettings.from_environment({})
    assert settings == NameserverSettings()
    assert (settings.transfer_networks.networks, settings.secondaries, settings.forward) == ((), (), ())


def test_a_variable_that_cannot_be_used_is_named() -> None:
    with pytest.raises(ValueError, match="WAYPOST_DNS_STALE_MAX: 'nan' is not a number of seconds"):
        NameserverSettings.from_environment({"WAYPOST_DNS_STALE_MAX": "nan"})
