"""A unit of work against a database: statements, queries, bulk loads and Arrow streams.

Belongs here: what runs on one connection, with errors that cannot quote a row. Does not belong here: Dagster
(Spark's workers import this too), when a transaction is opened (`warehouse.py`), what only one engine does.
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

TRAVELLING_TYPES = {
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
    """What a database must be able to do to be a warehouse."""

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
    """The engine that a warehouse URL names. Raises ValueError for one that we do not know."""
    if url.startswith("sqlite:///"):
        return SqliteEngine(url)
    if is_postgres(url):
        return PostgresEngine(url)
    raise ValueError("STUDENT360_WAREHOUSE_URL must begin with sqlite:/// or postgresql://")


@contextmanager
def _cursor(engine: Engine, connection: Any) -> Iterator[Any]:
    """A cursor whose errors cannot quote a row: events and logs are read by more people."""
    try:
        with connection.cursor() as cursor:
            yield cursor
    except adbc_driver_manager.Error as error:
        raise engine.explain(error) from None


class Transaction:
    """A unit of work: everything in it becomes true at once, or nothing does."""

    def __init__(self, engine: Engine, connection: Any) -> None:
        self.engine = engine
        self._connection = connection

    def cursor(self) -> AbstractContextManager[Any]:
        """The driver's own cursor, for what an engine alone can do."""
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
        """Rows of a query as dictionaries, not very many; days are ISO text on every engine."""
        with self.cursor() as cursor:
            self.engine.expect_little(cursor)
            self._send(cursor, statement, parameters)
            return _days_as_text(cursor.fetch_arrow_table()).to_pylist()

    def arrow(self, statement: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """Rows of a query, however many, with the types that the driver gives them."""
        with self.cursor() as cursor:
            self._send(cursor, statement, parameters)
            return cursor.fetch_arrow_table()

    def frame(self, statement: str, parameters: Sequence[Any] = ()) -> pd.DataFrame:
        """The rows of a query as a DataFrame."""
        return pd.DataFrame(self.query(statement, parameters))

    def value(self, statement: str, parameters: Sequence[Any] = ()) -> Any:
        """The first column of the first row of a query; None if there is none."""
        rows = self.query(statement, parameters)
        return next(iter(rows[0].values())) if rows else None

    def count(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        """The whole number that a query gives."""
        return int(self.value(statement, parameters))

    def numbers(self, statement: str, parameters: Sequence[Any] = ()) -> list[int]:
        """The first column of a query, whole numbers."""
        return [int(next(iter(row.values()))) for row in self.query(statement, parameters)]

    def columns(self, table: str) -> dict[str, str]:
        """Names and declared types of a table's or view's columns; empty if there is no such thing."""
        with self.cursor() as cursor:
            return self.engine.columns(cursor, table)

    def run(self, script: Script, section: str, names: Names = NO_NAMES) -> None:
        """Run the statements of a section of a SQL file, which may use the given names and those of the engine."""
        for statement in script.statements(section, {**names, **self.engine.fragments, "home": self.engine.home}):
            self.execute(statement)

    def create(self, script: Script) -> None:
        """Make the table or view of a SQL file."""
        self.run(self.engine.as_created(script), "schema")

    def enforce_key(self, script: Script) -> None:
        """From now on a table holds no key twice, and rows that come may be compared with those that are there."""
        with self.cursor() as cursor:
            self.engine.enforce_key(cursor, script)

    def enforce_references(self, script: Script) -> None:
        """From the first rows on, a table's rows refer to rows that exist."""
        with self.cursor() as cursor:
            self.engine.enforce_references(cursor, script)

    def append(self, table: str, rows: pd.DataFrame | pa.Table, *, copy_of: str = "") -> int:
        """Add rows to an existing table in bulk; columns are matched by name. Returns how many.

        copy_of: the table whose columns it has, where it is a temporary one.
        """
        if not len(rows):
            return 0
        arrow = pa.Table.from_pandas(rows, preserve_index=False) if isinstance(rows, pd.DataFrame) else rows
        arrow = _as_declared(arrow, scripts().get(copy_of or table), self.engine.arrow_types)
        with self.cursor() as cursor:
            cursor.adbc_ingest(table, _sent_in_pieces(arrow), mode="append", temporary=bool(copy_of))
        return len(rows)

    def emptying(self, table: str, rows: int) -> str:
        """The statement that removes all rows of a table that has about so many.

        Many leave at once: 5 million that are only marked as deleted are read by every query of PostgreSQL until they
        are vacuumed. To remove few that way would wait for every reader.
        """
        return f"{self.engine.fragments['empty'] if rows >= EMPTY_AT_ONCE_ROWS else 'DELETE FROM'} {table}"

    def create_temporary(self, table: str, rows: pd.DataFrame | pa.RecordBatchReader) -> None:
        """A table that only this transaction's connection sees, filled with the rows."""
        arrow = pa.Table.from_pandas(rows, preserve_index=False) if isinstance(rows, pd.DataFrame) else rows
        self.execute(f"DROP TABLE IF EXISTS {table}")
        with self.cursor() as cursor:
            cursor.adbc_ingest(table, _sent_in_pieces(arrow), mode="create", temporary=True)

    def refresh_statistics(self, table: str) -> None:
        """Let the planner know that much of a table is new."""
        with self.cursor() as cursor:
            self.engine.refresh_statistics(cursor, table)

    def arrow_batches(self, source: str, only: Collection[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Stream a table, a view, or '<table> WHERE ...' batch by batch: whole numbers 64 bits wide, days ISO text.

        only: the columns that are wanted; all by default.
        """
        columns = _documented(source, only)
        wanted = _travelling(columns)
        with self.cursor() as cursor:
            cursor.execute(self.engine.typed_select(columns, source))
            skip = self.engine.typing_rows
            for batch in cursor.fetch_record_batch():
                yield batch.slice(skip).cast(wanted)
                skip = 0

    def arrow_table(self, source: str, only: Collection[str] | None = None) -> pa.Table:
        """The same in one piece, for what is small; with its columns also where it has no rows."""
        return pa.Table.from_batches(self.arrow_batches(source, only), _travelling(_documented(source, only)))


def _sent_in_pieces(rows: pa.Table | pa.RecordBatchReader) -> pa.RecordBatchReader:
    """The same rows in batches that a socket takes whole.

    PostgreSQL's driver encodes a batch, then waits until it is sent; meanwhile the server waits for the next one. In
    pieces both work at once: 5 million rows of 9 columns take 4.2 s, in batches of 100,000 they take 7.
    """
    if isinstance(rows, pa.Table):
        return rows.to_reader(ROWS_SENT_AT_ONCE)
    pieces = (piece for batch in rows for piece in pa.Table.from_batches([batch]).to_batches(ROWS_SENT_AT_ONCE))
    return pa.RecordBatchReader.from_batches(rows.schema, pieces)


def _documented(source: str, only: Collection[str] | None) -> dict[str, str]:
    """The columns of what `arrow_batches` streams, with their engine-neutral types."""
    documented = scripts()[source.split(maxsplit=1)[0]].columns
    return {column.name: column.storage for column in documented if only is None or column.name in only}


def _travelling(columns: Mapping[str, str]) -> pa.Schema:
    return pa.schema([(name, TRAVELLING_TYPES[storage]) for name, storage in columns.items()])


def _days_as_text(rows: pa.Table) -> pa.Table:
    text = (pa.field(f.name, pa.string()) if pa.types.is_date(f.type) else f for f in rows.schema)
    return rows.cast(pa.schema(text))


def _as_declared(arrow: pa.Table, script: Script | None, types: Mapping[str, pa.DataType]) -> pa.Table:
    """Cast to the declared types, so that an all-null or dictionary column lands as what it is."""
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
    """A transaction that sees one state of the warehouse and waits for nobody.

    idle: open connections without a transaction. One of them is used if there is one, and the one used is put there.
    """
    connection = _taken(engine, engine.begin_reading, idle) or _begun(engine, engine.begin_reading)
    is_sound = False
    try:
        with _whole(engine, connection) as transaction:
            yield transaction
        is_sound = True
    finally:
        _put_back(connection, idle if is_sound else None)


def _taken(engine: Engine, begin: Callable[[Any], None], idle: list[Any] | None) -> Any:
    """An idle connection with its transaction begun; None if there is none that the server has not closed."""
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


def _is_as_new(engine: Engine, connection: Any) -> bool:
    """Whether a connection that wrote could be made as a new one; what it wrote is committed, whatever happens here."""
    try:
        with connection.cursor() as cursor:
            return engine.forget_writing(cursor)
    except adbc_driver_manager.Error:
        return False


def _put_back(connection: Any, idle: list[Any] | None) -> None:
    """Keep a connection for the next one, or close it."""
    if idle is None:
        connection.close()
    else:
        idle.append(connection)


@contextmanager
def open_writing(
    engine: Engine, references_by_row: bool = True, idle: list[Any] | None = None
) -> Iterator[Transaction]:
    """A transaction that alone may write; waits for another writer as long as it takes.

    idle: as for reading; where an engine cannot forget what was written with it, a connection is not used again.
    """

    def begin(cursor: Any) -> None:
        if not references_by_row:
            engine.leave_references_unchecked(cursor)
        engine.begin_writing(cursor, lambda: log.warning("waiting for another run that writes to the warehouse"))

    connection = _taken(engine, begin, idle) or _begun(engine, begin)
    is_sound = False
    try:
        with _whole(engine, connection) as transaction:
            passing(CrashPoint.AFTER_BEGIN)
            yield transaction
            passing(CrashPoint.BEFORE_COMMIT)
        is_sound = idle is not None and _is_as_new(engine, connection)
    finally:
        _put_back(connection, idle if is_sound else None)
    passing(CrashPoint.AFTER_COMMIT)


def _begun(engine: Engine, begin: Callable[[Any], None]) -> Any:
    """A new connection with its transaction begun."""
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
def _whole(engine: Engine, connection: Any) -> Iterator[Transaction]:
    """The transaction that has begun on a connection: committed at the end, rolled back by any exception."""
    transaction = Transaction(engine, connection)
    try:
        yield transaction
    except BaseException:
        with suppress(WarehouseUnavailable):
            transaction.execute("ROLLBACK")
        raise
    transaction.execute("COMMIT")
