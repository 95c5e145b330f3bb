"""The SQLite engine, through ADBC: connecting, locking, types and quirks.

Contains only what differs from PostgreSQL; not what both engines share (see `warehouse.py`). The standard sqlite3
module must not open the same file in the same process, because two copies of SQLite cancel each other's locks
(sqlite.org/howtocorrupt). So all access uses ADBC.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import adbc_driver_manager
import adbc_driver_sqlite.dbapi
import pyarrow as pa

from student360.ingest.files import make_private
from student360.warehouse.errors import WarehouseError
from student360.warehouse.scripts import Script

FRAGMENTS = {
    "strict": "STRICT",
    "keyed": "STRICT, WITHOUT ROWID",
    "integer": "INTEGER",
    "bigint": "INTEGER",
    "text": "TEXT",
    "real": "REAL",
    "date": "TEXT",
    "empty": "DELETE FROM",
    "as_they_lie": "",
    "and_student": ", student_durable_key",
}
ARROW_TYPES = {
    "text": pa.string(),
    "integer": pa.int64(),
    "bigint": pa.int64(),
    "real": pa.float64(),
    "date": pa.date32(),
}
BUSY_TIMEOUT_MS = 10_000
RETRY_SECONDS = 0.05
SENTINELS = {"integer": "0", "bigint": "0", "real": "0.5", "text": "''", "date": "''"}


class SqliteEngine:
    """One SQLite file in WAL mode, accessible only to its owner."""

    name = "sqlite"
    home = "main"
    fragments: Mapping[str, str] = FRAGMENTS
    arrow_types: Mapping[str, pa.DataType] = ARROW_TYPES
    typing_rows = 1
    always_checks_references = False

    def __init__(self, url: str) -> None:
        self.path = Path(url.removeprefix("sqlite:///"))

    def connect(self) -> Any:
        """Return a new connection (DB-API) in autocommit mode, without an open transaction."""
        if not self.path.exists():
            make_private(self.path.parent)
            self.path.touch(mode=0o600)
        connection = adbc_driver_sqlite.dbapi.connect(str(self.path), autocommit=True)
        with connection.cursor() as cursor:
            for pragma in (
                f"busy_timeout = {BUSY_TIMEOUT_MS}",
                "journal_mode = WAL",
                "synchronous = FULL",
                "foreign_keys = ON",
                "cache_size = -32768",
            ):
                _set(cursor, pragma)
        return connection

    def expect_little(self, cursor: Any) -> None:
        """Do nothing: SQLite has no round trips."""

    def begin_reading(self, cursor: Any) -> None:
        """Open a read transaction that sees one snapshot of the warehouse and does not wait for writers."""
        cursor.execute("BEGIN")

    def begin_writing(self, cursor: Any, waiting: Callable[[], None]) -> None:
        """Open a writing transaction. Calls `waiting` once if another writer holds the lock, then waits for it.

        The transaction is immediate, because a deferred one would fail instead of waiting. The wait is a loop here, not
        the driver's busy timeout, because an interrupt that arrives while the driver waits is lost.
        """
        _set(cursor, "busy_timeout = 0")
        is_reported = False
        while True:
            try:
                cursor.execute("BEGIN IMMEDIATE")
            except adbc_driver_manager.Error as error:
                if "database is locked" not in str(error):
                    raise
                if not is_reported:
                    waiting()
                is_reported = True
                time.sleep(RETRY_SECONDS)
            else:
                break
        _set(cursor, f"busy_timeout = {BUSY_TIMEOUT_MS}")

    def forget_writing(self, cursor: Any) -> bool:
        """Return False: a connection is not reused after writing, because it keeps temporary tables and pragmas."""
        return False

    def leave_references_unchecked(self, cursor: Any) -> None:
        """Disable the check of foreign keys until the connection is closed. It takes 4 s for 5 million facts."""
        _set(cursor, "foreign_keys = OFF")

    def make_home(self, cursor: Any) -> None:
        """Do nothing: `connect` creates the file."""

    def bind(self, statement: str) -> str:
        """Return the statement unchanged: the driver accepts ? as parameter marks."""
        return statement

    def columns(self, cursor: Any, table: str) -> dict[str, str]:
        """Return the names and declared types of a table's or view's columns, in order."""
        cursor.execute("SELECT name, type FROM pragma_table_info(?)", (table,))
        return dict(cursor.fetchall())

    def typed_select(self, columns: Mapping[str, str], source: str) -> str:
        """Return a SELECT with an additional first row, from which the driver infers each column's declared type.

        Without it the driver infers types from the first rows of data, and fails if a column that begins with NULLs
        contains text. The reader drops the additional row (`typing_rows`).
        """
        sentinels = ", ".join(f"{SENTINELS[kind]} AS {name}" for name, kind in columns.items())
        return f"SELECT {sentinels} UNION ALL SELECT {', '.join(columns)} FROM {source}"

    def as_created(self, script: Script) -> Script:
        """Return the script unchanged."""
        return script

    def enforce_key(self, cursor: Any, script: Script) -> None:
        """Do nothing: the table is created with its key."""

    def enforce_references(self, cursor: Any, script: Script) -> None:
        """Do nothing: the table is created with its references."""

    def refresh_statistics(self, cursor: Any, table: str) -> None:
        """Do nothing: the SQL files fix the order of joins where it matters."""

    def describe(self, cursor: Any, scripts: Iterable[Script]) -> None:
        """Do nothing: SQLite stores the text of each CREATE statement with its comments."""

    def damage(self, cursor: Any) -> list[str]:
        """Return the findings of SQLite's own checks: damaged pages and broken references, without row values."""
        cursor.execute("PRAGMA integrity_check(10)")
        found = [str(row[0]) for row in cursor.fetchall() if row[0] != "ok"]
        cursor.execute(
            "SELECT DISTINCT \"table\" || ' refers to a missing row of ' || parent FROM pragma_foreign_key_check"
        )
        return found + [str(row[0]) for row in cursor.fetchall()]

    def explain(self, error: adbc_driver_manager.Error) -> WarehouseError:
        """Translate a driver error by its first line. SQLite's messages name columns and constraints, never values."""
        return WarehouseError(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")


def _set(cursor: Any, pragma: str) -> None:
    cursor.execute(f"PRAGMA {pragma}")
    cursor.fetchall()
