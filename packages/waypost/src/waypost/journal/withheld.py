"""Which instances are registered and not handed out, and why: few rows, so that most instances need none."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from waypost.catalog.index import View
from waypost.catalog.model import Drain, Instance
from waypost.journal import tables
from waypost.journal.statements import Statement

__all__ = ["load_withheld", "withheld_statements"]

_DELETE: Final = "DELETE FROM waypost_withheld WHERE service_id = ? AND id = ?"
_UPSERT: Final = (
    "INSERT INTO waypost_withheld (service_id, id, lapsed, drain) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (service_id, id) DO UPDATE SET lapsed = excluded.lapsed, drain = excluded.drain"
)


def withheld_statements(instances: Mapping[tuple[str, str], Instance | None], before: View) -> list[Statement]:
    """Return the statements that write how these instances, by service and id, are withheld now; None: gone.

    :param before: the catalog as it was; what was not withheld then, as most are not, has no row to be deleted.
    """
    kept: list[tuple[object, ...]] = []
    gone: list[tuple[object, ...]] = []
    for (service_id, instance_id), instance in instances.items():
        if instance is not None and _is_withheld(instance):
            drain = None if instance.drain is None else msgspec.json.encode(instance.drain)
            kept.append((service_id, instance_id, int(instance.lapsed), drain))
        elif (was := before.get_instance(service_id, instance_id)) is not None and _is_withheld(was):
            gone.append((service_id, instance_id))
    return [Statement(_UPSERT, kept), Statement(_DELETE, gone)]


def _is_withheld(instance: Instance) -> bool:
    return instance.lapsed or instance.drain is not None


async def load_withheld(connection: AsyncConnection) -> dict[tuple[str, str], dict[str, Any]]:
    """Return, by service and id, what the instance's fields ``lapsed`` and ``drain`` are where they are not empty."""
    return {
        (row.service_id, row.id): {
            "lapsed": bool(row.lapsed),
            "drain": None if row.drain is None else msgspec.json.decode(row.drain, type=Drain),
        }
        for row in await connection.execute(select(tables.withheld))
    }
