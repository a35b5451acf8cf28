"""How an instance stands, in a word and a sentence: by what it is now, and by what is kept of its past. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from waypost.catalog.changes import (
    DrainBegan,
    DrainEnded,
    HealthChanged,
    InstanceRegistered,
    LeaseLapsed,
    LeaseRenewed,
    Recorded,
)
from waypost.catalog.model import Health, Instance, Service
from waypost.catalog.subjects import subject_of
from waypost.watches import at_text

__all__ = ["Standing", "State", "last_changes", "standing_of", "state_of", "told_cause"]

State = Literal["healthy", "unhealthy", "drained", "expired", "guarded", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How one instance stands: its state in a word, and why."""

    state: State
    reason: str
    since: str | None = None  # RFC 3339; None: it is not kept


def told_cause(recorded: Recorded) -> str:
    """Return who or what made a change, in words: ``CheckFailed: connection refused``."""
    cause = recorded.cause
    who = cause.call if cause.by in ("-", "waypost") else f"{cause.call} by {cause.by}"
    return f"{who}: {cause.why}" if cause.why else who


def last_changes(history: Iterable[Recorded]) -> dict[str, list[Recorded]]:
    """Return the changes of each instance, newest first."""
    found: dict[str, list[Recorded]] = {}
    for each in history:
        _, instance_id = subject_of(each.change)
        if instance_id is not None:
            found.setdefault(instance_id, []).append(each)
    return found


def state_of(instance: Instance, service: Service, *, guarded: bool) -> State:
    """Return the word for how an instance stands; ``guarded``: it is answered though it is not well."""
    if instance.drain is not None:
        return "drained"
    if instance.lapsed or instance.health is Health.UNHEALTHY:
        return "guarded" if guarded else "expired" if instance.lapsed else "unhealthy"
    return "healthy" if service.checked else "unknown"


def standing_of(instance: Instance, service: Service, *, guarded: bool, changes: Sequence[Recorded]) -> Standing:
    """Return how an instance stands, by its present state and what is kept of its past, newest first."""
    if instance.drain is not None:
        began = _newest(changes, DrainBegan)
        why = f": {instance.drain.reason}" if instance.drain.reason else ""
        until = "" if instance.drain.until_ms is None else f", until {at_text(instance.drain.until_ms)}"
        return _standing("drained", f"It is drained{why}{until}", began)
    if instance.lapsed:
        return _guardable("expired", "Its lease was not renewed in time", _newest(changes, LeaseLapsed), guarded)
    if instance.health is Health.UNHEALTHY:
        fell = _newest(changes, HealthChanged, InstanceRegistered)
        return _guardable("unhealthy", "It is unhealthy", fell, guarded)
    if not service.checked:
        return _standing("unknown", "Nothing checks it, so it counts as usable", _newest(changes, InstanceRegistered))
    rose = _newest(changes, HealthChanged, InstanceRegistered, LeaseRenewed, DrainEnded)
    return _standing("healthy", "It is healthy", rose)


def _guardable(state: State, reason: str, since: Recorded | None, guarded: bool) -> Standing:
    if guarded:
        return _standing("guarded", f"{reason}, and is answered all the same because nobody else is well", since)
    return _standing(state, reason, since)


def _standing(state: State, reason: str, since: Recorded | None) -> Standing:
    if since is None:
        return Standing(state=state, reason=f"{reason}.")
    return Standing(state=state, reason=f"{reason} ({told_cause(since)}).", since=at_text(since.at_ms))


def _newest(changes: Sequence[Recorded], *kinds: type) -> Recorded | None:
    return next((each for each in changes if isinstance(each.change, kinds)), None)
