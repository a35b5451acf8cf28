import pytest

from waypost_client import Endpoint


@pytest.mark.parametrize("text", ["192.0.2.1:8080", "[2001:db8::1]:53", "127.0.0.1:65535"])
def test_what_an_endpoint_prints_it_also_parses(text: str) -> None:
    assert str(Endpoint.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "192.0.2.1",
        "192.0.2.1:",
        "192.0.2.1:0",
        "192.0.2.1:65536",
        "192.0.2.1:+1",
        "192.0.2.1:²",
        "example.com:80",
        "::1:80",
        "[::1:80",
    ],
)
def test_anything_but_an_address_and_a_port_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        Endpoint.parse(text)
