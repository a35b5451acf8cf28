import pytest

from waypost.balancer.limits import Limits
from waypost.balancer.problems import RequestRefused
from waypost.balancer.requests import Header, RequestHead, read_head

HOST = (b"Host", b"example.com")


def head(
    *headers: Header, method: bytes = b"POST", target: bytes = b"/a", version: str = "1.1", limits: Limits | None = None
) -> RequestHead:
    return read_head(method, target, version, headers, keep_alive=True, limits=limits or Limits())


@pytest.mark.parametrize(
    ("headers", "content_length", "chunked"),
    [
        ([HOST], None, False),
        ([HOST, (b"Content-Length", b"0")], 0, False),
        ([HOST, (b"content-length", b"5")], 5, False),
        ([HOST, (b"Transfer-Encoding", b"Chunked")], None, True),
    ],
)
def test_the_framing_of_a_body_is_read(headers: list[Header], content_length: int | None, chunked: bool) -> None:
    read = head(*headers)
    assert (read.content_length, read.chunked) == (content_length, chunked)
    assert read.has_body is (chunked or bool(content_length))


@pytest.mark.parametrize(
    ("target", "path", "host"),
    [
        (b"/", "/", "example.com"),
        (b"/a?b=c", "/a?b=c", "example.com"),
        (b"http://other.example:81/a?b", "/a?b", "other.example:81"),
        (b"http://other.example", "/", "other.example"),
        (b"http://[2001:db8::1]:81/", "/", "[2001:db8::1]:81"),
    ],
)
def test_a_target_is_a_path_or_a_url(target: bytes, path: str, host: str) -> None:
    read = head(HOST, target=target)
    assert (read.path, read.host) == (path, host)


def test_http_1_0_may_go_without_host() -> None:
    assert head(version="1.0").host == ""


def test_a_request_that_asks_for_another_protocol_is_the_last_of_its_connection() -> None:
    assert not head(HOST, (b"Upgrade", b"websocket"), method=b"GET").keep_alive


@pytest.mark.parametrize(
    ("headers", "expects"),
    [
        ([(b"Expect", b"100-Continue"), (b"Content-Length", b"5")], True),
        ([(b"Expect", b"100-continue")], False),
        ([(b"Content-Length", b"5")], False),
    ],
)
def test_to_go_on_is_expected_only_with_a_body(headers: list[Header], expects: bool) -> None:
    assert head(HOST, *headers).expects_continue is expects


@pytest.mark.parametrize(
    ("status", "headers", "rest"),
    [
        (505, [HOST], {"version": "2.0"}),
        (501, [(b"Transfer-Encoding", b"chunked")], {"version": "1.0"}),
        (501, [HOST, (b"Transfer-Encoding", b"gzip")], {}),
        (501, [HOST, (b"Upgrade", b"x"), (b"Content-Length", b"5")], {}),
        (400, [HOST, (b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"5")], {}),
        (400, [HOST, (b"Content-Length", b"5"), (b"Content-Length", b"5")], {}),
        (400, [HOST, (b"Content-Length", b"\xd9\xa5")], {}),
        (413, [HOST, (b"Content-Length", b"11")], {"limits": Limits(body_bytes=10)}),
        (413, [HOST, (b"Content-Length", b"9" * 5000)], {}),
        (431, [HOST] * 3, {"limits": Limits(headers=2)}),
        (400, [], {}),
        (400, [HOST, HOST], {}),
        (400, [(b"Host", "bücher.example".encode())], {}),
        (400, [(b"Host", b"a.example, b.example")], {}),
        (400, [HOST], {"target": b"/a#b"}),
        (400, [HOST, (b"X", b"\xff")], {}),
        (400, [HOST], {"target": b"*"}),
        (400, [HOST], {"target": b"ftp://example.com/"}),
        (400, [HOST], {"target": b"http://user@example.com/"}),
        (400, [HOST], {"target": b"http:///a"}),
        (405, [HOST], {"method": b"CONNECT", "target": b"example.com:80"}),
    ],
)
def test_what_may_not_be_passed_on_is_refused(status: int, headers: list[Header], rest: dict[str, object]) -> None:
    with pytest.raises(RequestRefused) as refused:
        head(*headers, **rest)  # type: ignore[arg-type]
    assert refused.value.status == status
    assert refused.value.detail
