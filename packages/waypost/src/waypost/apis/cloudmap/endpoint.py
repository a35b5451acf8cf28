"""``POST /``: one ASGI endpoint, bare, because every discovery passes through it."""

import itertools
import random
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final

import msgspec
import structlog
from starlette.types import Receive, Scope, Send

from waypost.apis.access.keys import KEY
from waypost.apis.bodies import decode_json, read_body
from waypost.apis.cloudmap.caller import Caller, identify_caller
from waypost.apis.cloudmap.errors import WireError, wire_error
from waypost.apis.cloudmap.gate import Gate
from waypost.apis.cloudmap.reads import Reads
from waypost.apis.cloudmap.shapes import TARGET_PREFIX, load_input_checks
from waypost.apis.cloudmap.writes import Writes
from waypost.cloudmap import CAUSE_HEADER
from waypost.health.care import Care
from waypost.promise import PromiseLog
from waypost.registry import Registry

__all__ = ["CloudMapEndpoint"]

CONTENT_TYPE: Final = (b"content-type", b"application/x-amz-json-1.1")
CAUSE: Final = CAUSE_HEADER.lower().encode()

Operation = Callable[[Caller, dict[str, Any]], Awaitable[dict[str, Any]]]

log = structlog.get_logger()


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
        """Answer one request. Whatever goes wrong is answered as an error of the protocol."""
        request_id = next(self._request_id)
        try:
            headers = dict(scope["headers"])
            body = msgspec.json.encode(await self._answer(headers, scope, receive))
            status, retry_after_s = 200, None
        except Exception as error:
            if (refusal := wire_error(error)).status == 500:
                log.exception("cloudmap.failed", request_id=request_id)
            status, retry_after_s, body = refusal.status, refusal.retry_after_s, refusal.body
        answer_headers = [
            CONTENT_TYPE,
            (b"content-length", b"%d" % len(body)),
            (b"x-amzn-requestid", request_id.encode()),
        ]
        if retry_after_s is not None:
            answer_headers.append((b"retry-after", str(retry_after_s).encode()))
        if status == 413:
            answer_headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": answer_headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, headers: Mapping[bytes, bytes], scope: Scope, receive: Receive) -> dict[str, Any]:
        name = _operation_name(headers)
        operation, check = self._operations.get(name), self._checks.get(name)
        raw = await read_body(scope, receive)
        if operation is None or check is None:
            known = "is not served yet" if name in self._checks else "is not one of Cloud Map's"
            raise WireError("UnknownOperationException", f"The operation '{name}' {known}.")
        input_ = check(decode_json(raw))
        caller = identify_caller(
            call=name,
            authorization=headers.get(b"authorization", b"").decode("latin-1"),
            why=headers.get(CAUSE, b"").decode("latin-1"),
            account=self._account,
            verified=scope.get(KEY),
        )
        self._gate.check(caller, name, input_)
        return self._gate.shown(caller, name, await operation(caller, input_))


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
