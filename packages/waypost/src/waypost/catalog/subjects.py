"""What a change is about, told by the names of its fields, so that a new kind of change needs nothing here.

A change carries a whole ``instance`` or ``service``, or the ids ``service_id`` and ``instance_id``.
"""

from typing import NamedTuple

from waypost.catalog.changes import Change

__all__ = ["Subject", "subject_of"]


class Subject(NamedTuple):
    """The service that a change is about, and the instance of it; each None where there is none."""

    service_id: str | None
    instance_id: str | None


def subject_of(change: Change) -> Subject:
    """Return what a change is about."""
    instance = getattr(change, "instance", None)
    if instance is not None:
        return Subject(instance.service_id, instance.id)
    service = getattr(change, "service", None)
    if service is not None:
        return Subject(service.id, None)
    return Subject(getattr(change, "service_id", None), getattr(change, "instance_id", None))
