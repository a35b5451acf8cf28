"""One request through the balancer, followed to the receiver: by its ids in the logs, and as spans of one trace."""

import gzip
import json
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.conftest import Platform, eventually

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
ABOVE = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{ABOVE}-01"
REQUEST_ID = "one-request.0001"


class Outside:
    """What stands outside the platform: a receiver of webhooks, and a collector of spans (OTLP over HTTP)."""

    def __init__(self) -> None:
        self.hooks: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.spans: list[tuple[str, Span]] = []  # with the name of the service
        outside, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    content = gzip.decompress(content)
                with lock:
                    if self.path == "/v1/traces":
                        outside.collect(ExportTraceServiceRequest.FromString(content))
                    else:
                        headers = {name.lower(): value for name, value in self.headers.items()}
                        outside.hooks.append((headers, json.loads(content)))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def collect(self, told: ExportTraceServiceRequest) -> None:
        for resource in told.resource_spans:
            facts = {each.key: each.value.string_value for each in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [(facts["service.name"], span) for span in scope.spans]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def outside() -> Iterator[Outside]:
    made = Outside()
    yield made
    made.close()


def send(platform: Platform, outside: Outside) -> tuple[dict[str, str], dict[str, Any]]:
    """Send a message through the balancer, and return what its receiver got: headers and body."""
    hook = {"channel": "webhook", "address": f"{outside.url}/hook"}
    body = {"subject": "Traced", "body": "From end to end.", "recipients": [hook]}
    headers = {"Content-Type": "application/json", "traceparent": TRACEPARENT, "x-request-id": REQUEST_ID}
    request = urllib.request.Request(f"{platform.url}/v1/messages", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.headers["x-request-id"] == REQUEST_ID
    eventually(lambda: outside.hooks, what="the webhook")
    return outside.hooks[0]


def lines(platform: Platform, log: str, **facts: str) -> list[dict[str, Any]]:
    """Return the lines of a process's log that hold these facts."""
    found = []
    for path in platform.state.rglob(f"{log}*.log"):
        for line in path.read_text().splitlines():
            told = json.loads(line) if line.startswith("{") else {}
            if facts.items() <= told.items():
                found.append(told)
    return found


def assert_logged(platform: Platform, delivery: str) -> None:
    """Assert that every process that had to do with the request names it, and its trace."""
    known = {"request_id": REQUEST_ID, "trace_id": TRACE}
    (balanced,) = eventually(lambda: lines(platform, "balancer", event="request", **known), what="balancer's log")
    assert (balanced["path"], balanced["status"]) == ("/v1/messages", 202)
    (answered,) = eventually(lambda: lines(platform, "api", event="http.request", **known), what="the api's log")
    assert answered["path"] == "/v1/messages"
    (sent,) = eventually(lambda: lines(platform, "worker", event="delivery.attempted", **known), what="worker's log")
    assert sent["delivery"] == delivery


@pytest.fixture
def traced(tmp_path: Path, mailbox: tuple[Any, str], outside: Outside) -> Iterator[Platform]:
    """Yield a platform whose processes are told where a collector is."""
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": outside.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
    platform = Platform(tmp_path / "var", {"SMTP_URL": mailbox[1], **settings})
    try:
        platform.up()
        yield platform
    finally:
        platform.clear()


def test_one_request_is_found_in_every_log_and_at_the_receiver(platform: Platform, outside: Outside) -> None:
    headers, body = send(platform, outside)
    assert (headers["traceparent"], headers["x-request-id"]) == (TRACEPARENT, REQUEST_ID)
    assert_logged(platform, body["id"])
    assert platform.answered("worker")
    assert outside.spans == []


def test_with_a_collector_it_is_one_connected_trace(traced: Platform, outside: Outside) -> None:
    headers, body = send(traced, outside)
    assert_logged(traced, body["id"])
    path = ["proxy POST", "POST request", "publish", "consume", "send webhook"]

    def collected() -> dict[str, tuple[str, Span]]:
        mine = [(name, span) for name, span in outside.spans if span.trace_id.hex() == TRACE]
        found = {span.name: (name, span) for name, span in mine}
        return found if set(path) <= set(found) else {}

    spans: dict[str, tuple[str, Span]] = eventually(collected, what="the spans")
    assert [spans[name][0] for name in path] == [
        "waypost-balancer",
        "omnichannel-api",
        "omnichannel-api",
        "omnichannel-worker",
        "omnichannel-worker",
    ]
    above = ABOVE
    for name in path:
        assert spans[name][1].parent_span_id.hex() == above, f"{name} is below what came before it"
        above = spans[name][1].span_id.hex()
    assert headers["traceparent"] == f"00-{TRACE}-{above}-01", "the receiver can go on from the attempt"
    facts = {each.key: each.value for each in spans["POST request"][1].attributes}
    assert facts["http.response.status_code"].int_value == 202
    assert facts["http.route"].string_value.endswith("/messages")
