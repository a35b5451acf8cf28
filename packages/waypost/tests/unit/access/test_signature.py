"""Signatures, compared with those that AWS's own SDK makes."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from waypost.apis.access.keys import AccessKey, KeyRing
from waypost.apis.access.rights import Rights
from waypost.apis.access.signature import SignedRequest
from waypost.apis.cloudmap.errors import WireError

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
KEY = AccessKey(id="AKIDEXAMPLE", secret=SECRET, rights=Rights(read=("*",), write=()))
RING = KeyRing([KEY, AccessKey(id="AKIDOTHER", secret="another secret, as long")])
Change = Callable[[SignedRequest], SignedRequest]


def signed(
    method: str = "POST",
    url: str = "http://127.0.0.1:8500/",
    body: bytes = b"{}",
    *,
    key: str = KEY.id,
    secret: str = SECRET,
    token: str | None = None,
    service: str = "servicediscovery",
    region: str = "eu-west-1",
    **headers: str,
) -> SignedRequest:
    """Return a request as it comes over the wire from an AWS SDK."""
    request = AWSRequest(method, url, data=body, headers={"X-Amz-Target": "T.Op", **headers})
    SigV4Auth(Credentials(key, secret, token), service, region).add_auth(request)
    split = urlsplit(url)
    wire = {"Host": split.netloc, **dict(request.headers.items())}
    return SignedRequest(
        method=method,
        raw_path=split.path.encode(),
        query=split.query.encode(),
        headers=[(name.lower().encode(), value.encode()) for name, value in wire.items()],
        body=body,
    )


def with_header(request: SignedRequest, name: str, change: Callable[[str], str | None]) -> SignedRequest:
    headers = []
    for each, value in request.headers:
        if each == name.encode():
            changed = change(value.decode())
            if changed is None:
                continue
            value = changed.encode()
        headers.append((each, value))
    return SignedRequest(
        method=request.method, raw_path=request.raw_path, query=request.query, headers=headers, body=request.body
    )


def altered(request: SignedRequest, **changes: Any) -> SignedRequest:
    kept = {name: getattr(request, name) for name in ("method", "raw_path", "query", "headers", "body")}
    return SignedRequest(**{**kept, **changes})


def refusal(request: SignedRequest, *, later: timedelta = timedelta()) -> WireError:
    with pytest.raises(WireError) as caught:
        RING.verify(request, now=datetime.now(UTC) + later)
    return caught.value


@pytest.mark.parametrize(
    ("method", "url", "body"),
    [
        ("POST", "http://127.0.0.1:8500/", b'{"Name": "x"}'),
        ("POST", "http://data-servicediscovery.localhost:8500/", b""),
        ("GET", "http://localhost/watch?namespace=x.internal&service=web", b""),
        ("GET", "http://localhost/history?service=a%2Fb&namespace=x%20y&empty=&a=2&a=1", b""),
        ("PUT", "http://localhost/leases/srv-1/i%2F1:8080", b""),
        ("DELETE", "http://[::1]:8500//services/../services/./x/?force=true", b""),
        ("POST", "http://localhost/batch", bytes(range(256))),
    ],
)
def test_what_an_aws_sdk_signs_is_verified(method: str, url: str, body: bytes) -> None:
    assert RING.verify(signed(method, url, body), now=datetime.now(UTC)) is KEY


def test_blanks_in_a_signed_header_do_not_count() -> None:
    assert RING.verify(signed(**{"X-Amz-Meta": "  two   words "}), now=datetime.now(UTC)) is KEY


WRONG = "does not match the signature you provided"


@pytest.mark.parametrize(
    ("sign", "type_", "words"),
    [
        (lambda: altered(signed(), body=b'{"a":1}'), "InvalidSignatureException", WRONG),
        (lambda: altered(signed(), method="GET"), "InvalidSignatureException", WRONG),
        (lambda: altered(signed(), raw_path=b"/batch"), "InvalidSignatureException", WRONG),
        (lambda: altered(signed(), query=b"force=true"), "InvalidSignatureException", WRONG),
        (lambda: with_header(signed(), "host", lambda _: "attacker.example"), "InvalidSignatureException", WRONG),
        (lambda: with_header(signed(), "x-amz-target", lambda _: "T.Other"), "InvalidSignatureException", WRONG),
        (lambda: signed(secret="a wrong secret of some length"), "InvalidSignatureException", WRONG),
        (lambda: signed(key="AKIDOTHER"), "InvalidSignatureException", WRONG),
        (lambda: signed(key="AKIDNOBODY"), "UnrecognizedClientException", "security token"),
        (lambda: signed(token="session"), "UnrecognizedClientException", "security token"),
        (lambda: signed(service="execute-api"), "InvalidSignatureException", "correct service: 'servicediscovery'"),
        (lambda: signed(region="Nowhere_1"), "InvalidSignatureException", "valid region"),
        (
            lambda: with_header(signed(), "authorization", lambda _: None),
            "MissingAuthenticationTokenException",
            "Missing",
        ),
        (
            lambda: with_header(signed(), "authorization", lambda _: "Bearer x"),
            "IncompleteSignatureException",
            "algorithm",
        ),
        (
            lambda: with_header(signed(), "authorization", lambda text: text.split(",")[0]),
            "IncompleteSignatureException",
            "requires 'Signature' parameter. Authorization header requires 'SignedHeaders'",
        ),
        (
            lambda: with_header(signed(), "authorization", lambda text: text.replace("/aws4_request", "")),
            "IncompleteSignatureException",
            "exactly 5",
        ),
        (
            lambda: with_header(signed(), "authorization", lambda text: text.replace("aws4_request", "aws5_request")),
            "InvalidSignatureException",
            "terminator",
        ),
        (
            lambda: with_header(signed(), "authorization", lambda text: text.replace("host;", "")),
            "InvalidSignatureException",
            "'Host' must be",
        ),
        (
            lambda: with_header(signed(), "authorization", lambda text: text.replace(";x-amz-target", "")),
            "InvalidSignatureException",
            "x-amz-target must be in SignedHeaders",
        ),
        (
            lambda: with_header(signed(), "authorization", lambda text: text.replace("host;", "absent;host;")),
            "InvalidSignatureException",
            "no header absent",
        ),
        (
            lambda: with_header(signed(), "authorization", lambda text: text[:-1] + "é"),
            "IncompleteSignatureException",
            "64 hexadecimal digits",
        ),
        (lambda: with_header(signed(), "x-amz-date", lambda _: None), "IncompleteSignatureException", "X-Amz-Date"),
        (lambda: with_header(signed(), "x-amz-date", lambda _: "yesterday"), "IncompleteSignatureException", "form"),
        (
            lambda: with_header(signed(), "authorization", lambda text: text.replace("/20", "/19", 1)),
            "InvalidSignatureException",
            "Date in Credential scope",
        ),
    ],
)
def test_what_was_changed_or_is_not_whole_is_refused(sign: Callable[[], SignedRequest], type_: str, words: str) -> None:
    refused = refusal(sign())  # signed now: a signature holds for five minutes
    assert refused.type == type_
    assert words in refused.message


def test_a_signature_of_another_time_is_refused_and_the_skew_is_told() -> None:
    old, early = refusal(signed(), later=timedelta(minutes=6)), refusal(signed(), later=timedelta(minutes=-6))
    assert (old.type, early.type) == ("InvalidSignatureException", "InvalidSignatureException")
    assert old.message.startswith("Signature expired: ")
    assert early.message.startswith("Signature not yet current: ")
    assert RING.verify(signed(), now=datetime.now(UTC) + timedelta(minutes=4)) is KEY
