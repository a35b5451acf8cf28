"""Ports that are free, and who holds those that are not."""

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from waypost.settings import ListenAddress
from waypost.tasks.errors import InUse, ManifestInvalid
from waypost.tasks.listeners import bind_dns, bind_tcp, find_free_port, is_free
from waypost_client.endpoint import Endpoint


@pytest.fixture
def taken() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def everywhere() -> Iterator[int]:
    with socket.create_server(("0.0.0.0", 0)) as listener:
        yield listener.getsockname()[1]


def test_port_zero_becomes_one_that_was_chosen() -> None:
    listener = bind_tcp(ListenAddress("127.0.0.1", 0), "--http-address")
    with listener.socket:
        assert listener.address.port == listener.socket.getsockname()[1] != 0


def test_dns_has_one_port_for_both_protocols() -> None:
    with closing(bind_dns(ListenAddress("127.0.0.1", 0), "--dns-address")) as dns:
        (datagrams,) = dns.datagrams
        assert datagrams.getsockname() == dns.streams.getsockname() == (dns.address.host, dns.address.port)


@pytest.mark.parametrize("workers", [1, 2])
def test_queries_that_wait_have_as_much_room_as_the_system_allows(workers: int) -> None:
    most = int(Path("/proc/sys/net/core/rmem_max").read_text())
    with closing(bind_dns(ListenAddress("127.0.0.1", 0), "--dns-address", workers=workers)) as dns:
        for each in dns.datagrams:  # the system counts twice what was asked for, socket(7)
            assert each.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 2 * min(4 << 20, most)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_dns_workers_share_a_port_that_nobody_else_can_join(host: str) -> None:
    with closing(bind_dns(ListenAddress(host, 0), "--dns-address", workers=3)) as dns:
        assert len({each.getsockname()[:2] for each in dns.datagrams}) == 1
        assert len(dns.datagrams) == 3
        with pytest.raises(InUse):
            bind_dns(dns.address, "--dns-address", workers=3)


def test_every_ipv4_address_and_every_ipv6_address_have_a_listener_each() -> None:
    with closing(bind_dns(ListenAddress("0.0.0.0", 0), "--dns-address")) as ipv4:
        bind_dns(ListenAddress("::", ipv4.address.port), "--dns-address").close()


def test_a_port_in_use_is_told_with_its_holder_and_the_flag(taken: socket.socket) -> None:
    address = ListenAddress("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(InUse) as refused:
        bind_tcp(address, "--http-address")
    assert f"(pid {os.getpid()})" in refused.value.problem
    assert "--http-address" in refused.value.mend


def test_a_datagram_port_in_use_is_told_too() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        with pytest.raises(InUse, match=rf"\(UDP\) .* \(pid {os.getpid()}\)"):
            bind_dns(ListenAddress("127.0.0.1", holder.getsockname()[1]), "--dns-address")


def test_a_listener_on_every_address_takes_the_port_of_each(everywhere: int) -> None:
    assert not is_free(Endpoint("127.88.0.9", everywhere))
    with pytest.raises(InUse, match="on every address"):
        bind_tcp(ListenAddress("127.88.0.9", everywhere), "--http-address")


def test_a_listener_on_one_address_leaves_the_others(taken: socket.socket) -> None:
    assert is_free(Endpoint("127.88.0.9", taken.getsockname()[1]))
    assert not is_free(Endpoint("127.0.0.1", taken.getsockname()[1]))


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(ManifestInvalid, match=r"cannot listen on 192\.0\.2\.1:0"):
        bind_tcp(ListenAddress("192.0.2.1", 0), "--http-address")


def test_a_free_port_is_free_everywhere() -> None:
    assert is_free(Endpoint("127.88.0.9", find_free_port()))
