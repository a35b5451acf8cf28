"""What DiscoverInstances tells of a service: who is meant, and each of them as JSON that is encoded once.

A service is asked for far more often than it changes. So what an answer is made of is kept with the service's entry
until that changes: each instance's piece of JSON, and who is meant where a caller gives no parameters. An answer is
then those pieces in a new order.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from waypost.apis.cloudmap.views import status_of
from waypost.catalog.index import ServiceEntry
from waypost.catalog.model import Health, Instance, decode_attributes

__all__ = ["Discovered", "discovered", "drawn", "meant_by"]

WANTED: Final = "HEALTHY_OR_ELSE_ALL"  # where a caller gives no HealthStatus


class Discovered:
    """What is kept of one service. ``namespace`` is the HttpName under which it is found, which never changes."""

    __slots__ = ("_entry", "_meant", "_namespace", "_pieces")

    def __init__(self, entry: ServiceEntry, namespace: str) -> None:
        self._entry, self._namespace = entry, namespace
        self._meant: dict[str, Sequence[Instance]] = {}  # by HealthStatus
        self._pieces: dict[str, bytes] = {}  # by instance id

    def meant(self, input_: Mapping[str, Any]) -> Sequence[Instance]:
        """Return whom a call means, in no certain order."""
        if input_.get("QueryParameters") or input_.get("OptionalParameters"):
            return meant_by(input_, self._entry)
        wanted = input_.get("HealthStatus", WANTED)
        meant = self._meant.get(wanted)
        if meant is None:
            meant = self._meant[wanted] = meant_by(input_, self._entry)
        return meant

    def encoded(self, instances: Sequence[Instance]) -> msgspec.Raw:
        """Return the JSON list of HttpInstanceSummary that shows these instances, in this order."""
        pieces = self._pieces
        try:
            shown = [pieces[each.id] for each in instances]
        except KeyError:  # a large service is not encoded whole for the few of it that are shown
            pieces.update((each.id, self._piece(each)) for each in instances if each.id not in pieces)
            shown = [pieces[each.id] for each in instances]
        return msgspec.Raw(b"[" + b",".join(shown) + b"]")

    def _piece(self, instance: Instance) -> bytes:
        return msgspec.json.encode(
            {
                "InstanceId": instance.id,
                "NamespaceName": self._namespace,
                "ServiceName": self._entry.service.name,
                "HealthStatus": status_of(self._entry.service, instance),
                "Attributes": msgspec.Raw(instance.attributes),
            }
        )


def discovered(entry: ServiceEntry, namespace: str) -> Discovered:
    """Return what is kept of a service, which begins anew after each change of it."""
    kept = entry.derived
    if not isinstance(kept, Discovered):
        kept = entry.derived = Discovered(entry, namespace)
    return kept


def drawn(instances: Sequence[Instance], most: int, chance: random.Random) -> list[Instance]:
    """Return these instances in random order, but at most so many of them, each with the same chance."""
    if len(instances) > most:
        return chance.sample(instances, most)
    number = chance.random
    return sorted(instances, key=lambda _: number())  # a fifth of the time that shuffling takes


def meant_by(input_: Mapping[str, Any], entry: ServiceEntry) -> list[Instance]:
    """Return whom DiscoverInstances means, in the order of steps that Cloud Map documents."""
    chosen = [each for each in entry.instances.values() if each.drain is None]
    if query := input_.get("QueryParameters"):
        chosen = [each for each in chosen if _has(each, query)]
    if optional := input_.get("OptionalParameters"):
        chosen = [each for each in chosen if _has(each, optional)] or chosen
    wanted = input_.get("HealthStatus", WANTED)
    if wanted == "ALL":
        return chosen
    service = entry.service
    if not service.checked:
        # Nothing decides their health, but a lease may have lapsed.
        well = [each for each in chosen if not each.lapsed]
        lapsed = len(well) < len(chosen)
        return [each for each in chosen if each.lapsed] if lapsed and wanted == "UNHEALTHY" else well or chosen
    healthy = [each for each in chosen if status_of(service, each) is Health.HEALTHY]
    if wanted == "HEALTHY_OR_ELSE_ALL":
        return healthy or (chosen if service.fails_open else [])
    return healthy if wanted == "HEALTHY" else [each for each in chosen if status_of(service, each) == wanted]


def _has(instance: Instance, pairs: Mapping[str, str]) -> bool:
    attributes = decode_attributes(instance.attributes)
    return all(attributes.get(key) == value for key, value in pairs.items())
