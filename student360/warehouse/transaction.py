"""A unit of work against a database: statements, queries, bulk loads and Arrow streams.

Belongs here: what runs on one connection, with errors that cannot quote a row. Does not belong here: Dagster
(Spark's workers import this too), when a transaction is opened (`warehouse.py`), what only one engine does.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import adbc_driver_manager
import pandas as pd
import pyarrow as pa

from student360.warehouse.scripts import Script, scripts
from student360.warehouse.sqlite import SqliteEngine

ARROW_TYPES = {"text": pa.string(), "integer": pa.int64(), "real": pa.float64(), "date": pa.date32()}


class WarehouseError(Exception):
    """A database error with its code and constraint, without the values of any row."""


@contextmanager
def _without_row_values() -> Iterator[None]:
    """Turn a driver's error into one that cannot quote a row: events and logs are read by more people."""
    try:
        yield
    except adbc_driver_manager.Error as error:
        first_line = str(error).partition("\n")[0]
        raise WarehouseError(f"{type(error).__name__}: {first_line}") from None


class Transaction:
    """A unit of work: everything in it becomes true at once, or nothing does."""

    def __init__(self, engine: SqliteEngine, connection: Any) -> None:
        self._engine = engine
        self._connection = connection

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> None:
        """Run one statement."""
        with _without_row_values(), self._connection.cursor() as cursor:
            cursor.execute(statement, tuple(parameters) or None)
            cursor.fetchall()

    def query(self, statement: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Rows of a query as dictionaries."""
        with _without_row_values(), self._connection.cursor() as cursor:
            cursor.execute(statement, tuple(parameters) or None)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def value(self, statement: str, parameters: Sequence[Any] = ()) -> Any:
        """The first column of the first row of a query; None if there is none."""
        rows = self.query(statement, parameters)
        return next(iter(rows[0].values())) if rows else None

    def columns(self, table: str) -> dict[str, str]:
        """Names and declared types of a table's or view's columns; empty if there is no such thing."""
        with _without_row_values(), self._connection.cursor() as cursor:
            return self._engine.columns(cursor, table)

    def run(self, script: Script, section: str) -> None:
        """Run the statements of a section of a SQL file."""
        for statement in script.statements(section, self._engine.fragments):
            self.execute(statement)

    def append(self, table: str, rows: pd.DataFrame | pa.Table) -> int:
        """Add rows to an existing table in bulk; columns are matched by name. Returns how many."""
        if not len(rows):
            return 0
        arrow = pa.Table.from_pandas(rows, preserve_index=False) if isinstance(rows, pd.DataFrame) else rows
        arrow = self._engine.storable(_as_declared(arrow, scripts().get(table)))
        with _without_row_values(), self._connection.cursor() as cursor:
            cursor.adbc_ingest(table, arrow, mode="append")
        return len(rows)

    def create_temporary(self, table: str, rows: pd.DataFrame) -> None:
        """A table that only this transaction's connection sees, filled with the rows."""
        arrow = pa.Table.from_pandas(rows, preserve_index=False)
        self.execute(f"DROP TABLE IF EXISTS temp.{table}")
        with _without_row_values(), self._connection.cursor() as cursor:
            cursor.adbc_ingest(table, self._engine.storable(arrow), mode="create", temporary=True)

    def arrow_batches(self, source: str) -> Iterator[pa.RecordBatch]:
        """Stream a table, a view, or '<table> WHERE ...' with its declared types, batch by batch."""
        columns = {column.name: column.storage for column in scripts()[source.split(maxsplit=1)[0]].columns}
        with _without_row_values(), self._connection.cursor() as cursor:
            cursor.execute(self._engine.typed_select(columns, source))
            skip = self._engine.typing_rows
            for batch in cursor.fetch_record_batch():
                yield batch.slice(skip)
                skip = 0


def _as_declared(arrow: pa.Table, script: Script | None) -> pa.Table:
    """Cast to the declared types, so that an all-null or dictionary column lands as what it is."""
    if script is None or script.is_view:
        return arrow
    declared = {column.name: ARROW_TYPES.get(column.storage) for column in script.columns}
    fields = []
    for field in arrow.schema:
        wanted = declared.get(field.name)
        keep = wanted is None or (pa.types.is_dictionary(field.type) and field.type.value_type == wanted)
        fields.append(pa.field(field.name, field.type if keep else wanted))
    return arrow.cast(pa.schema(fields))


def engine_for(url: str) -> SqliteEngine:
    """The engine that a warehouse URL names. Raises ValueError for one that we do not know."""
    if not url.startswith("sqlite:///"):
        raise ValueError("STUDENT360_WAREHOUSE_URL must begin with sqlite:///")
    return SqliteEngine(url)


def begin_reading(cursor: Any) -> None:
    """Open a transaction that sees one state of the warehouse and waits for nobody."""
    cursor.execute("BEGIN")


@contextmanager
def open_transaction(engine: SqliteEngine, begin: Callable[[Any], None]) -> Iterator[Transaction]:
    """A transaction on a connection of its own: committed at the end, rolled back by any exception."""
    with _without_row_values():
        connection = engine.connect()
    try:
        transaction = Transaction(engine, connection)
        with _without_row_values(), connection.cursor() as cursor:
            begin(cursor)
        try:
            yield transaction
        except BaseException:
            transaction.execute("ROLLBACK")
            raise
        transaction.execute("COMMIT")
    finally:
        connection.close()
