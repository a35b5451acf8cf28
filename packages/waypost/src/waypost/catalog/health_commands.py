"""What changes of an instance while it stays registered, and its removal on evidence.

Commands of the registry itself carry the generation of the instance that they mean: a verdict, a lapse or a removal
that comes late, for one that was deregistered or registered anew meanwhile, changes nothing.
"""

from dataclasses import dataclass

from waypost.catalog import rules
from waypost.catalog.changes import (
    Change,
    DrainBegan,
    DrainEnded,
    HealthChanged,
    InstanceDeregistered,
    LeaseGranted,
    LeaseLapsed,
    LeaseRenewed,
)
from waypost.catalog.commands import Decision, Moment, find_instance, find_service
from waypost.catalog.errors import InvalidInput
from waypost.catalog.index import View
from waypost.catalog.model import Drain, Health, Instance

__all__ = [
    "BeginDrain",
    "EndDrain",
    "GrantLease",
    "JudgeHealth",
    "LapseLease",
    "Nothing",
    "RemoveInstance",
    "RestoreLease",
]

LONGEST_DRAIN_S = 30 * 86_400
REASON = 256  # characters


@dataclass(frozen=True, slots=True)
class Nothing:
    """Change nothing: it shows that the journal can be written to."""

    def decide(self, view: View, moment: Moment) -> Decision[None]:
        return Decision(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeHealth:
    """Take a prober's verdict; answers whether it still meant anybody."""

    service_id: str
    instance_id: str
    generation: int
    health: Health

    def decide(self, view: View, moment: Moment) -> Decision[bool]:
        instance = _same(view, self.service_id, self.instance_id, self.generation)
        if instance is None or instance.health is self.health:
            return Decision(instance is not None)
        return Decision(True, HealthChanged(self.service_id, self.instance_id, self.health))


@dataclass(frozen=True, slots=True, kw_only=True)
class LapseLease:
    """Note that a lease ended; answers whether it still meant anybody."""

    service_id: str
    instance_id: str
    generation: int

    def decide(self, view: View, moment: Moment) -> Decision[bool]:
        instance = _same(view, self.service_id, self.instance_id, self.generation)
        if instance is None or instance.lapsed:
            return Decision(instance is not None)
        return Decision(True, LeaseLapsed(self.service_id, self.instance_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreLease:
    """Let an instance whose lease had lapsed come back; answers the instance."""

    service_id: str
    instance_id: str

    def decide(self, view: View, moment: Moment) -> Decision[Instance]:
        instance = find_instance(view, self.service_id, self.instance_id)
        change: Change | None = LeaseRenewed(self.service_id, self.instance_id) if instance.lapsed else None
        return Decision(instance, change)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantLease:
    """Grant a lease, or one of another length: it becomes the instance's attribute WAYPOST_LEASE."""

    service_id: str
    instance_id: str
    lease_s: int

    def decide(self, view: View, moment: Moment) -> Decision[None]:
        if not rules.is_lease(self.lease_s):
            raise InvalidInput(f"ttl_s {self.lease_s} is not a lease: give 1 to {rules.LONGEST_LEASE_S} seconds.")
        instance = find_instance(view, self.service_id, self.instance_id)
        if instance.lease_s == self.lease_s and not instance.lapsed:
            return Decision(None)
        return Decision(None, LeaseGranted(self.service_id, self.instance_id, self.lease_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveInstance:
    """Take away an instance that has been unwell for long; answers whether it was."""

    service_id: str
    instance_id: str
    generation: int

    def decide(self, view: View, moment: Moment) -> Decision[bool]:
        instance = _same(view, self.service_id, self.instance_id, self.generation)
        if instance is None or instance.well:
            return Decision(False)
        return Decision(True, InstanceDeregistered(self.service_id, self.instance_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginDrain:
    """Keep an instance and hand it out no more; answers until when, in milliseconds since the epoch."""

    service_id: str
    instance_id: str
    for_s: float | None  # None: until it is ended by hand
    reason: str = ""

    def decide(self, view: View, moment: Moment) -> Decision[int | None]:
        if self.for_s is not None and not 0 < self.for_s <= LONGEST_DRAIN_S:
            raise InvalidInput(
                f"for_s {self.for_s:g} is not the length of a drain: give 0 to {LONGEST_DRAIN_S} seconds."
            )
        if len(self.reason) > REASON:
            raise InvalidInput(f"The reason has {len(self.reason)} characters: give at most {REASON}.")
        find_service(view, self.service_id)
        find_instance(view, self.service_id, self.instance_id)
        until_ms = None if self.for_s is None else moment.now_ms + round(self.for_s * 1000)
        drain = Drain(until_ms=until_ms, reason=self.reason)
        return Decision(until_ms, DrainBegan(self.service_id, self.instance_id, drain))


@dataclass(frozen=True, slots=True, kw_only=True)
class EndDrain:
    """Hand an instance out again; one that is not drained stays as it is."""

    service_id: str
    instance_id: str
    drain: Drain | None = None  # only if it is still this one, whose time is over

    def decide(self, view: View, moment: Moment) -> Decision[None]:
        find_service(view, self.service_id)
        instance = find_instance(view, self.service_id, self.instance_id)
        if instance.drain is None or self.drain not in (None, instance.drain):
            return Decision(None)
        return Decision(None, DrainEnded(self.service_id, self.instance_id))


def _same(view: View, service_id: str, instance_id: str, generation: int) -> Instance | None:
    instance = view.get_instance(service_id, instance_id)
    return instance if instance is not None and instance.generation == generation else None
