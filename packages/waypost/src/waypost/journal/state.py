"""The current state as tables, written beside the journal in the same transaction, and read at the start."""

from collections.abc import Iterable
from typing import Final

import msgspec
from sqlalchemy import TextClause, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from waypost.catalog.changes import (
    DrainBegan,
    DrainEnded,
    InstanceChanged,
    InstanceDeregistered,
    InstanceRegistered,
    NamespaceCreated,
    NamespaceDeleted,
    NamespaceUpdated,
    Recorded,
    ServiceCreated,
    ServiceDeleted,
    ServiceUpdated,
)
from waypost.catalog.index import Catalog, View
from waypost.catalog.model import Health, Instance, Namespace, Service
from waypost.journal import tables
from waypost.journal.withheld import load_withheld, withheld_statements

__all__ = ["load_state", "state_statements"]

LOAD_ROWS: Final = 10_000  # rows fetched at a time when the state is read

_UPSERT_NAMESPACE: Final = text(
    "INSERT INTO waypost_namespaces (id, body) VALUES (:id, :body) ON CONFLICT (id) DO UPDATE SET body = excluded.body"
)
_INSERT_SERVICE: Final = text(
    "INSERT INTO waypost_services (id, created_revision, instances_revision, body) "
    "VALUES (:id, :revision, :revision, :body) ON CONFLICT (id) DO UPDATE SET body = excluded.body"
)
_MOVE_SERVICE: Final = text("UPDATE waypost_services SET instances_revision = :revision WHERE id = :id")
_UPSERT_INSTANCE: Final = text(
    "INSERT INTO waypost_instances (service_id, id, attributes, health, proven, generation, creator_request_id, "
    "operation) VALUES (:service_id, :id, :attributes, :health, :proven, :generation, :creator_request_id, :operation) "
    "ON CONFLICT (service_id, id) DO UPDATE SET attributes = excluded.attributes, health = excluded.health, "
    "proven = excluded.proven, generation = excluded.generation, creator_request_id = excluded.creator_request_id, "
    "operation = excluded.operation"
)
_SELECT_INSTANCES: Final = text(
    "SELECT service_id, id, attributes, health, proven, generation, creator_request_id, operation "
    "FROM waypost_instances"
)
_DELETE_NAMESPACE: Final = text("DELETE FROM waypost_namespaces WHERE id = :id")
_DELETE_SERVICE: Final = text("DELETE FROM waypost_services WHERE id = :id")
_DELETE_INSTANCE: Final = text("DELETE FROM waypost_instances WHERE service_id = :service_id AND id = :id")


Statement = tuple[TextClause, list[dict[str, object]]]  # with a row of parameters for each time that it is executed


def state_statements(recorded: Iterable[Recorded], *, before: View, after: View) -> list[Statement]:
    """Return what writes, for everything that the changes touched, how it stands after all of them."""
    namespace_ids: dict[str, None] = {}
    service_ids: dict[str, int] = {}
    instance_keys: dict[tuple[str, str], None] = {}
    moved: dict[str, int] = {}
    for each in recorded:
        match each.change:
            case NamespaceCreated(namespace) | NamespaceUpdated(namespace):
                namespace_ids[namespace.id] = None
            case NamespaceDeleted(namespace_id):
                namespace_ids[namespace_id] = None
            case ServiceCreated(service) | ServiceUpdated(service):
                service_ids.setdefault(service.id, each.revision)
            case ServiceDeleted(service_id):
                service_ids[service_id] = each.revision
            case InstanceRegistered(instance):
                instance_keys[instance.service_id, instance.id] = None
                moved[instance.service_id] = each.revision
            case InstanceDeregistered(service_id, instance_id):
                instance_keys[service_id, instance_id] = None
                moved[service_id] = each.revision
            case InstanceChanged(service_id, instance_id):
                instance_keys[service_id, instance_id] = None
                if isinstance(each.change, DrainBegan | DrainEnded):
                    moved[service_id] = each.revision
    namespaces = {each: after.get_namespace(each) for each in namespace_ids}
    services = {each: after.get_service(each) for each in service_ids}
    instances = {key: after.get_instance(*key) for key in instance_keys}
    statements: list[Statement] = [
        (_UPSERT_NAMESPACE, [_body(namespace) for namespace in namespaces.values() if namespace is not None]),
        (_DELETE_NAMESPACE, [{"id": each} for each, namespace in namespaces.items() if namespace is None]),
        (
            _INSERT_SERVICE,
            [
                {**_body(service), "revision": service_ids[each]}
                for each, service in services.items()
                if service is not None
            ],
        ),
        (_DELETE_SERVICE, [{"id": each} for each, service in services.items() if service is None]),
        (_MOVE_SERVICE, [{"id": each, "revision": revision} for each, revision in moved.items()]),
        (_UPSERT_INSTANCE, [_instance_row(instance) for instance in instances.values() if instance is not None]),
        (
            _DELETE_INSTANCE,
            [{"service_id": key[0], "id": key[1]} for key, instance in instances.items() if instance is None],
        ),
        *withheld_statements(instances, before),
    ]
    return [(statement, rows) for statement, rows in statements if rows]


def _body(value: Namespace | Service) -> dict[str, object]:
    return {"id": value.id, "body": msgspec.json.encode(value)}


def _instance_row(instance: Instance) -> dict[str, object]:
    return {
        "service_id": instance.service_id,
        "id": instance.id,
        "attributes": instance.attributes,
        "health": instance.health.value,
        "proven": int(instance.proven),
        "generation": instance.generation,
        "creator_request_id": instance.creator_request_id,
        "operation": instance.operation,
    }


async def load_state(connection: AsyncConnection, catalog: Catalog) -> None:
    """Fill an empty catalog with the stored state."""
    revision = (await connection.execute(select(tables.counter.c.revision))).scalar_one()
    namespaces = (await connection.execute(select(tables.namespaces.c.body))).scalars()
    columns = tables.services.c
    ordered = select(columns.body, columns.instances_revision).order_by(columns.created_revision)
    services = await connection.execute(ordered)
    catalog.load(
        revision,
        [msgspec.json.decode(body, type=Namespace) for body in namespaces],
        [(msgspec.json.decode(body, type=Service), instances_revision) for body, instances_revision in services],
    )
    withheld = await load_withheld(connection)
    # Hundreds of thousands of rows: taken in chunks, without the columns' types and without a switch of task for each.
    health_of = {health.value: health for health in Health}
    async with connection.stream(_SELECT_INSTANCES, execution_options={"yield_per": LOAD_ROWS}) as rows:
        async for chunk in rows.partitions(LOAD_ROWS):
            for service_id, id_, attributes, health, proven, generation, token, operation in chunk:
                catalog.add_instance(
                    Instance(
                        service_id=catalog.entry_of[service_id].service.id,  # one string for all of a service
                        id=id_,
                        attributes=attributes,
                        health=health_of[health],
                        proven=bool(proven),
                        generation=generation,
                        creator_request_id=token,
                        operation=operation,
                        **withheld.get((service_id, id_), {}),
                    )
                )
