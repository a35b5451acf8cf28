"""What a careless or hostile client meets: a clear error, or its connection closed; never a hang, never a 500."""

import json
import socket
import urllib.error
import urllib.request
from typing import Any

import pytest

TARGET = "Route53AutoNaming_v20170314."


def post(registry: Any, body: bytes, *, target: str = TARGET + "ListNamespaces", **headers: str) -> tuple[int, Any]:
    given = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1", **headers}
    request = urllib.request.Request(registry.url, data=body, method="POST", headers=given)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, json.loads(refusal.read())


@pytest.mark.parametrize(
    ("body", "type_"),
    [
        (b"{", "SerializationException"),
        (b"\xff\xfe", "SerializationException"),
        (b'{"NextToken": "\xff"}', "SerializationException"),
        (b"[]", "SerializationException"),
        (b"null", "SerializationException"),
        (b'{"MaxResults": "many"}', "SerializationException"),
        (b'{"MaxResults": true}', "SerializationException"),
        (b'{"Filters": {}}', "SerializationException"),
        (b'{"Filters": [null]}', "SerializationException"),
        (b"[" * 100_000, "SerializationException"),
        (b'{"MaxResults": 0}', "InvalidInput"),
        (b'{"MaxResults": 1e400}', "SerializationException"),
        (b'{"NextToken": "WyL_IixbXV0="}', "InvalidInput"),  # base64 of what is no UTF-8
    ],
)
def test_a_malformed_body_is_refused_in_the_protocols_words(shared_registry: Any, body: bytes, type_: str) -> None:
    status, error = post(shared_registry, body)
    assert (status, error["__type"]) == (400, type_)
    assert error["Message"]


def test_an_empty_body_and_null_members_are_absent(shared_registry: Any) -> None:
    assert post(shared_registry, b"")[0] == 200
    assert post(shared_registry, b'{"NextToken": null, "Unheard": 1}')[0] == 200


@pytest.mark.parametrize("target", ["", "Nonsense", TARGET, TARGET + "Explode", "AmazonSQS.SendMessage"])
def test_an_unknown_operation_is_named(shared_registry: Any, target: str) -> None:
    status, error = post(shared_registry, b"{}", target=target)
    assert (status, error["__type"]) == (400, "UnknownOperationException")


def test_a_body_of_ten_megabytes_is_refused_unread(shared_registry: Any) -> None:
    with socket.create_connection(shared_registry.listener.getsockname(), timeout=10) as client:
        head = f"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: {TARGET}ListNamespaces\r\nContent-Length: 10485760\r\n\r\n"
        client.sendall(head.encode())
        answer = b"".join(iter(lambda: client.recv(4096), b""))  # the connection is closed behind it
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"RequestEntityTooLargeException" in answer


def test_a_body_that_grows_past_the_limit_is_refused(shared_registry: Any) -> None:
    with socket.create_connection(shared_registry.listener.getsockname(), timeout=10) as client:
        head = (
            f"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: {TARGET}ListNamespaces\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        client.sendall(head.encode())
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        try:
            for _ in range(40):
                client.sendall(chunk)
        except ConnectionError:
            pass  # it has stopped reading, as it should
        try:
            answer = client.recv(4096)
        except ConnectionError:
            answer = b""
    assert answer == b"" or answer.startswith(b"HTTP/1.1 413 ")
    assert post(shared_registry, b"{}")[0] == 200


def test_a_web_page_cannot_drive_the_registry(shared_registry: Any) -> None:
    status, error = post(shared_registry, b"{}", Origin="https://attacker.example")
    assert (status, error["__type"]) == (403, "AccessDeniedException")


def test_more_headers_than_anyone_needs_are_refused(shared_registry: Any) -> None:
    with socket.create_connection(shared_registry.listener.getsockname(), timeout=10) as client:
        many = "".join(f"X-{number}: y\r\n" for number in range(150))
        client.sendall(f"GET /health HTTP/1.1\r\nHost: x\r\n{many}\r\n".encode())
        assert client.recv(4096).startswith(b"HTTP/1.1 400 ")


def test_slow_clients_hold_up_nobody(shared_registry: Any) -> None:
    slow = [socket.create_connection(shared_registry.listener.getsockname(), timeout=10) for _ in range(200)]
    try:
        for client in slow:
            client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Le")  # and no more
        assert post(shared_registry, b"{}")[0] == 200
    finally:
        for client in slow:
            client.close()


def test_health_and_metrics_are_told(shared_registry: Any) -> None:
    with urllib.request.urlopen(f"{shared_registry.url}/health", timeout=10) as answer:
        assert json.loads(answer.read())["status"] == "ok"
    with urllib.request.urlopen(f"{shared_registry.url}/metrics", timeout=10) as answer:
        assert b"waypost_revision" in answer.read()


def test_what_is_no_http_leaves_a_line_of_json_in_the_log(shared_registry: Any) -> None:
    with socket.create_connection(shared_registry.listener.getsockname(), timeout=10) as client:
        client.sendall(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 400 ")
    lines = [json.loads(line) for line in (shared_registry.state / "registry.log").read_text().splitlines()]
    said = [each for each in lines if each["event"] == "library.said"]
    assert {"by": "uvicorn.error", "words": "Invalid HTTP request received."}.items() <= said[-1].items()
