"""A database transaction: statements, queries, bulk loads and Arrow streams.

Contains what runs on one connection, with error messages that have no row values; not when a transaction is opened (see
`warehouse.py`) nor what is specific to an engine (see `postgres.py`, `sqlite.py`). It must not import Dagster, because
Spark's workers import it.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, Protocol

import adbc_driver_manager
import pandas as pd
import pyarrow as pa

from student360.crash_points import CrashPoint, passing
from student360.urls import is_postgres
from student360.warehouse.errors import WarehouseError, WarehouseUnavailable
from student360.warehouse.postgres import PostgresEngine
from student360.warehouse.scripts import NO_NAMES, Script, scripts
from student360.warehouse.sqlite import SqliteEngine
from student360.warehouse.templates import Names

# The types of streamed columns: the same on every engine.
STREAM_TYPES = {
    "text": pa.string(),
    "integer": pa.int64(),
    "bigint": pa.int64(),
    "real": pa.float64(),
    "date": pa.string(),
}
EMPTY_AT_ONCE_ROWS = 100_000
ROWS_SENT_AT_ONCE = 500
log = logging.getLogger(__name__)


class Engine(Protocol):
    """The interface of a database engine."""

    name: str
    home: str
    fragments: Mapping[str, str]
    arrow_types: Mapping[str, pa.DataType]
    typing_rows: int
    always_checks_references: bool

    def connect(self) -> Any: ...
    def expect_little(self, cursor: Any) -> None: ...
    def begin_reading(self, cursor: Any) -> None: ...
    def begin_writing(self, cursor: Any, waiting: Callable[[], None]) -> None: ...
    def forget_writing(self, cursor: Any) -> bool: ...
    def leave_references_unchecked(self, cursor: Any) -> None: ...
    def make_home(self, cursor: Any) -> None: ...
    def bind(self, statement: str) -> str: ...
    def columns(self, cursor: Any, table: str) -> dict[str, str]: ...
    def typed_select(self, columns: Mapping[str, str], source: str) -> str: ...
    def as_created(self, script: Script) -> Script: ...
    def enforce_key(self, cursor: Any, script: Script) -> None: ...
    def enforce_references(self, cursor: Any, script: Script) -> None: ...
    def refresh_statistics(self, cursor: Any, table: str) -> None: ...
    def describe(self, cursor: Any, scripts: Iterable[Script]) -> None: ...
    def damage(self, cursor: Any) -> list[str]: ...
    def explain(self, error: adbc_driver_manager.Error) -> WarehouseError: ...


def engine_for(url: str) -> Engine:
    """Return the engine of a warehouse URL. Raises ValueError for an unsupported URL."""
    if url.startswith("sqlite:///"):
        return SqliteEngine(url)
    if is_postgres(url):
        return PostgresEngine(url)
    raise ValueError("STUDENT360_WAREHOUSE_URL must begin with sqlite:/// or postgresql://")


@contextmanager
def _cursor(engine: Engine, connection: Any) -> Iterator[Any]:
    """Open a cursor whose errors contain no row values, because more people can read events and logs than rows."""
    try:
        with connection.cursor() as cursor:
            yield cursor
    except adbc_driver_manager.Error as error:
        raise engine.explain(error) from None


class Transaction:
    """A database transaction: all of its changes are committed together, or none."""

    def __init__(self, engine: Engine, connection: Any) -> None:
        self.engine = engine
        self._connection = connection

    def cursor(self) -> AbstractContextManager[Any]:
        """Open a driver cursor, for operations that are specific to an engine."""
        return _cursor(self.engine, self._connection)

    def _send(self, cursor: Any, statement: str, parameters: Sequence[Any]) -> None:
        if parameters:
            cursor.execute(self.engine.bind(statement), tuple(parameters))
        else:
            cursor.execute(statement)

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> None:
        """Run one statement."""
        with self.cursor() as cursor:
            self.engine.expect_little(cursor)
            self._send(cursor, statement, parameters)
            cursor.fetchall()

    def query(self, statement: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Return the rows of a query as dictionaries, for small results. Dates are ISO text on every engine."""
        with self.cursor() as cursor:
            self.engine.expect_little(cursor)
            self._send(cursor, statement, parameters)
            return _dates_as_text(cursor.fetch_arrow_table()).to_pylist()

    def arrow(self, statement: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """Return the rows of a query as an Arrow table with the driver's types, for large results."""
        with self.cursor() as cursor:
            self._send(cursor, statement, parameters)
            return cursor.fetch_arrow_table()

    def frame(self, statement: str, parameters: Sequence[Any] = ()) -> pd.DataFrame:
        """Return the rows of a query as a DataFrame."""
        return pd.DataFrame(self.query(statement, parameters))

    def value(self, statement: str, parameters: Sequence[Any] = ()) -> Any:
        """Return the first column of the first row of a query; None if there are no rows."""
        rows = self.query(statement, parameters)
        return next(iter(rows[0].values())) if rows else None

    def count(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        """Return the first column of the first row of a query as an integer."""
        return int(self.value(statement, parameters))

    def numbers(self, statement: str, parameters: Sequence[Any] = ()) -> list[int]:
        """Return the first column of a query as integers."""
        return [int(next(iter(row.values()))) for row in self.query(statement, parameters)]

    def columns(self, table: str) -> dict[str, str]:
        """Return the names and declared types of a table's or view's columns; empty if it does not exist."""
        with self.cursor() as cursor:
            return self.engine.columns(cursor, table)

    def run(self, script: Script, section: str, names: Names = NO_NAMES) -> None:
        """Run the statements of a section of a SQL file, with the given names and those of the engine."""
        for statement in script.statements(section, {**names, **self.engine.fragments, "home": self.engine.home}):
            self.execute(statement)

    def create(self, script: Script) -> None:
        """Create the table or view of a SQL file."""
        self.run(self.engine.as_created(script), "schema")

    def enforce_key(self, script: Script) -> None:
        """Ensure that a table has its unique key, which is needed to merge new rows into existing ones."""
        with self.cursor() as cursor:
            self.engine.enforce_key(cursor, script)

    def enforce_references(self, script: Script) -> None:
        """Ensure that a table has its foreign keys; called once it has rows."""
        with self.cursor() as cursor:
            self.engine.enforce_references(cursor, script)

    def append(self, table: str, rows: pd.DataFrame | pa.Table, *, copy_of: str = "") -> int:
        """Insert rows into an existing table in bulk, matching columns by name. Return the number of rows.

        copy_of: for a temporary table, the table that it has the columns of.
        """
        if not len(rows):
            return 0
        arrow = pa.Table.from_pandas(rows, preserve_index=False) if isinstance(rows, pd.DataFrame) else rows
        arrow = _as_declared(arrow, scripts().get(copy_of or table), self.engine.arrow_types)
        with self.cursor() as cursor:
            cursor.adbc_ingest(table, _in_small_batches(arrow), mode="append", temporary=bool(copy_of))
        return len(rows)

    def emptying(self, table: str, rows: int) -> str:
        """Return the statement that removes all rows of a table. rows: about how many it has.

        On PostgreSQL 100,000 rows or more are truncated, because deleted rows would still be read by every query until
        they are vacuumed. Fewer rows are deleted, because TRUNCATE waits for every reader.
        """
        return f"{self.engine.fragments['empty'] if rows >= EMPTY_AT_ONCE_ROWS else 'DELETE FROM'} {table}"

    def create_temporary(self, table: str, rows: pd.DataFrame | pa.RecordBatchReader) -> None:
        """Create a temporary table with the given rows, replacing one of the same name."""
        arrow = pa.Table.from_pandas(rows, preserve_index=False) if isinstance(rows, pd.DataFrame) else rows
        self.execute(f"DROP TABLE IF EXISTS {table}")
        with self.cursor() as cursor:
            cursor.adbc_ingest(table, _in_small_batches(arrow), mode="create", temporary=True)

    def refresh_statistics(self, table: str) -> None:
        """Update the planner's statistics of a table, after a large change."""
        with self.cursor() as cursor:
            self.engine.refresh_statistics(cursor, table)

    def arrow_batches(self, source: str, only: Collection[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Stream a table, a view, or '<table> WHERE ...' in batches. Integers have 64 bits; dates are ISO text.

        only: the columns to read; all by default.
        """
        columns = _documented(source, only)
        wanted = _stream_schema(columns)
        with self.cursor() as cursor:
            cursor.execute(self.engine.typed_select(columns, source))
            skip = self.engine.typing_rows
            for batch in cursor.fetch_record_batch():
                yield batch.slice(skip).cast(wanted)
                skip = 0

    def arrow_table(self, source: str, only: Collection[str] | None = None) -> pa.Table:
        """Return the result of `arrow_batches` as one table, for small results. An empty result has its columns too."""
        return pa.Table.from_batches(self.arrow_batches(source, only), _stream_schema(_documented(source, only)))


def _in_small_batches(rows: pa.Table | pa.RecordBatchReader) -> pa.RecordBatchReader:
    """Return the same rows in batches of 500, which fit into a socket buffer.

    PostgreSQL's driver encodes a batch and then blocks until it is sent, while the server waits for the next one. With
    small batches both work at the same time: 5 million rows of 9 columns take 4.2 s, instead of 7 s in batches of
    100,000.
    """
    if isinstance(rows, pa.Table):
        return rows.to_reader(ROWS_SENT_AT_ONCE)
    pieces = (piece for batch in rows for piece in pa.Table.from_batches([batch]).to_batches(ROWS_SENT_AT_ONCE))
    return pa.RecordBatchReader.from_batches(rows.schema, pieces)


def _documented(source: str, only: Collection[str] | None) -> dict[str, str]:
    """Return the columns that `arrow_batches` streams, with their engine-neutral types."""
    documented = scripts()[source.split(maxsplit=1)[0]].columns
    return {column.name: column.storage for column in documented if only is None or column.name in only}


def _stream_schema(columns: Mapping[str, str]) -> pa.Schema:
    return pa.schema([(name, STREAM_TYPES[storage]) for name, storage in columns.items()])


def _dates_as_text(rows: pa.Table) -> pa.Table:
    text = (pa.field(f.name, pa.string()) if pa.types.is_date(f.type) else f for f in rows.schema)
    return rows.cast(pa.schema(text))


def _as_declared(arrow: pa.Table, script: Script | None, types: Mapping[str, pa.DataType]) -> pa.Table:
    """Cast columns to their declared types, so that all-null and dictionary columns are stored correctly."""
    if script is None or script.is_view:
        return arrow
    declared = {column.name: types.get(column.storage) for column in script.columns}
    fields = []
    for field in arrow.schema:
        wanted = declared.get(field.name)
        keep = wanted is None or (pa.types.is_dictionary(field.type) and field.type.value_type == wanted)
        fields.append(pa.field(field.name, field.type if keep else wanted))
    return arrow.cast(pa.schema(fields))


@contextmanager
def open_reading(engine: Engine, idle: list[Any] | None = None) -> Iterator[Transaction]:
    """Open a transaction that sees one snapshot of the warehouse and does not wait for writers.

    idle: open connections without a transaction. One of them is reused if possible; the connection is added afterwards.
    """
    connection = _reused(engine, engine.begin_reading, idle) or _connected(engine, engine.begin_reading)
    is_sound = False
    try:
        with _committed(engine, connection) as transaction:
            yield transaction
        is_sound = True
    finally:
        _put_back(connection, idle if is_sound else None)


def _reused(engine: Engine, begin: Callable[[Any], None], idle: list[Any] | None) -> Any:
    """Return an idle connection with an open transaction; None if there is none, or the server closed all of them."""
    while idle:
        connection = idle.pop()
        try:
            with connection.cursor() as cursor:
                begin(cursor)
        except adbc_driver_manager.Error:
            connection.close()
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    return None


def _is_reusable(engine: Engine, connection: Any) -> bool:
    """Reset a connection after writing. Return whether it can be reused. The transaction is already committed."""
    try:
        with connection.cursor() as cursor:
            return engine.forget_writing(cursor)
    except adbc_driver_manager.Error:
        return False


def _put_back(connection: Any, idle: list[Any] | None) -> None:
    """Add a connection to the idle ones; close it if there is no such list."""
    if idle is None:
        connection.close()
    else:
        idle.append(connection)


@contextmanager
def open_writing(
    engine: Engine, references_by_row: bool = True, idle: list[Any] | None = None
) -> Iterator[Transaction]:
    """Open a transaction that holds the write lock; waits for another writer without a limit.

    references_by_row: whether foreign keys are checked for each row; otherwise the caller checks them.
    idle: as in `open_reading`; the connection is added afterwards only if the engine can reset it.
    """

    def begin(cursor: Any) -> None:
        if not references_by_row:
            engine.leave_references_unchecked(cursor)
        engine.begin_writing(cursor, lambda: log.warning("waiting for another run that writes to the warehouse"))

    connection = _reused(engine, begin, idle) or _connected(engine, begin)
    is_sound = False
    try:
        with _committed(engine, connection) as transaction:
            passing(CrashPoint.AFTER_BEGIN)
            yield transaction
            passing(CrashPoint.BEFORE_COMMIT)
        is_sound = idle is not None and _is_reusable(engine, connection)
    finally:
        _put_back(connection, idle if is_sound else None)
    passing(CrashPoint.AFTER_COMMIT)


def _connected(engine: Engine, begin: Callable[[Any], None]) -> Any:
    """Return a new connection with an open transaction."""
    try:
        connection = engine.connect()
    except adbc_driver_manager.Error as error:
        raise engine.explain(error) from None
    try:
        with _cursor(engine, connection) as cursor:
            begin(cursor)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _committed(engine: Engine, connection: Any) -> Iterator[Transaction]:
    """Yield the open transaction of a connection. Commit it at the end; roll it back on any exception."""
    transaction = Transaction(engine, connection)
    try:
        yield transaction
    except BaseException:
        with suppress(WarehouseUnavailable):
            transaction.execute("ROLLBACK")
        raise
    transaction.execute("COMMIT")
