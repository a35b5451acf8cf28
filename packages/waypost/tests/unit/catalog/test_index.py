"""The draft of a batch and the catalog after its commit must tell the same."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.catalog.changes import (
    Change,
    HealthChanged,
    InstanceDeregistered,
    InstanceRegistered,
    NamespaceDeleted,
    OperationFailed,
    ServiceDeleted,
    change_from_bytes,
    change_to_bytes,
)
from waypost.catalog.commands import (
    CreateNamespace,
    CreateService,
    Decision,
    DeleteNamespace,
    DeleteService,
    DeregisterInstance,
    Moment,
    RegisterInstance,
    UpdateHealth,
)
from waypost.catalog.errors import CatalogError
from waypost.catalog.identifiers import Ids, arn
from waypost.catalog.index import Catalog, Draft, View
from waypost.catalog.model import Health, NamespaceType
from waypost.catalog.tagging import TagResource
from waypost.catalog.updates import UpdateNamespace, UpdateService, UpdateServiceAttributes

NAMES = ("one", "two", "TWO")
INSTANCES = ("i-1", "i-2")

KINDS = (
    "namespace",
    "service",
    "register",
    "deregister",
    "health",
    "drop service",
    "drop namespace",
    "update namespace",
    "update service",
    "attributes",
    "tag",
)

steps = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.sampled_from(NAMES),
        st.sampled_from(NAMES),
        st.sampled_from(INSTANCES),
        st.sampled_from([Health.HEALTHY, Health.UNHEALTHY]),
    ),
    max_size=40,
)


def decide(view: View, step: tuple[str, str, str, str, Health], moment: Moment) -> Decision[object] | None:
    """Return what a step leads to on a view; None where it is refused."""
    kind, namespace_name, service_name, instance_id, health = step
    namespace = next((each for each in view.namespaces() if each.name == namespace_name), None)
    namespace_id = "ns-none" if namespace is None else namespace.id
    service = None if namespace is None else view.get_service_named(namespace, service_name)
    service_id = "srv-none" if service is None else service.id
    own = {"account": "000000000000", "region": "us-east-1"}
    type_ = NamespaceType.HTTP if namespace_name == "one" else NamespaceType.DNS_PRIVATE
    commands: dict[str, object] = {
        "namespace": CreateNamespace(name=namespace_name, type=type_, vpc="vpc-1", **own),
        "service": CreateService(namespace_id=namespace_id, name=service_name, custom_health_check=True, **own),
        "register": RegisterInstance(service_id=service_id, instance_id=instance_id, attributes={"k": "v"}),
        "deregister": DeregisterInstance(service_id=service_id, instance_id=instance_id),
        "health": UpdateHealth(service_id=service_id, instance_id=instance_id, health=health),
        "drop service": DeleteService(service_id=service_id),
        "drop namespace": DeleteNamespace(namespace_id=namespace_id),
        "update namespace": UpdateNamespace(namespace_id=namespace_id, type=type_, description=instance_id),
        "update service": UpdateService(service_id=service_id, description=instance_id),
        "attributes": UpdateServiceAttributes(service_id=service_id, attributes={instance_id: health}),
        "tag": TagResource(arn=arn("service", "us-east-1", "000000000000", service_id), tags=(("k", health),), **own),
    }
    try:
        return commands[kind].decide(view, moment)  # type: ignore[attr-defined,no-any-return]
    except CatalogError:
        return None


def told(view: View) -> object:
    """Return all that a view tells, for comparison."""
    found = []
    for namespace in sorted(view.namespaces(), key=lambda each: each.id):
        for name in NAMES:
            service = view.get_service_named(namespace, name)
            if service is not None:
                instances = [view.get_instance(service.id, each) for each in INSTANCES]
                found.append((namespace, name, service, view.instance_count(service.id), instances))
                assert {each.id for each in view.instances_in(service.id)} == {each.id for each in instances if each}
        services = sorted(each.id for each in view.services_in(namespace.id))
        assert view.service_count(namespace.id) == len(services)
        in_all = sum(view.instance_count(each) for each in services)
        assert view.namespace_instance_count(namespace.id) == in_all
        found.append((namespace, services, in_all))
    return found


def take(view: Catalog | Draft, taken: list[tuple[str, str, str, str, Health]], ids: Ids) -> list[Change]:
    """Take steps in a view, and return the changes that they led to."""
    changes: list[Change] = []
    for step in taken:
        decision = decide(view, step, Moment(now_ms=0, revision=view.revision + 1, ids=ids))
        for change in () if decision is None else decision.changes:
            if isinstance(view, Draft):
                view.apply(change)
            else:
                view.apply(view.revision + 1, change)
            changes.append(change)
    return changes


@given(before=steps, batch=steps, seed=st.integers(0, 2**32))
def test_a_draft_tells_what_the_catalog_tells_after_the_commit(
    before: list[tuple[str, str, str, str, Health]], batch: list[tuple[str, str, str, str, Health]], seed: int
) -> None:
    ids = Ids(random.Random(seed))
    catalog = Catalog()
    take(catalog, before, ids)
    untouched = told(catalog)
    draft = Draft(catalog)
    changes = take(draft, batch, ids)
    assert told(catalog) == untouched  # the draft alone changes nothing
    drafted = told(draft)
    for change in changes:
        catalog.apply(catalog.revision + 1, change)
    assert told(catalog) == drafted
    assert catalog.revision == draft.revision
    assert [change_from_bytes(change_to_bytes(change)) for change in changes] == changes


@given(before=steps, batch=steps, together=steps, seed=st.integers(0, 2**32))
def test_a_draft_that_adopts_another_tells_what_that_one_told(
    before: list[tuple[str, str, str, str, Health]],
    batch: list[tuple[str, str, str, str, Health]],
    together: list[tuple[str, str, str, str, Health]],
    seed: int,
) -> None:
    ids = Ids(random.Random(seed))
    catalog = Catalog()
    take(catalog, before, ids)
    draft = Draft(catalog)
    take(draft, batch, ids)
    over = Draft(draft)
    take(over, together, ids)
    expected = told(over), over.revision  # once adopted, it would lie over itself
    draft.adopt(over)
    assert (told(draft), draft.revision) == expected


def test_a_gap_between_revisions_is_refused() -> None:
    catalog = Catalog()
    with pytest.raises(ValueError, match="does not follow"):
        catalog.apply(2, OperationFailed("INTERNAL_FAILURE", "x"))


def test_only_registrations_move_the_instances_revision() -> None:
    catalog = Catalog()
    ids = Ids(random.Random(1))
    for step in (
        ("namespace", "two", "one", "i-1", Health.HEALTHY),
        ("service", "two", "one", "i-1", Health.HEALTHY),
        ("register", "two", "one", "i-1", Health.HEALTHY),
    ):
        decision = decide(catalog, step, Moment(now_ms=0, revision=catalog.revision + 1, ids=ids))
        assert decision is not None
        assert decision.change is not None
        catalog.apply(catalog.revision + 1, decision.change)
    (entry,) = catalog.entry_of.values()
    assert entry.instances_revision == 3
    catalog.apply(4, HealthChanged(entry.service.id, "i-1", Health.UNHEALTHY))
    assert entry.instances_revision == 3
    catalog.apply(5, InstanceRegistered(entry.instances["i-1"]))
    assert entry.instances_revision == 5
    catalog.apply(6, InstanceDeregistered(entry.service.id, "i-1"))
    assert entry.instances_revision == 6
    catalog.apply(7, ServiceDeleted(entry.service.id))
    catalog.apply(8, NamespaceDeleted(next(iter(catalog.namespace_of))))
    assert told(catalog) == []
