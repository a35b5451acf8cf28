"""Whatever is sent to the calls beyond Cloud Map's API is answered in the protocol's words: no 500, no hang."""

import http.client
import json
import os
from typing import Any
from urllib.parse import quote, urlencode

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SETTINGS = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
TEXT = st.text(max_size=40) | st.sampled_from(["x.internal", "web", "n", "true", "0", "-1", "%", "../..", "\x00", "💥"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)
ENTRY = st.fixed_dictionaries({}, optional={"id": JSON, "attributes": JSON | st.dictionaries(TEXT, TEXT, max_size=3)})
BATCH = st.fixed_dictionaries(
    {}, optional={"namespace": JSON, "service": JSON, "instances": JSON | st.lists(ENTRY | JSON, max_size=5)}
)
QUERY = st.lists(
    st.tuples(
        st.sampled_from(["namespace", "service", "instance", "limit", "cursor", "force", "dry_run", "name", "type"])
        | TEXT,
        TEXT,
    ),
    max_size=5,
)
VISIBLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30)
CALLS = st.sampled_from(
    [
        ("GET", "/watch"),
        ("GET", "/history"),
        ("GET", "/explain"),
        ("POST", "/batch"),
        ("DELETE", "/services"),
        ("DELETE", "/namespaces"),
    ]
)


def send(registry: Any, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(*registry.listener.getsockname(), timeout=30)
    try:
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        if answer.getheader("content-type") == "text/event-stream; charset=utf-8":
            return answer.status, b""
        return answer.status, answer.read()
    finally:
        connection.close()


def is_answered(registry: Any, method: str, path: str, body: bytes = b"", **headers: str) -> None:
    status, raw = send(registry, method, path, body, **headers)
    assert 200 <= status < 500, raw
    if status >= 400 and status not in (404, 405):
        error = json.loads(raw)
        assert error["__type"]
        assert error["Message"]


@SETTINGS
@given(
    call=CALLS, query=QUERY, last=st.none() | st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30)
)
def test_any_query_is_answered(
    shared_registry: Any, call: tuple[str, str], query: list[tuple[str, str]], last: str | None
) -> None:
    headers = {} if last is None else {"Last-Event-ID": last}
    is_answered(shared_registry, call[0], f"{call[1]}?{urlencode(query, quote_via=quote)}", **headers)


@SETTINGS
@given(call=CALLS, query=st.binary(max_size=40))
def test_any_octets_for_a_query_are_answered(shared_registry: Any, call: tuple[str, str], query: bytes) -> None:
    text = "".join(chr(octet) if 33 <= octet < 127 and octet != 35 else f"%{octet:02x}" for octet in query)
    is_answered(shared_registry, call[0], f"{call[1]}?{text}")


@SETTINGS
@given(body=BATCH | JSON)
def test_any_json_for_a_batch_is_answered(shared_registry: Any, body: Any) -> None:
    is_answered(shared_registry, "POST", "/batch", json.dumps(body).encode())


@SETTINGS
@given(body=st.binary(max_size=200))
def test_any_octets_for_a_batch_are_answered(shared_registry: Any, body: bytes) -> None:
    is_answered(shared_registry, "POST", "/batch", body)


def test_deep_and_wide_bodies_are_refused_and_leave_no_memory_behind(shared_registry: Any) -> None:
    bodies = [
        b"[" * 100_000,
        b'{"instances":' * 50_000,
        json.dumps({"namespace": "n", "service": "s", "instances": [{}] * 100_000}).encode(),
        json.dumps({"namespace": "n", "service": "s", "instances": [], "x" * 1_000_000: 1}).encode(),
        b'{"a":' + b"1" * 1_000_000 + b"}",
    ]
    for body in bodies:
        is_answered(shared_registry, "POST", "/batch", body)
    before = _resident(shared_registry.process.pid)
    for _ in range(10):
        for body in bodies:
            is_answered(shared_registry, "POST", "/batch", body)
    assert _resident(shared_registry.process.pid) < before + (64 << 20)


def _resident(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
