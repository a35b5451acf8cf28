"""A defect costs one answer, and is told in the log."""

from structlog.testing import capture_logs

from waypost.nameserver.clients import Client
from waypost.nameserver.front import Front
from waypost.nameserver.messages import Transport
from waypost.promise import PromiseLog


class Broken:
    def reply(self, wire: bytes, transport: Transport, client: Client) -> bytes | None:
        raise RuntimeError("a defect")


def test_a_query_that_breaks_the_core_is_answered_with_servfail_and_logged() -> None:
    with capture_logs() as logs:
        reply = Front(Broken(), PromiseLog(None)).reply(b"id\1\0" + b"\0" * 8, Transport.UDP, "192.0.2.1", now=0)
    assert reply == b"id\x81\x02" + b"\0" * 8
    assert [(entry["event"], entry["query"]) for entry in logs] == [("query.failed", "696401000000000000000000")]


def test_noise_that_breaks_the_core_is_met_with_silence() -> None:
    with capture_logs():
        assert Front(Broken(), PromiseLog(None)).reply(b"noise", Transport.TCP, "192.0.2.1", now=0) is None
