"""Attachments: files that are handed in once and go along with messages by their id."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select

from omnichannel.database.engine import Database
from omnichannel.database.errors import NotFound
from omnichannel.database.resource_tables import attachment
from omnichannel.database.rows import from_ms, to_ms
from omnichannel.messages.ids import new_id

__all__ = ["Attachment", "Attachments"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """What is known of a file, without its content."""

    id: str
    name: str
    media_type: str
    size: int  # bytes
    sha256: str
    created_at: datetime


_KNOWN = [column for column in attachment.c if column.name != "content"]


class Attachments:
    """Each method may raise DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, name: str, media_type: str, content: bytes, *, now: datetime) -> Attachment:
        """Keep a file."""
        made = Attachment(
            id=new_id(now),
            name=name,
            media_type=media_type,
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            created_at=from_ms(to_ms(now)),
        )
        async with self._database.write() as connection:
            await connection.execute(
                insert(attachment).values(
                    id=made.id,
                    name=name,
                    media_type=media_type,
                    size=made.size,
                    sha256=made.sha256,
                    content=content,
                    created_at=to_ms(now),
                )
            )
        return made

    async def find(self, attachment_id: str) -> Attachment:
        """Return what is known of a file. Raises NotFound."""
        found = await self.among([attachment_id])
        if attachment_id not in found:
            raise NotFound("attachment", attachment_id)
        return found[attachment_id]

    async def among(self, ids: Collection[str]) -> dict[str, Attachment]:
        """Return those of the files that are there, by id."""
        if not ids:
            return {}
        async with self._database.read() as connection:
            rows = (await connection.execute(select(*_KNOWN).where(attachment.c.id.in_(ids)))).all()
        return {
            row.id: Attachment(
                id=row.id,
                name=row.name,
                media_type=row.media_type,
                size=row.size,
                sha256=row.sha256,
                created_at=from_ms(row.created_at),
            )
            for row in rows
        }
