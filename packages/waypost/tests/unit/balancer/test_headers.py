from ipaddress import ip_network

import pytest

from waypost.balancer.headers import Forwarding, end_to_end, request_id, trace_id
from waypost.balancer.limits import Limits
from waypost.balancer.requests import Header, RequestHead, read_head

CLAIMED = [
    (b"X-Forwarded-For", b"198.51.100.1"),
    (b"X-Forwarded-Proto", b"https"),
    (b"X-Forwarded-Host", b"shop.example"),
    (b"X-Forwarded-Port", b"443"),
]


def head(*headers: Header) -> RequestHead:
    host = (b"Host", b"example.com")
    return read_head(b"GET", b"/", "1.1", [host, *headers], keep_alive=True, limits=Limits())


@pytest.mark.parametrize("name", [b"Connection", b"keep-alive", b"TE", b"Transfer-Encoding", b"Upgrade", b"Trailer"])
def test_headers_about_one_connection_stay_there(name: bytes) -> None:
    assert end_to_end([(name, b"x"), (b"Accept", b"*/*")]) == [(b"Accept", b"*/*")]


def test_headers_that_connection_names_stay_there_too() -> None:
    named = [(b"Connection", b"close, X-One"), (b"Connection", b"x-two"), (b"X-One", b"1"), (b"X-Two", b"2")]
    assert end_to_end([*named, (b"X-Three", b"3")]) == [(b"X-Three", b"3")]


def test_a_client_cannot_make_host_or_length_disappear() -> None:
    kept = [(b"Host", b"example.com"), (b"Content-Length", b"5")]
    assert end_to_end([(b"Connection", b"host, content-length"), *kept]) == kept


def test_a_target_is_told_who_asks_and_how() -> None:
    assert Forwarding(port=8000).headers(head((b"Accept", b"*/*")), "192.0.2.1", "r-1") == [
        (b"Host", b"example.com"),
        (b"Accept", b"*/*"),
        (b"X-Forwarded-For", b"192.0.2.1"),
        (b"X-Forwarded-Proto", b"http"),
        (b"X-Forwarded-Port", b"8000"),
        (b"X-Forwarded-Host", b"example.com"),
        (b"X-Request-Id", b"r-1"),
    ]


def test_what_an_unknown_client_says_of_others_is_not_believed() -> None:
    sent = dict(Forwarding(port=8000).headers(head(*CLAIMED, (b"Forwarded", b"for=x")), "192.0.2.1", "r-1"))
    assert sent[b"X-Forwarded-For"] == b"192.0.2.1"
    assert sent[b"X-Forwarded-Proto"] == b"http"
    assert sent[b"X-Forwarded-Host"] == b"example.com"
    assert b"Forwarded" not in sent


def test_what_a_trusted_proxy_says_is_kept_and_its_address_added() -> None:
    forwarding = Forwarding(port=8000, trusted=(ip_network("192.0.2.0/24"),))
    sent = dict(forwarding.headers(head(*CLAIMED), "192.0.2.1", "r-1"))
    assert sent[b"X-Forwarded-For"] == b"198.51.100.1, 192.0.2.1"
    assert sent[b"X-Forwarded-Proto"] == b"https"
    assert sent[b"X-Forwarded-Host"] == b"shop.example"
    assert sent[b"X-Forwarded-Port"] == b"443"


def test_a_client_s_request_id_is_kept() -> None:
    assert request_id(head((b"x-request-id", b"r-1"))) == "r-1"


@pytest.mark.parametrize("given", [[], [b""], [b"a b"], [b"x" * 129], [b'"'], ["ä".encode()], [b"r-1", b"r-2"]])
def test_a_request_id_that_is_missing_or_unusable_is_made(given: list[bytes]) -> None:
    made = {request_id(head(*((b"X-Request-Id", value) for value in given))) for _ in range(2)}
    assert len(made) == 2
    assert all(len(each) == 32 for each in made)


@pytest.mark.parametrize(
    "name",
    [b"X_Forwarded_For", b"x_real-ip", b"X_Request_Id", b"Transfer_Encoding", b"Content_Length", b"X_Forwarded-Proto"],
)
def test_a_header_that_cgi_takes_for_one_of_ours_is_not_passed_on(name: bytes) -> None:
    trusting = Forwarding(port=8000, trusted=(ip_network("192.0.2.0/24"),))
    assert name not in dict(trusting.headers(head((name, b"1")), "192.0.2.1", "r-1"))


def test_other_headers_may_have_an_underscore() -> None:
    assert (b"My_Own", b"1") in Forwarding(port=8000).headers(head((b"My_Own", b"1")), "192.0.2.1", "r-1")


TRACE = b"0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize(
    ("given", "trace"),
    [
        ([b"00-" + TRACE + b"-b7ad6b7169203331-01"], TRACE.decode()),
        ([b"01-" + TRACE + b"-b7ad6b7169203331-01-later"], TRACE.decode()),
        ([], None),
        ([b"ff-" + TRACE + b"-b7ad6b7169203331-01"], None),
        ([b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01"], None),
        ([b"00-" + TRACE + b"-0000000000000000-01"], None),
        ([b"nonsense"], None),
        ([b"00-" + TRACE + b"-b7ad6b7169203331-01"] * 2, None),
    ],
)
def test_the_trace_of_a_request_is_that_of_its_traceparent(given: list[bytes], trace: str | None) -> None:
    assert trace_id(head(*((b"traceparent", value) for value in given))) == trace
