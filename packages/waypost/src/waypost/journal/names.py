"""What services were called: history is asked for by name, and most of all when the service is gone."""

from collections.abc import Iterable
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from waypost.catalog.changes import Recorded, ServiceCreated
from waypost.catalog.index import View, folded_name
from waypost.journal.tables import journal, names, services

__all__ = ["INSERT_NAMES", "forget_names", "name_rows"]

INSERT_NAMES: Final = insert(names)


def name_rows(recorded: Iterable[Recorded], after: View) -> list[dict[str, object]]:
    """Return the rows for the names of the services that were created."""
    created = [each.change.service for each in recorded if isinstance(each.change, ServiceCreated)]
    return [
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


def forget_names(connection: Connection) -> None:
    """Forget the names of services that are gone, and of which nothing is kept."""
    kept = select(journal.c.revision).where(journal.c.service_id == names.c.service_id).exists()
    present = select(services.c.id).where(services.c.id == names.c.service_id).exists()
    connection.execute(delete(names).where(~present, ~kept))
