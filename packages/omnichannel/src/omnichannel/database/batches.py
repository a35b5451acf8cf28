"""Many rows in one statement whose text is always the same, so that the database prepares it once.

A list of parameters that grows and shrinks would make another statement of each length: parsed and planned anew, and
kept. Here a set of ids is one parameter, an array on PostgreSQL and JSON on SQLite, and so are rows of values.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, Self

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    FromClause,
    Integer,
    String,
    Text,
    TypeDecorator,
    bindparam,
    cast,
    column,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

__all__ = ["INTEGER", "TEXT", "among", "as_rows", "rows_of"]

TEXT: Final = Text()
INTEGER: Final = BigInteger()

_ROWS: Final = "rows_of_batch"  # the one parameter


class _TextSet(TypeDecorator[Collection[str]]):
    """A set of texts as one parameter."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        kind: TypeEngine[Any] = ARRAY(String()) if dialect.name == "postgresql" else Text()
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: Collection[str] | None, dialect: Dialect) -> Any:
        values = sorted(value or ())
        return values if dialect.name == "postgresql" else json.dumps(values)


class _Among(FunctionElement[bool]):
    type = Boolean()
    inherit_cache = True
    name = "among"

    def self_group(self, against: object = None) -> Self:
        """Stand as a condition by itself: ``… = 1``, as SQLite is told otherwise, would keep it from its indexes."""
        return self


@compiles(_Among)
def _compile_among(element: Any, compiler: SQLCompiler, **kwargs: Any) -> str:
    member, values = element.clauses
    of, given = compiler.process(member, **kwargs), compiler.process(values, **kwargs)
    if compiler.dialect.name == "postgresql":
        return f"{of} = ANY ({given})"
    return f"{of} IN (SELECT value FROM json_each({given}))"  # noqa: S608 - both are the compiler's own words


def among(member: ColumnElement[Any], values: Collection[str]) -> ColumnElement[bool]:
    """Return the condition that a column of texts has one of these values."""
    return _Among(member, bindparam(None, values, type_=_TextSet()))


def rows_of(connection: AsyncConnection, **columns: TypeEngine[Any]) -> FromClause:
    """Return a table of the rows that ``as_rows`` passes, with these columns."""
    if connection.dialect.name == "postgresql":
        given = cast(bindparam(_ROWS, type_=Text()), JSON())
        named = [column(name, kind) for name, kind in columns.items()]
        return func.json_to_recordset(given).table_valued(*named, name="given").render_derived(with_types=True)
    each = func.json_each(bindparam(_ROWS, type_=Text())).table_valued("value", name="each")
    values = [
        literal_column(f"each.value ->> '{name}'", Integer() if kind is INTEGER else Text()).label(name)
        for name, kind in columns.items()
    ]
    return select(*values).select_from(each).subquery("given")


def as_rows(rows: Sequence[Mapping[str, object]]) -> dict[str, str]:
    """Return the parameters of a statement over ``rows_of``. Values are texts, numbers and None."""
    return {_ROWS: msgspec.json.encode(rows).decode()}
