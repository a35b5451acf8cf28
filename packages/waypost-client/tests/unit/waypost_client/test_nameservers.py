from pathlib import Path

import pytest

from waypost_client import Endpoint, NameserverUnknown
from waypost_client.nameservers import nameservers


def test_the_variable_comes_before_the_system(tmp_path: Path) -> None:
    missing = str(tmp_path / "resolv.conf")
    assert nameservers({"WAYPOST_DNS": "127.0.0.1:8600"}, resolv_conf=missing) == (Endpoint("127.0.0.1", 8600),)


def test_without_the_variable_the_nameservers_of_the_system_are_asked(tmp_path: Path) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_text("search example.com\nnameserver 192.0.2.53\nnameserver 2001:db8::53\n")
    assert nameservers({}, resolv_conf=str(conf)) == (Endpoint("192.0.2.53", 53), Endpoint("2001:db8::53", 53))


@pytest.mark.parametrize("given", ["127.0.0.1", "ns.example:53", "127.0.0.1:x"])
def test_a_variable_that_is_no_address_and_port_is_named(given: str) -> None:
    with pytest.raises(NameserverUnknown, match=r"^WAYPOST_DNS: .*for example 127\.0\.0\.1:8600"):
        nameservers({"WAYPOST_DNS": given})


def test_a_system_without_nameserver_is_told_what_to_set(tmp_path: Path) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_text("options edns0\n")
    with pytest.raises(NameserverUnknown, match="set WAYPOST_DNS to address:port"):
        nameservers({}, resolv_conf=str(conf))
