"""Rows of one statement, as many as a transaction has of them, in SQLite."""

from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from waypost.journal.statements import Statement, execute

INSERT = "INSERT INTO kept (id, name) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET name = excluded.name"
UPDATE = "UPDATE kept SET name = moved.column2 FROM (VALUES (CAST(? AS BIGINT), ?)) AS moved WHERE id = moved.column1"
DELETE = "DELETE FROM kept WHERE id = ?"


@pytest.mark.parametrize("count", [0, 1, 2, 31, 127, 128, 129, 300])
def test_every_row_of_a_statement_is_carried_out(count: int, tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'test.db'}")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE kept (id INTEGER PRIMARY KEY, name TEXT)"))
        statements = [
            Statement(INSERT, [(number, f"first {number}") for number in range(count)]),
            Statement(INSERT, [(number, f"again {number}") for number in range(0, count, 2)]),
            Statement(UPDATE, [(number, f"moved {number}") for number in range(0, count, 3)]),
            Statement(DELETE, [(number,) for number in range(0, count, 5)]),
        ]
        execute(connection, statements)
        found = {row.id: row.name for row in connection.execute(text("SELECT id, name FROM kept"))}
    engine.dispose()
    expected = {number: f"first {number}" for number in range(count)}
    expected |= {number: f"again {number}" for number in range(0, count, 2)}
    expected |= {number: f"moved {number}" for number in range(0, count, 3)}
    assert found == {number: name for number, name in expected.items() if number % 5}
