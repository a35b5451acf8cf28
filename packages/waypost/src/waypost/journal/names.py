"""What services were called: history is asked for by name, and most of all when the service is gone."""

from collections.abc import Iterable

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from waypost.catalog.changes import Recorded, ServiceCreated
from waypost.catalog.index import View, folded_name
from waypost.journal.tables import journal, names, services

__all__ = ["forget_names", "remember_names"]


async def remember_names(connection: AsyncConnection, recorded: Iterable[Recorded], after: View) -> None:
    """Write down the names of the services that were created."""
    created = [each.change.service for each in recorded if isinstance(each.change, ServiceCreated)]
    rows = [
        {
            "service_id": service.id,
            "account": service.account,
            "region": service.region,
            "namespace": namespace.http_name,
            "service": folded_name(namespace.type, service.name),
        }
        for service in created
        if (namespace := after.get_namespace(service.namespace_id)) is not None
    ]
    if rows:
        await connection.execute(insert(names), rows)


async def forget_names(connection: AsyncConnection) -> None:
    """Forget the names of services that are gone, and of which nothing is kept."""
    kept = select(journal.c.revision).where(journal.c.service_id == names.c.service_id).exists()
    present = select(services.c.id).where(services.c.id == names.c.service_id).exists()
    await connection.execute(delete(names).where(~present, ~kept))
