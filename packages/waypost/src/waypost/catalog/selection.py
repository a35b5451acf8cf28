"""Which instances of a service may be handed out. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from waypost.catalog.model import Instance, Service

__all__ = ["Selection", "is_guarded", "select_answerable"]


@dataclass(frozen=True, slots=True)
class Selection:
    """The instances that DNS answers with."""

    instances: tuple[Instance, ...]
    guarded: bool  # none is healthy: these are answered because answering nobody would be worse


def select_answerable(instances: Iterable[Instance], *, fail_open: bool = True) -> Selection:
    """Return the healthy instances, or, if there is none, those that fail open; never one that is drained.

    Route 53 answers all when all are sick. Here that covers only instances that nobody supervises and that have been
    healthy before: a supervised one is replaced instead, and one that never worked is no better than none. A lapsed
    lease is evidence like a failed check.

    :param fail_open: False: the service would rather have nobody answered than a sick one.
    """
    present = tuple(instance for instance in instances if instance.drain is None)
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
        if instance.drain is None:
            if instance.well:
                return False
            spared = spared or (instance.proven and not instance.supervised)
    return spared
