"""Requests are signed as botocore signs them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

from waypost_client.signing import Credentials, signed_headers

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize("token", [None, "a-session-token"])
@pytest.mark.parametrize("path", ["/", "/leases/srv-1/i-1", "/leases/srv-1/a%2Fb%40c"])
@pytest.mark.parametrize("host", ["servicediscovery.eu-central-1.amazonaws.com", "127.0.0.1:8500"])
def test_a_request_is_signed_as_botocore_signs_it(
    monkeypatch: pytest.MonkeyPatch, host: str, path: str, token: str | None
) -> None:
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "Route53AutoNaming_v20170314.ListServices"}
    url, body = f"https://{host}{path}", b'{"MaxResults": 1}'
    ours = signed_headers(
        "POST",
        url,
        headers,
        body,
        credentials=Credentials(access_key="AKIDEXAMPLE", secret_key="secret", token=token),
        region="eu-central-1",
        now=NOW,
    )
    request: Any = AWSRequest(method="POST", url=url, data=body, headers=headers)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: NOW.replace(tzinfo=None))
    SigV4Auth(BotocoreCredentials("AKIDEXAMPLE", "secret", token), "servicediscovery", "eu-central-1").add_auth(request)
    assert ours["authorization"] == request.headers["Authorization"]
    assert ours["x-amz-date"] == request.headers["X-Amz-Date"]
