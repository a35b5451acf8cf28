"""A defect costs one answer, and is told in the log."""

from structlog.testing import capture_logs

from waypost.nameserver.answerer import Transport
from waypost.nameserver.front import Front
from waypost.promise import PromiseLog


class Broken:
    def reply(self, wire: bytes, transport: Transport) -> bytes | None:
        raise RuntimeError("a defect")


def test_a_query_that_breaks_the_core_is_answered_with_servfail_and_logged() -> None:
    with capture_logs() as logs:
        reply = Front(Broken(), PromiseLog(None)).reply(b"id\1\0" + b"\0" * 8, Transport.UDP)
    assert reply == b"id\x81\x02" + b"\0" * 8
    assert [(entry["event"], entry["query"]) for entry in logs] == [("query.failed", "696401000000000000000000")]


def test_noise_that_breaks_the_core_is_met_with_silence() -> None:
    with capture_logs():
        assert Front(Broken(), PromiseLog(None)).reply(b"noise", Transport.TCP) is None
