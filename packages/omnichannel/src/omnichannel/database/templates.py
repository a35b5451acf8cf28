"""Templates as rows. A version never changes: what a message was made from can be looked up later."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, insert, select, update

from omnichannel.database.engine import Database
from omnichannel.database.errors import NotFound
from omnichannel.database.resource_tables import template, template_version
from omnichannel.database.rows import from_ms, to_ms
from omnichannel.messages.model import Channel
from omnichannel.messages.rendering import Source, Words

__all__ = ["Template", "Templates"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One version of a template."""

    name: str
    version: int  # 1 for the first
    source: Source
    created_at: datetime


class Templates:
    """Each method may raise DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, name: str, source: Source, *, now: datetime) -> Template:
        """Keep a new version of a template, its first or its next."""
        async with self._database.write() as connection:
            known = select(template.c.latest).where(template.c.name == name).with_for_update()
            latest = (await connection.execute(known)).scalar_one_or_none()
            version = 1 if latest is None else latest + 1
            if latest is None:
                await connection.execute(insert(template).values(name=name, latest=1, created_at=to_ms(now)))
            else:
                await connection.execute(update(template).where(template.c.name == name).values(latest=version))
            values = {
                "name": name,
                "version": version,
                "subject": source.words.subject,
                "body": source.words.body,
                "html": source.words.html,
                "variants": json.dumps(_variants(source.variants), ensure_ascii=False),
                "created_at": to_ms(now),
            }
            await connection.execute(insert(template_version).values(values))
        return Template(name=name, version=version, source=source, created_at=from_ms(to_ms(now)))

    async def find(self, name: str, version: int | None = None) -> Template:
        """Return a version of a template, the newest unless one is named. Raises NotFound."""
        wanted = template.c.latest if version is None else version
        statement = (
            select(template_version)
            .join(template, template.c.name == template_version.c.name)
            .where(template_version.c.name == name, template_version.c.version == wanted)
        )
        async with self._database.read() as connection:
            row = (await connection.execute(statement)).one_or_none()
        if row is None:
            raise NotFound("template", name if version is None else f"{name}@{version}")
        return _template(row)

    async def list(self, *, after: str = "", limit: int = 50) -> tuple[Template, ...]:
        """Return the newest version of each template after a name, in the order of their names."""
        statement = (
            select(template_version)
            .join(template, template.c.name == template_version.c.name)
            .where(template_version.c.version == template.c.latest, template.c.name > after)
            .order_by(template.c.name)
            .limit(limit)
        )
        async with self._database.read() as connection:
            return tuple(_template(row) for row in (await connection.execute(statement)).all())

    async def remove(self, name: str) -> None:
        """Forget a template and its versions. Messages made from it keep their words. Raises NotFound."""
        async with self._database.write() as connection:
            await connection.execute(delete(template_version).where(template_version.c.name == name))
            if not (await connection.execute(delete(template).where(template.c.name == name))).rowcount:
                raise NotFound("template", name)


def _variants(variants: Mapping[Channel, Words]) -> dict[str, dict[str, str | None]]:
    return {
        channel.value: {"subject": own.subject, "body": own.body, "html": own.html} for channel, own in variants.items()
    }


def _template(row: Row[Any]) -> Template:
    variants = {
        Channel(channel): Words(subject=own["subject"], body=own["body"], html=own.get("html"))
        for channel, own in json.loads(row.variants).items()
    }
    source = Source(words=Words(subject=row.subject, body=row.body, html=row.html), variants=variants)
    return Template(name=row.name, version=row.version, source=source, created_at=from_ms(row.created_at))
