"""The current state as tables, written beside the journal in the same transaction, and read at the start."""

from collections.abc import Iterable
from typing import Final

import msgspec
from sqlalchemy import select, text
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
from waypost.journal.statements import Statement
from waypost.journal.withheld import load_withheld, withheld_statements

__all__ = ["load_state", "state_statements"]

LOAD_ROWS: Final = 10_000  # rows fetched at a time when the state is read

_UPSERT_NAMESPACE: Final = (
    "INSERT INTO waypost_namespaces (id, body) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body"
)
_UPSERT_SERVICE: Final = (
    "INSERT INTO waypost_services (id, created_revision, instances_revision, body) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (id) DO UPDATE SET body = excluded.body"
)
_MOVE_SERVICE: Final = (
    "UPDATE waypost_services SET instances_revision = moved.column1 "
    "FROM (VALUES (CAST(? AS BIGINT), ?)) AS moved WHERE id = moved.column2"
)
_UPSERT_INSTANCE: Final = (
    "INSERT INTO waypost_instances (service_id, id, attributes, health, proven, generation, creator_request_id, "
    "operation) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (service_id, id) DO UPDATE SET attributes = excluded.attributes, health = excluded.health, "
    "proven = excluded.proven, generation = excluded.generation, creator_request_id = excluded.creator_request_id, "
    "operation = excluded.operation"
)
_SELECT_INSTANCES: Final = text(
    "SELECT service_id, id, attributes, health, proven, generation, creator_request_id, operation "
    "FROM waypost_instances"
)
_DELETE_NAMESPACE: Final = "DELETE FROM waypost_namespaces WHERE id = ?"
_DELETE_SERVICE: Final = "DELETE FROM waypost_services WHERE id = ?"
_DELETE_INSTANCE: Final = "DELETE FROM waypost_instances WHERE service_id = ? AND id = ?"


def state_statements(recorded: Iterable[Recorded], *, before: View, after: View) -> list[Statement]:
    """Return what writes, for everything that the changes touched, how it stands after all of them."""
    namespace_ids: dict[str, None] = {}
    service_ids: dict[str, int] = {}
    instance_keys: dict[tuple[str, str], None] = {}
    moved: dict[str, int] = {}
    for each in recorded:
        match each.change:  # the kind of which there are most comes first
            case InstanceRegistered():
                instance = each.change.instance
                instance_keys[instance.service_id, instance.id] = None
                moved[instance.service_id] = each.revision
            case NamespaceCreated(namespace) | NamespaceUpdated(namespace):
                namespace_ids[namespace.id] = None
            case NamespaceDeleted(namespace_id):
                namespace_ids[namespace_id] = None
            case ServiceCreated(service) | ServiceUpdated(service):
                service_ids.setdefault(service.id, each.revision)
            case ServiceDeleted(service_id):
                service_ids[service_id] = each.revision
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
    return [
        Statement(_UPSERT_NAMESPACE, [(each.id, _body(each)) for each in namespaces.values() if each is not None]),
        Statement(_DELETE_NAMESPACE, [(each,) for each, namespace in namespaces.items() if namespace is None]),
        Statement(
            _UPSERT_SERVICE,
            [
                (each, service_ids[each], service_ids[each], _body(service))
                for each, service in services.items()
                if service is not None
            ],
        ),
        Statement(_DELETE_SERVICE, [(each,) for each, service in services.items() if service is None]),
        Statement(_MOVE_SERVICE, [(revision, each) for each, revision in moved.items()]),
        Statement(_UPSERT_INSTANCE, [_instance_row(each) for each in instances.values() if each is not None]),
        Statement(_DELETE_INSTANCE, [key for key, instance in instances.items() if instance is None]),
        *withheld_statements(instances, before),
    ]


def _body(value: Namespace | Service) -> bytes:
    return msgspec.json.encode(value)


def _instance_row(instance: Instance) -> tuple[object, ...]:
    return (
        instance.service_id,
        instance.id,
        bytearray(instance.attributes),
        instance.health._value_,  # what ``value`` returns, after a search that takes as long as all the rest
        int(instance.proven),
        instance.generation,
        instance.creator_request_id,
        instance.operation,
    )


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
