"""``POST /batch``: register up to 1,000 instances of a service in one call, all of them or none."""

from typing import Any, Final

import msgspec

from waypost.apis.beyond.named import find_named_namespace, find_named_service
from waypost.apis.calls import Call, Handler
from waypost.apis.cloudmap.errors import WireError, wire_error
from waypost.apis.cloudmap.shapes import InputCheck
from waypost.catalog.commands import RegisterInstance
from waypost.catalog.together import RegisterInstances, StepRefused
from waypost.registry import Registry

__all__ = ["BODY", "batch"]

INSTANCES: Final = 1_000
BODY: Final = 8 << 20  # octets: a thousand instances with all the attributes that they may have


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    attributes: dict[str, str]


class _Batch(msgspec.Struct, forbid_unknown_fields=True):
    namespace: str
    service: str
    instances: list[_Entry]


def batch(registry: Registry, check: InputCheck) -> Handler:
    """Return the handler of the call. ``check`` is that of RegisterInstance's input: the same limits hold."""

    async def register(call: Call) -> dict[str, Any]:
        call.only()
        asked = _parsed(call.body)
        namespace = find_named_namespace(registry.catalog, call.caller, asked.namespace)
        call.caller.check_may_write(namespace)
        service = find_named_service(registry.catalog, call.caller, namespace, asked.service).service
        registrations = [_registration(check, service.id, n, each) for n, each in enumerate(asked.instances)]
        try:
            operations = await registry.submit_together(RegisterInstances(registrations), call.caller.cause)
        except StepRefused as refused:
            raise _placed(refused.number, wire_error(refused.refusal)) from refused
        pairs = zip(asked.instances, operations, strict=True)
        return {"items": [{"id": each.id, "operation": operation} for each, operation in pairs]}

    return register


def _parsed(body: Any) -> _Batch:
    try:
        asked = msgspec.convert(body, _Batch)
    except msgspec.ValidationError as error:
        raise WireError("InvalidInput", f"The body does not describe a batch: {error}") from error
    if not 1 <= len(asked.instances) <= INSTANCES:
        raise WireError("InvalidInput", f"'instances' has {len(asked.instances)} members: give 1 to {INSTANCES}.")
    seen: set[str] = set()
    for number, each in enumerate(asked.instances):
        if each.id in seen:
            raise WireError("InvalidInput", f"instances[{number}]: the id '{each.id[:64]}' is there twice.")
        seen.add(each.id)
    return asked


def _registration(check: InputCheck, service_id: str, number: int, entry: _Entry) -> RegisterInstance:
    try:
        check({"ServiceId": service_id, "InstanceId": entry.id, "Attributes": entry.attributes})
    except WireError as error:
        raise _placed(number, error) from error
    return RegisterInstance(service_id=service_id, instance_id=entry.id, attributes=entry.attributes)


def _placed(number: int, error: WireError) -> WireError:
    return WireError(error.type, f"instances[{number}]: {error.message}", status=error.status, **error.members)
