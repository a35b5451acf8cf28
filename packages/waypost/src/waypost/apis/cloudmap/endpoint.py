"""``POST /``: Cloud Map's API. A call is answered at once, where memory has the answer, else later."""

import itertools
import random
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from starlette.types import Receive, Scope, Send

from waypost.apis.access.keys import KEY, AccessKey
from waypost.apis.bodies import CLOSING, decode_json, read_body
from waypost.apis.cloudmap.caller import Caller, identify_caller
from waypost.apis.cloudmap.errors import WireError, wire_error
from waypost.apis.cloudmap.gate import Gate
from waypost.apis.cloudmap.reads import Reads
from waypost.apis.cloudmap.shapes import TARGET_PREFIX, load_input_checks
from waypost.apis.cloudmap.writes import Writes
from waypost.apis.direct_http import Answer, Headers
from waypost.cloudmap import CAUSE_HEADER
from waypost.health.care import Care
from waypost.promise import PromiseLog
from waypost.registry import Registry
from waypost.structured_log import structlog

__all__ = ["CloudMapEndpoint"]

CONTENT_TYPE: Final = (b"content-type", b"application/x-amz-json-1.1")
CAUSE: Final = CAUSE_HEADER.lower().encode()

Output = dict[str, Any]
Operation = Callable[[Caller, dict[str, Any]], Output | Awaitable[Output]]

log = structlog.get_logger()


class _Call(NamedTuple):
    name: str
    caller: Caller
    input: dict[str, Any]


class CloudMapEndpoint:
    """The API of one registry. Callers whose access key id is no account belong to ``account``."""

    def __init__(
        self,
        registry: Registry,
        promise_log: PromiseLog,
        gate: Gate,
        care: Care,
        *,
        account: str,
        chance: random.Random,
        relax: frozenset[str] = frozenset(),
    ) -> None:
        self._account, self._gate = account, gate
        self._checks = load_input_checks()
        self._request_id = _request_ids()
        self._operations = _operations(Reads(registry, promise_log, chance), Writes(registry, care, relax=relax))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request as an ASGI application."""
        headers: Headers = scope["headers"]
        try:
            raw = await read_body(scope, receive)
        except Exception as error:
            answer = self._refused(next(self._request_id), error)
            if answer.status in CLOSING:
                answer.headers.append((b"connection", b"close"))
        else:
            begun = self.answer(headers, raw, scope.get(KEY))
            answer = begun if isinstance(begun, Answer) else await begun
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})

    def answer(self, headers: Headers, raw: bytes, key: AccessKey | None) -> Answer | Awaitable[Answer]:
        """Answer ``POST /``: at once what is in memory. Whatever goes wrong is answered as an error of the protocol.

        :param key: what the request was signed with, where keys are configured.
        """
        request_id = next(self._request_id)
        try:
            call = self._call(dict(headers), raw, key)
            output = self._operations[call.name](call.caller, call.input)
            if isinstance(output, dict):
                return self._done(request_id, call, output)
        except Exception as error:
            return self._refused(request_id, error)
        return self._later(request_id, call, output)

    async def _later(self, request_id: str, call: _Call, output: Awaitable[Output]) -> Answer:
        try:
            return self._done(request_id, call, await output)
        except Exception as error:
            return self._refused(request_id, error)

    def _call(self, headers: Mapping[bytes, bytes], raw: bytes, key: AccessKey | None) -> _Call:
        name = _operation_name(headers)
        if name not in self._operations:
            known = "is not served yet" if name in self._checks else "is not one of Cloud Map's"
            raise WireError("UnknownOperationException", f"The operation '{name}' {known}.")
        input_ = self._checks[name](decode_json(raw))
        caller = identify_caller(
            call=name,
            authorization=headers.get(b"authorization", b"").decode("latin-1"),
            why=headers.get(CAUSE, b"").decode("latin-1"),
            account=self._account,
            verified=key,
        )
        self._gate.check(caller, name, input_)
        return _Call(name, caller, input_)

    def _done(self, request_id: str, call: _Call, output: Output) -> Answer:
        return _answer(200, request_id, msgspec.json.encode(self._gate.shown(call.caller, call.name, output)))

    def _refused(self, request_id: str, error: Exception) -> Answer:
        refusal = wire_error(error)
        if refusal.status == 500:
            log.error("cloudmap.failed", request_id=request_id, exc_info=error)
        answer = _answer(refusal.status, request_id, refusal.body)
        if refusal.retry_after_s is not None:
            answer.headers.append((b"retry-after", str(refusal.retry_after_s).encode()))
        return answer


def _answer(status: int, request_id: str, body: bytes) -> Answer:
    length = (b"content-length", b"%d" % len(body))
    return Answer(status, [CONTENT_TYPE, length, (b"x-amzn-requestid", request_id.encode())], body)


def _request_ids() -> Iterator[str]:
    """Yield UUIDs, without end: their first half is of this process, their second half counts."""
    ours = str(uuid.uuid4())[:24]
    return (f"{ours}{number:012x}" for number in itertools.count())


def _operation_name(headers: Mapping[bytes, bytes]) -> str:
    target = headers.get(b"x-amz-target", b"").decode("latin-1")
    if not target.startswith(TARGET_PREFIX):
        raise WireError(
            "UnknownOperationException", f"The header X-Amz-Target must be {TARGET_PREFIX}<Operation>, not '{target}'."
        )
    return target.removeprefix(TARGET_PREFIX)


def _operations(reads: Reads, writes: Writes) -> dict[str, Operation]:
    return {
        "CreateHttpNamespace": writes.create_http_namespace,
        "CreatePrivateDnsNamespace": writes.create_private_dns_namespace,
        "CreatePublicDnsNamespace": writes.create_public_dns_namespace,
        "UpdateHttpNamespace": writes.update_http_namespace,
        "UpdatePrivateDnsNamespace": writes.update_private_dns_namespace,
        "UpdatePublicDnsNamespace": writes.update_public_dns_namespace,
        "DeleteNamespace": writes.delete_namespace,
        "CreateService": writes.create_service,
        "UpdateService": writes.update_service,
        "DeleteService": writes.delete_service,
        "UpdateServiceAttributes": writes.update_service_attributes,
        "DeleteServiceAttributes": writes.delete_service_attributes,
        "TagResource": writes.tag_resource,
        "UntagResource": writes.untag_resource,
        "RegisterInstance": writes.register_instance,
        "DeregisterInstance": writes.deregister_instance,
        "UpdateInstanceCustomHealthStatus": writes.update_instance_custom_health_status,
        "GetOperation": reads.get_operation,
        "ListOperations": reads.list_operations,
        "GetNamespace": reads.get_namespace,
        "ListNamespaces": reads.list_namespaces,
        "GetService": reads.get_service,
        "ListServices": reads.list_services,
        "GetServiceAttributes": reads.get_service_attributes,
        "ListTagsForResource": reads.list_tags_for_resource,
        "GetInstance": reads.get_instance,
        "ListInstances": reads.list_instances,
        "GetInstancesHealthStatus": reads.get_instances_health_status,
        "DiscoverInstances": reads.discover_instances,
        "DiscoverInstancesRevision": reads.discover_instances_revision,
    }
