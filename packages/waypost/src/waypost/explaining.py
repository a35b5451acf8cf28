"""Why a name is answered as it is: the verdict, its reasons, and what became of each instance. Pure.

The answer is found by the very code that answers DNS, over the one namespace that holds the name, so that what is told
here cannot differ from what is answered.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from dns.rdatatype import RdataType

from waypost.catalog.changes import InstanceDeregistered, Recorded
from waypost.catalog.index import Catalog, ServiceEntry
from waypost.catalog.model import Instance, Namespace, NamespaceType, RecordType, Service, decode_attributes
from waypost.catalog.selection import select_answerable
from waypost.nameserver.names import InvalidName, encode_name
from waypost.nameserver.records import MULTIVALUE_LIMIT
from waypost.nameserver.zones import Found, NoData, NoName, Outcome, Zones
from waypost.standings import Standing, State, last_changes, standing_of, told_cause
from waypost.watches import at_text

__all__ = [
    "ANSWERABLE",
    "API",
    "Explained",
    "Explanation",
    "Located",
    "NameInvalid",
    "explain",
    "folded_question",
    "locate",
]

ANSWERABLE: Final = ("A", "AAAA", "SRV", "CNAME", "TXT", "MX", "NS", "SOA", "ANY")
"""The record types that may be asked about, beside ``API``."""

API: Final = "API"
"""What DiscoverInstances answers, in the place of a record type."""
SHOWN: Final = 200  # instances; what is not answered comes first
RCODES: Final = {"answered": "NOERROR", "empty": "NOERROR", "unknown": "NXDOMAIN", "refused": "REFUSED"}
ADDRESSES: Final = ("AWS_INSTANCE_IPV4", "AWS_INSTANCE_IPV6", "AWS_INSTANCE_CNAME", "AWS_ALIAS_DNS_NAME")
NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "A": ("AWS_INSTANCE_IPV4", "AWS_ALIAS_DNS_NAME"),
    "AAAA": ("AWS_INSTANCE_IPV6", "AWS_ALIAS_DNS_NAME"),
    "CNAME": ("AWS_INSTANCE_CNAME",),
    "SRV": ("AWS_INSTANCE_PORT",),
}

Verdict = Literal["answered", "empty", "unknown", "refused", "stale"]


class NameInvalid(ValueError):
    """The text is no domain name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """Where a name leads in the catalog; each part None where it leads nowhere."""

    namespace: Namespace | None = None
    relative: str = ""  # the name below the namespace's, folded
    entry: ServiceEntry | None = None
    instance_id: str | None = None  # where the name is the target of one instance


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One instance of an explanation."""

    id: str
    address: str | None
    port: str | None
    in_answer: bool  # it may be handed out
    state: State
    reason: str
    since: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A name's answer and its reasons, the weightiest first."""

    name: str
    type: str
    answer: Verdict
    rcode: str | None  # None: it was not DNS that was asked about
    ttl_s: int | None
    because: list[str] = field(default_factory=list)
    instances: list[Explained] = field(default_factory=list)
    instances_total: int = 0


def folded_question(name: str) -> str:
    """Return a name as it is compared: lower case, without the root's dot.

    :raises NameInvalid: it is no domain name.
    """
    folded = name.strip().lower().removesuffix(".")
    try:
        encode_name(folded)
    except InvalidName as error:
        raise NameInvalid(f"'{name[:255]}' is not a domain name") from error
    return folded


def locate(catalog: Catalog, name: str, *, is_seen: Callable[[Namespace], bool]) -> Located:
    """Return where a folded name leads: the longest namespace that is seen, its service, and one instance of it."""
    labels = name.split(".")
    seen: dict[str, Namespace] = {}
    for namespace in catalog.namespaces():
        if is_seen(namespace):
            held = seen.setdefault(namespace.name.lower(), namespace)
            if _served_before(namespace, held):
                seen[namespace.name.lower()] = namespace
    for cut in range(len(labels)):
        found = seen.get(".".join(labels[cut:]))
        if found is not None:
            return _below(catalog, found, labels[:cut])
    return Located()


def _served_before(one: Namespace, other: Namespace) -> bool:
    """Whether of two namespaces with one name this is the one that DNS serves."""

    def rank(each: Namespace) -> tuple[bool, bool, int, str]:
        return each.type is NamespaceType.HTTP, each.vpc is None, each.created_ms, each.id

    return rank(one) < rank(other)


def _below(catalog: Catalog, namespace: Namespace, labels: Sequence[str]) -> Located:
    relative = ".".join(labels)
    entry = _named(catalog, namespace, relative) if relative else None
    if entry is not None or not relative:
        return Located(namespace=namespace, relative=relative, entry=entry)
    for cut in range(1, len(labels)):
        entry = _named(catalog, namespace, ".".join(labels[cut:]))
        if entry is not None:
            wanted = ".".join(labels[:cut])
            held = next((each for each in entry.instances if each.lower() == wanted), None)
            return Located(namespace=namespace, relative=relative, entry=entry, instance_id=held or wanted)
    return Located(namespace=namespace, relative=relative)


def _named(catalog: Catalog, namespace: Namespace, folded: str) -> ServiceEntry | None:
    """Return the service of a folded name; where names differ by case, the first of them."""
    if namespace.type is not NamespaceType.HTTP:
        return catalog.get_entry_named(namespace, folded)
    return next((entry for entry in catalog.services_of(namespace.id) if entry.service.name.lower() == folded), None)


def explain(
    name: str,
    rtype: str | None,
    found: Located,
    catalog: Catalog,
    *,
    history: Sequence[Recorded] | None,
    dns_revision: int | None = None,
    relax_nodata: bool = False,
    multivalue: int | None = MULTIVALUE_LIMIT,
) -> Explanation:
    """Return why a folded name is answered as it is.

    :param rtype: the record type, or ``API`` for DiscoverInstances; None: the first that the service has.
    :param history: of the service, newest first; None: it could not be read.
    :param dns_revision: the revision that every nameserver has confirmed; None: none is connected.
    """
    asked = rtype or _first_type(found)
    last = last_changes(history or ())
    standings = _standings(found, last)
    because = list(_apology(history))
    if asked == API:
        return _by_api(name, found, standings, because)
    if found.namespace is None:
        because.insert(0, "No namespace of this registry holds the name: the nameserver forwards it, or refuses it.")
        return Explanation(name=name, type=asked, answer="refused", rcode="REFUSED", ttl_s=None, because=because)
    outcome = _look_up(name, asked, found, catalog, relax_nodata=relax_nodata, multivalue=multivalue)
    verdict, ttl_s = _verdict(outcome)
    because[:0] = _reasons(outcome, asked, found, standings, history or (), relax_nodata=relax_nodata)
    newest = max((each.revision for each in history or ()), default=0)
    rcode = RCODES[verdict]
    if dns_revision is None:
        because.append("No nameserver follows this registry at the moment: one that lost it answers what it knew last.")
    elif dns_revision < newest:
        verdict = "stale"
        because.insert(0, f"A nameserver has confirmed revision {dns_revision}; the last change here is {newest}.")
    instances = _explained(found, standings, asked, is_dns_answered=isinstance(outcome, Found))
    return Explanation(
        name=name,
        type=asked,
        answer=verdict,
        rcode=rcode,
        ttl_s=ttl_s,
        because=because,
        instances=instances[:SHOWN],
        instances_total=len(instances),
    )


def _first_type(found: Located) -> str:
    if found.entry is None:
        return RecordType.A.value
    records = found.entry.service.records
    if not records:
        return API
    return records[0].type.value if found.instance_id is None else RecordType.A.value


def _standings(found: Located, last: Mapping[str, Sequence[Recorded]]) -> dict[str, tuple[Instance, Standing, bool]]:
    """Return each instance that the name is about, with how it stands and whether it may be handed out."""
    if found.entry is None:
        return {}
    service = found.entry.service
    concerned = [
        each for each in found.entry.instances.values() if found.instance_id is None or each.id == found.instance_id
    ]
    selection = select_answerable(concerned, fail_open=service.fails_open)
    answered = {each.id for each in selection.instances}
    return {
        each.id: (
            each,
            standing_of(
                each, service, guarded=selection.guarded and each.id in answered, changes=last.get(each.id, ())
            ),
            each.id in answered,
        )
        for each in concerned
    }


def _look_up(
    name: str, asked: str, found: Located, catalog: Catalog, *, relax_nodata: bool, multivalue: int | None
) -> Outcome:
    """Return what the nameserver finds, over the services that the name may belong to or lie above."""
    assert found.namespace is not None, "the caller has looked"
    relative = found.relative
    near = [
        entry
        for entry in catalog.services_of(found.namespace.id)
        if _is_near(entry.service.name.lower(), relative) or entry is found.entry
    ]
    zones = Zones.load(
        catalog.revision,
        [found.namespace],
        [(entry.service, entry.instances_revision) for entry in near],
        [instance for entry in near for instance in entry.instances.values()],
        relax_nodata=relax_nodata,
        multivalue=multivalue,
    )
    return zones.lookup(encode_name(name).lower(), RdataType[asked])


def _is_near(service: str, relative: str) -> bool:
    return service == relative or relative.endswith(f".{service}") or service.endswith(f".{relative}")


def _verdict(outcome: Outcome) -> tuple[Verdict, int | None]:
    match outcome:
        case Found(records):
            return "answered", records.ttl_s
        case NoData(_, ttl_s):
            return "empty", ttl_s
        case NoName(zone):
            return "unknown", zone.negative_ttl_s
        case _:
            return "refused", None


def _reasons(
    outcome: Outcome,
    asked: str,
    found: Located,
    standings: Mapping[str, tuple[Instance, Standing, bool]],
    history: Sequence[Recorded],
    *,
    relax_nodata: bool,
) -> Iterator[str]:
    namespace, entry = found.namespace, found.entry
    assert namespace is not None, "the caller has looked"
    if namespace.soa_ttl_s is None:
        yield f"The namespace {namespace.name} is discovered by API alone: DNS does not serve it."
        return
    if entry is None:
        yield from _nobody(outcome, found, history)
        return
    service = entry.service
    if not service.records:
        yield f"The service {service.name} is discovered by API alone: DNS does not know it."
        return
    if isinstance(outcome, Found):
        yield from _answered(outcome, service, standings)
        return
    if found.instance_id is not None and not standings:
        yield f"The service {service.name} has no instance {found.instance_id}."
        yield from _departed(history, found.instance_id)
    elif not standings:
        yield f"The service {service.name} exists, and nothing is registered in it."
        yield from _departed(history, None)
    elif any(answerable for _, _, answerable in standings.values()):
        types = ", ".join(record.type.value for record in service.records)
        yield f"The service {service.name} has records of type {types}, and none of type {asked} at this name."
    else:
        yield from _unanswerable(service, standings)
    if isinstance(outcome, NoName) and not relax_nodata and found.instance_id is None:
        yield "As with Cloud Map, a service that has nothing to answer does not exist in DNS."


def _nobody(outcome: Outcome, found: Located, history: Sequence[Recorded]) -> Iterator[str]:
    namespace = found.namespace
    assert namespace is not None, "the caller has looked"
    if not found.relative:
        yield f"This is the name of the namespace {namespace.name} itself, which has SOA and NS records alone."
    elif isinstance(outcome, NoData):
        yield "No service has this name; there are names below it, so it exists and has no records."
    else:
        yield f"The namespace {namespace.name} has no service {found.relative}."
    if history:
        ended = history[0]
        yield f"There was one of this name: {at_text(ended.at_ms)}, {told_cause(ended)}."


def _answered(
    outcome: Found, service: Service, standings: Mapping[str, tuple[Instance, Standing, bool]]
) -> Iterator[str]:
    records = outcome.records
    total, sound = len(standings), sum(answerable for _, _, answerable in standings.values())
    if any(standing.state == "guarded" for _, standing, _ in standings.values()):
        yield (
            f"No instance is well, so {sound} of {total} are answered all the same (fail-open): they are not "
            "supervised, and were healthy before."
        )
    else:
        yield f"{sound} of {total} instances may be handed out."
    if records.drawn < len(records.records):
        policy = "one" if records.drawn == 1 else f"{records.drawn}"
        yield f"Each reply holds {policy} of the {len(records.records)} records, drawn at random ({service.routing})."
    yield f"A resolver may keep the answer for {records.ttl_s} s (TTL)."
    yield from _counted(standings)


def _unanswerable(service: Service, standings: Mapping[str, tuple[Instance, Standing, bool]]) -> Iterator[str]:
    yield f"The service {service.name} has {len(standings)} instances, and none of them may be handed out."
    yield from _counted(standings)
    sick = [instance for instance, standing, _ in standings.values() if standing.state in ("unhealthy", "expired")]
    if not sick:
        return
    if not service.fails_open:
        yield "The service does not fail open (WAYPOST_FAIL_OPEN is false): nobody is answered rather than a sick one."
    elif all(each.supervised for each in sick):
        yield "They are supervised, so they are replaced rather than answered while sick."
    elif not any(each.proven for each in sick):
        yield "None of them has been healthy since it was registered, so failing open does not cover them."


def _counted(standings: Mapping[str, tuple[Instance, Standing, bool]]) -> Iterator[str]:
    """Yield a sentence for each state that keeps instances out, with the newest reason."""
    out = [(instance, standing) for instance, standing, answerable in standings.values() if not answerable]
    for state in ("unhealthy", "expired", "drained", "unknown", "healthy"):
        alike = [(instance, standing) for instance, standing in out if standing.state == state]
        if not alike:
            continue
        instance, standing = max(alike, key=lambda each: each[1].since or "")
        since = f" since {standing.since}" if standing.since else ""
        yield f"Left out as {state}: {len(alike)}, the latest {instance.id}{since}. {standing.reason}"


def _departed(history: Sequence[Recorded], instance_id: str | None) -> Iterator[str]:
    gone = next(
        (
            each
            for each in history
            if isinstance(each.change, InstanceDeregistered)
            and (instance_id is None or each.change.instance_id.lower() == instance_id.lower())
        ),
        None,
    )
    if gone is not None and isinstance(gone.change, InstanceDeregistered):
        yield f"{gone.change.instance_id} was deregistered at {at_text(gone.at_ms)} ({told_cause(gone)})."


def _apology(history: Sequence[Recorded] | None) -> Iterator[str]:
    if history is None:
        yield "The history cannot be read now, so it is not known since when, nor who caused it."


def _by_api(
    name: str,
    found: Located,
    standings: Mapping[str, tuple[Instance, Standing, bool]],
    because: list[str],
) -> Explanation:
    """Explain what DiscoverInstances answers: the healthy, or else all that are not drained."""
    if found.entry is None or (found.instance_id is not None and not standings):
        what = "service" if found.entry is None else "instance"
        because.insert(0, f"No {what} of this registry has the name: the API answers that it is not found.")
        return Explanation(name=name, type=API, answer="unknown", rcode=None, ttl_s=None, because=because)
    service = found.entry.service
    open_ = [each for each, _, _ in standings.values() if each.drain is None]
    well = {each.id for each in open_ if each.well}
    handed = well or ({each.id for each in open_} if service.fails_open else set())
    if well:
        because.insert(0, f"DiscoverInstances answers the {len(well)} of {len(standings)} instances that are well.")
    elif handed:
        because.insert(0, f"No instance is well, so DiscoverInstances answers all {len(handed)} that are not drained.")
    else:
        because.insert(0, f"None of the {len(standings)} instances may be handed out.")
    judged = {key: (instance, standing, key in handed) for key, (instance, standing, _) in standings.items()}
    because.extend(_counted(judged))
    instances = _explained(found, judged, API, is_dns_answered=True)
    return Explanation(
        name=name,
        type=API,
        answer="answered" if handed else "empty",
        rcode=None,
        ttl_s=None,
        because=because,
        instances=instances[:SHOWN],
        instances_total=len(instances),
    )


def _explained(
    found: Located,
    standings: Mapping[str, tuple[Instance, Standing, bool]],
    asked: str,
    *,
    is_dns_answered: bool,
) -> list[Explained]:
    needs = () if found.instance_id is not None and asked == "SRV" else NEEDS.get(asked, ())
    explained = []
    for instance, standing, answerable in standings.values():
        attributes = decode_attributes(instance.attributes)
        fits = not needs or any(name in attributes for name in needs)
        reason = standing.reason
        if answerable and not fits:
            reason = f"{reason} It has no {' or '.join(needs)}, so it has no {asked} record."
        explained.append(
            Explained(
                id=instance.id,
                address=next((attributes[name] for name in ADDRESSES if name in attributes), None),
                port=attributes.get("AWS_INSTANCE_PORT"),
                in_answer=answerable and fits and is_dns_answered,
                state=standing.state,
                reason=reason,
                since=standing.since,
            )
        )
    return sorted(explained, key=lambda each: (each.in_answer, each.id))
