"""The Filters of the List operations: which names, conditions and values each call takes. Filters narrow together.

Source: the Cloud Map API reference, NamespaceFilter, ServiceFilter and OperationFilter.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from waypost.apis.cloudmap.caller import Caller
from waypost.apis.cloudmap.errors import WireError
from waypost.catalog.model import Namespace, NamespaceType, Service
from waypost.journal import OperationFilter

__all__ = ["namespace_test", "namespaces_asked_for", "operation_filter", "service_test"]

Input = Mapping[str, Any]

OWNERS: Final = ("SELF", "OTHER_ACCOUNTS")
STATUSES: Final = ("SUBMITTED", "PENDING", "SUCCESS", "SUCCEED", "FAIL")  # the documentation spells it SUCCEED, too
TYPES: Final = (
    "CREATE_NAMESPACE",
    "DELETE_NAMESPACE",
    "UPDATE_NAMESPACE",
    "UPDATE_SERVICE",
    "REGISTER_INSTANCE",
    "DEREGISTER_INSTANCE",
)
SECONDS: Final = re.compile(r"\d{1,12}(\.\d{1,9})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Name:
    """What a filter of some name takes."""

    conditions: tuple[str, ...]
    values: Sequence[str] | None = None  # all that there are; None: any


@dataclass(frozen=True, slots=True)
class _Filter:
    """A filter that its call knows."""

    name: str
    condition: str
    values: list[str]

    def matches(self, value: str) -> bool:
        return value.startswith(self.values[0]) if self.condition == "BEGINS_WITH" else value in self.values


NAMESPACE_FILTERS: Final = {
    "TYPE": _Name(conditions=("EQ", "BEGINS_WITH"), values=tuple(NamespaceType)),
    "NAME": _Name(conditions=("EQ", "BEGINS_WITH")),
    "HTTP_NAME": _Name(conditions=("EQ", "BEGINS_WITH")),
    "RESOURCE_OWNER": _Name(conditions=("EQ",), values=OWNERS),
}
SERVICE_FILTERS: Final = {
    "NAMESPACE_ID": _Name(conditions=("EQ", "IN")),
    "RESOURCE_OWNER": _Name(conditions=("EQ",), values=OWNERS),
}
OPERATION_FILTERS: Final = {
    "NAMESPACE_ID": _Name(conditions=("EQ",)),
    "SERVICE_ID": _Name(conditions=("EQ",)),
    "STATUS": _Name(conditions=("EQ", "IN"), values=STATUSES),
    "TYPE": _Name(conditions=("EQ", "IN"), values=TYPES),
    "UPDATE_DATE": _Name(conditions=("BETWEEN",)),
}


def namespace_test(input_: Input) -> Callable[[Namespace], bool]:
    """Return what the Filters of ListNamespaces mean.

    :raises WireError: InvalidInput: a filter is not one of the call's.
    """
    member: Mapping[str, Callable[[Namespace], str]] = {
        "TYPE": lambda namespace: namespace.type,
        "NAME": lambda namespace: namespace.name,
        "HTTP_NAME": lambda namespace: namespace.http_name,
        "RESOURCE_OWNER": lambda _: "SELF",
    }
    filters = _read(input_, NAMESPACE_FILTERS)
    return lambda namespace: all(each.matches(member[each.name](namespace)) for each in filters)


def service_test(caller: Caller, input_: Input) -> Callable[[Service], bool]:
    """Return what the Filters of ListServices mean; a namespace is given by its id or ARN.

    :raises WireError: InvalidInput: a filter is not one of the call's.
    """
    filters = _read(input_, SERVICE_FILTERS)
    asked = namespaces_asked_for(caller, input_)
    owners = [each for each in filters if each.name == "RESOURCE_OWNER"]
    return lambda service: (
        (asked is None or service.namespace_id in asked) and all(each.matches("SELF") for each in owners)
    )


def namespaces_asked_for(caller: Caller, input_: Input) -> set[str] | None:
    """Return the ids of the namespaces that ListServices is narrowed to; None: to none."""
    filters = [each for each in _read(input_, SERVICE_FILTERS) if each.name == "NAMESPACE_ID"]
    if not filters:
        return None
    return set.intersection(*({caller.namespace_id(value) for value in each.values} for each in filters))


def operation_filter(caller: Caller, input_: Input) -> OperationFilter | None:
    """Return what the Filters of ListOperations mean; None: no operation can be meant.

    :raises WireError: InvalidInput: a filter is not one of the call's.
    """
    sets: dict[str, frozenset[str]] = {}
    ended_ms: tuple[int, int] | None = None
    for each in _read(input_, OPERATION_FILTERS):
        if each.name == "UPDATE_DATE":
            start, end = (_milliseconds(value) for value in each.values)
            ended_ms = (start, end) if ended_ms is None else (max(start, ended_ms[0]), min(end, ended_ms[1]))
            continue
        values = frozenset(_canonical(caller, each.name, value) for value in each.values)
        sets[each.name] = sets.get(each.name, values) & values
    if not all(sets.values()):
        return None
    return OperationFilter(
        account=caller.account,
        region=caller.region,
        namespace_id=next(iter(sets.get("NAMESPACE_ID", ())), None),
        service_id=next(iter(sets.get("SERVICE_ID", ())), None),
        statuses=sets.get("STATUS"),
        types=sets.get("TYPE"),
        ended_ms=ended_ms,
    )


def _canonical(caller: Caller, name: str, value: str) -> str:
    match name:
        case "NAMESPACE_ID":
            return caller.namespace_id(value)
        case "SERVICE_ID":
            return caller.service_id(value)
        case _:
            return "SUCCESS" if value == "SUCCEED" else value


def _milliseconds(text: str) -> int:
    if SECONDS.fullmatch(text) is None:
        raise WireError(
            "InvalidInput", f"Filter UPDATE_DATE takes seconds since 1970 as decimal numbers, not '{text}'."
        )
    return round(float(text) * 1000)


def _read(input_: Input, known: Mapping[str, _Name]) -> list[_Filter]:
    """Return the filters of a checked input.

    :raises WireError: InvalidInput: a name, condition, value or number of values is not one that the call takes.
    """
    return [_read_one(given, known) for given in input_.get("Filters", ())]


def _read_one(given: Input, known: Mapping[str, _Name]) -> _Filter:
    name, values = given["Name"], given["Values"]
    takes = known.get(name)
    if takes is None:
        raise WireError("InvalidInput", f"Filter name '{name}' is not known here: use {', '.join(known)}.")
    condition = given.get("Condition", "EQ")
    if condition not in takes.conditions:
        raise WireError("InvalidInput", f"Filter {name} takes the condition {' or '.join(takes.conditions)}.")
    number = {"EQ": 1, "BEGINS_WITH": 1, "BETWEEN": 2}.get(condition)
    if len(values) != number if number is not None else not values:
        wanted = "at least one value" if number is None else f"exactly {number} value(s)"
        raise WireError("InvalidInput", f"Filter {name} with {condition} takes {wanted}, not {len(values)}.")
    if takes.values is not None and condition != "BEGINS_WITH":
        for value in values:
            if value not in takes.values:
                raise WireError("InvalidInput", f"Filter {name} has no value '{value}': use {', '.join(takes.values)}.")
    return _Filter(name, condition, values)
