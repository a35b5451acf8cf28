"""Cloud Map's wire without an SDK, for tests that send what no SDK would, or very much."""

import http.client
import json
from typing import Any

TARGET = "Route53AutoNaming_v20170314."


class Wire:
    """One kept-alive connection to a registry, as a caller of some account."""

    def __init__(self, port: int, account: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        scope = f"{account}/20261124/us-east-1/servicediscovery/aws4_request"
        self._authorization = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"

    def send(self, operation: str, body: bytes) -> tuple[int, Any]:
        """Return the status and the JSON of an answer."""
        headers = {
            "X-Amz-Target": TARGET + operation,
            "Content-Type": "application/x-amz-json-1.1",
            "Authorization": self._authorization,
        }
        self._connection.request("POST", "/", body, headers)
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read())

    def call(self, operation: str, **input_: Any) -> Any:
        """Return what an operation answers, or the name of its error."""
        status, answer = self.send(operation, json.dumps(input_).encode())
        assert status in (200, 400), (operation, input_, answer)
        return answer if status == 200 else answer["__type"]

    def close(self) -> None:
        self._connection.close()
