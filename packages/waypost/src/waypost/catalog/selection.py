"""Which instances of a service may be handed out. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from waypost.catalog.model import Instance, Service

__all__ = ["Candidate", "Selection", "is_guarded", "select_answerable"]


class Candidate(Protocol):
    """What decides whether an instance is handed out, in whatever form it is kept."""

    @property
    def drained(self) -> bool: ...

    @property
    def well(self) -> bool: ...

    @property
    def proven(self) -> bool: ...

    @property
    def supervised(self) -> bool: ...


C = TypeVar("C", bound=Candidate)


@dataclass(frozen=True, slots=True)
class Selection(Generic[C]):
    """The instances that DNS answers with."""

    instances: tuple[C, ...]
    guarded: bool  # none is healthy: these are answered because answering nobody would be worse


def select_answerable(instances: Iterable[C], *, fail_open: bool = True) -> Selection[C]:
    """Return the healthy instances, or, if there is none, those that fail open; never one that is drained.

    Route 53 answers all when all are sick. Here that covers only instances that nobody supervises and that have been
    healthy before: a supervised one is replaced instead, and one that never worked is no better than none. A lapsed
    lease is evidence like a failed check.

    :param fail_open: False: the service would rather have nobody answered than a sick one.
    """
    present = tuple(instance for instance in instances if not instance.drained)
    healthy = tuple(instance for instance in present if instance.well)
    if healthy or not fail_open:
        return Selection(healthy, guarded=False)
    spared = tuple(instance for instance in present if instance.proven and not instance.supervised)
    return Selection(spared, guarded=bool(spared))


def is_guarded(instances: Iterable[Instance], service: Service) -> bool:
    """Tell whether a service answers sick instances for want of others; soon told where the first one is well."""
    if not service.fails_open:
        return False
    spared = False
    for instance in instances:
        if not instance.drained:
            if instance.well:
                return False
            spared = spared or (instance.proven and not instance.supervised)
    return spared
