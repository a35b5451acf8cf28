"""As much of Cloud Map's API as a task needs to register itself, and Waypost's leases beside it.

Errors of HTTP end here::

    RegistryError
    ├── RegistryAway        no answer, or one that means "later"
    ├── NotRegistered       the registry does not have the instance (any more)
    ├── Deregistered        somebody has taken the instance out
    ├── NoLeases            this registry is none of Waypost's
    └── RegistryRefused     it will never do this
"""

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

import httpx2

from waypost_client.credentials import CredentialSource
from waypost_client.signing import signed_headers

__all__ = [
    "Deregistered",
    "KnownService",
    "NoLeases",
    "NotRegistered",
    "RegistryAway",
    "RegistryClient",
    "RegistryError",
    "RegistryRefused",
]

ENDPOINT: Final = "AWS_ENDPOINT_URL_SERVICEDISCOVERY"
TARGET: Final = "Route53AutoNaming_v20170314."
TIMEOUT_S: Final = 5.0
GONE: Final = ("InstanceNotFound", "ServiceNotFound", "NamespaceNotFound")
LATER: Final = ("DuplicateRequest", "RequestLimitExceeded", "Throttling", "ThrottlingException")


class RegistryError(Exception):
    """The registry did not do what it was asked."""

    def __init__(self, call: str, reason: str) -> None:
        super().__init__(call, reason)
        self.call, self.reason = call, reason

    def __str__(self) -> str:
        return f"{self.call}: {self.reason}"


class RegistryAway(RegistryError):
    """No answer, or one that means "later"."""


class NotRegistered(RegistryError):
    """The registry does not have the instance, or its service."""


class Deregistered(RegistryError):
    """Somebody has taken the instance out, and is believed."""


class NoLeases(RegistryError):
    """The registry knows no leases: it is AWS's, or another one that speaks its API."""


class RegistryRefused(RegistryError):
    """The registry will never do this."""


@dataclass(frozen=True, slots=True)
class KnownService:
    """A service as the registry has it."""

    id: str
    ttl_s: int  # the longest of its records


class RegistryClient:
    """Calls of one registry. Close it when done."""

    def __init__(self, endpoint: str | None = None, *, environment: Mapping[str, str] = os.environ) -> None:
        """Speak to ``endpoint``, or to the one in AWS_ENDPOINT_URL_SERVICEDISCOVERY, or to AWS's own."""
        self._region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1"
        url = endpoint or environment.get(ENDPOINT) or f"https://servicediscovery.{self._region}.amazonaws.com"
        self.url = url.rstrip("/")
        self._credentials = CredentialSource(environment)
        self._http = httpx2.AsyncClient(timeout=TIMEOUT_S, trust_env=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def find_service(self, namespace: str, service: str) -> KnownService:
        """Return the service of that name.

        :raises NotRegistered: there is none.
        """
        by_name = [{"Name": "NAME", "Values": [namespace], "Condition": "EQ"}]
        for found in await self._list("ListNamespaces", "Namespaces", Filters=by_name):
            within = [{"Name": "NAMESPACE_ID", "Values": [found["Id"]], "Condition": "EQ"}]
            for each in await self._list("ListServices", "Services", Filters=within):
                if each["Name"] == service:
                    records = each.get("DnsConfig", {}).get("DnsRecords", [])
                    return KnownService(each["Id"], max((record["TTL"] for record in records), default=0))
        raise NotRegistered("ListServices", f"there is no service {service} in the namespace {namespace}")

    async def register(self, service_id: str, instance: str, attributes: Mapping[str, str]) -> None:
        """Register an instance, and return when that is done."""
        accepted = await self._call(
            "RegisterInstance", ServiceId=service_id, InstanceId=instance, Attributes=dict(attributes)
        )
        await self._follow(accepted["OperationId"])

    async def deregister(self, service_id: str, instance: str) -> None:
        """Take an instance out, and return when that is done; one that is not there is out."""
        try:
            accepted = await self._call("DeregisterInstance", ServiceId=service_id, InstanceId=instance)
            await self._follow(accepted["OperationId"])
        except NotRegistered:
            return

    async def check_registered(self, service_id: str, instance: str) -> None:
        """Return if the registry has an instance.

        :raises NotRegistered: it has not.
        """
        await self._call("GetInstance", ServiceId=service_id, InstanceId=instance)

    async def renew(self, service_id: str, instance: str) -> None:
        """Renew an instance's lease.

        :raises NotRegistered: the registry does not have it (any more).
        :raises Deregistered: somebody has taken it out.
        :raises NoLeases: this registry has no such call.
        """
        path = f"/leases/{quote(service_id, safe='')}/{quote(instance, safe='')}"
        status, answer = await self._send("PUT", path, {}, b"{}", call="RenewLease")
        type_ = _type(answer)
        if status == 410:
            raise Deregistered("RenewLease", _message(answer))
        if status >= 300 and (not type_ or type_ == "UnknownOperationException"):
            raise NoLeases("RenewLease", f"HTTP {status}")
        _check(status, answer, "RenewLease")

    async def _list(self, call: str, member: str, **input_: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            page = await self._call(call, **input_)
            found += page[member]
            if not page.get("NextToken"):
                return found
            input_["NextToken"] = page["NextToken"]

    async def _follow(self, operation: str) -> None:
        """Return when an operation that was accepted is done, as AWS takes its time for them."""
        for wait_s in (0.0, 0.1, 0.2, 0.5, *([1.0] * 60)):
            await asyncio.sleep(wait_s)
            done = (await self._call("GetOperation", OperationId=operation))["Operation"]
            if done["Status"] == "SUCCESS":
                return
            if done["Status"] == "FAIL":
                raise RegistryRefused(str(done.get("Type")), str(done.get("ErrorMessage", "it failed")))
        raise RegistryAway("GetOperation", "the operation is not done after a minute")

    async def _call(self, call: str, **input_: Any) -> dict[str, Any]:
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": TARGET + call}
        status, answer = await self._send("POST", "/", headers, json.dumps(input_).encode(), call=call)
        _check(status, answer, call)
        return answer

    async def _send(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, *, call: str
    ) -> tuple[int, dict[str, Any]]:
        url = self.url + path
        try:
            credentials = await self._credentials.current(self._http)
            if credentials is not None:
                headers = signed_headers(
                    method,
                    url,
                    headers,
                    body,
                    credentials=credentials,
                    region=self._region,
                    now=datetime.now(UTC),
                )
            reply = await self._http.request(method, url, headers=dict(headers), content=body)
        except (httpx2.HTTPError, KeyError, ValueError) as error:  # the latter: credentials that are none
            raise RegistryAway(call, str(error) or type(error).__name__) from error
        try:
            answer = json.loads(reply.content or b"{}")
        except ValueError:
            answer = {}
        return reply.status_code, answer if isinstance(answer, dict) else {}


def _check(status: int, answer: Mapping[str, Any], call: str) -> None:
    type_, message = _type(answer), _message(answer)
    if status < 300:
        return
    if type_ in GONE:
        raise NotRegistered(call, message)
    if status >= 500 or status == 429 or type_ in LATER:
        raise RegistryAway(call, message or f"HTTP {status}")
    raise RegistryRefused(call, f"{type_}: {message}" if type_ else f"HTTP {status}")


def _type(answer: Mapping[str, Any]) -> str:
    return str(answer.get("__type", "")).rpartition("#")[2]


def _message(answer: Mapping[str, Any]) -> str:
    return str(answer.get("Message") or answer.get("message") or "")
