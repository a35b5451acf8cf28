"""Rates from what is seen of connections and counters, once and again."""

import socket
import sys

import pytest

from waypost.dashboard.flows import read_requests
from waypost.dashboard.traffic import Connection, EdgeRates, connections

CALLED = {("127.0.9.1", 8080): "worker", ("127.0.9.2", 8080): "worker", ("127.0.9.3", 8080): "api"}
CALLERS = {"127.0.9.1": "worker", "127.0.9.3": "api"}


def seen(octets: int, *, port: int = 40_000, caller: str = "127.0.9.3", called: str = "127.0.9.1") -> Connection:
    return Connection(caller, port, called, 8080, octets)


def test_rates_are_what_was_added_since_the_last_look() -> None:
    rates = EdgeRates()
    (first,) = rates.take([seen(5_000)], CALLERS, CALLED, now=10.0)
    assert (first.caller, first.called, first.connections, first.octets_s) == ("api", "worker", 1, 0.0)
    (second,) = rates.take([seen(6_000), seen(500, port=40_001, called="127.0.9.2")], CALLERS, CALLED, now=12.0)
    assert (second.connections, second.octets_s) == (2, 750.0)
    (third,) = rates.take([seen(500, port=40_001, called="127.0.9.2")], CALLERS, CALLED, now=13.0)
    assert (third.connections, third.octets_s) == (1, 0.0)
    (reused,) = rates.take([seen(100, port=40_001, called="127.0.9.2")], CALLERS, CALLED, now=14.0)
    assert reused.octets_s == 0.0  # never below nothing


def test_who_is_not_known_is_left_out() -> None:
    assert EdgeRates().take([seen(1, caller="127.0.0.1"), seen(1, called="127.0.9.9")], CALLERS, CALLED, now=1.0) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux's kernel can be asked")
def test_the_kernel_tells_of_a_connection_what_goes_over_it() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname(), source_address=("127.0.9.3", 0)) as caller,
    ):
        taken, _ = server.accept()
        with taken:
            caller.sendall(b"x" * 1_000)
            assert len(taken.recv(2_000)) == 1_000
            taken.sendall(b"y" * 500)
            caller.recv(2_000)
            host, port = server.getsockname()
            (found,) = connections({(host, port): "worker"})
    assert (found.caller, found.called, found.called_port) == ("127.0.9.3", host, port)
    assert found.octets >= 1_500


def test_the_balancers_requests_are_read_from_its_metrics() -> None:
    text = """# TYPE waypost_balancer_requests_total counter
waypost_balancer_requests_total{status="200"} 40.0
waypost_balancer_requests_total{status="503"} 2.0
waypost_balancer_requests_created{status="200"} 1.7e+09
"""
    assert read_requests(text) == (42.0, 2.0)
    assert read_requests("") == (0, 0)
