"""SQLite through ADBC: what only SQLite needs.

Belongs here: connecting, locking, types and quirks of this engine. Does not belong here: anything that the
other engine does the same way (`warehouse.py`). The standard sqlite3 module must not open the same file in
the same process (sqlite.org/howtocorrupt: two copies of SQLite cancel each other's locks), so ADBC serves all.
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
LOOK_AGAIN_SECONDS = 0.05
SENTINELS = {"integer": "0", "bigint": "0", "real": "0.5", "text": "''", "date": "''"}


class SqliteEngine:
    """One SQLite file, in WAL mode, private to its owner."""

    name = "sqlite"
    home = "main"
    fragments: Mapping[str, str] = FRAGMENTS
    arrow_types: Mapping[str, pa.DataType] = ARROW_TYPES
    typing_rows = 1
    always_checks_references = False

    def __init__(self, url: str) -> None:
        self.path = Path(url.removeprefix("sqlite:///"))

    def connect(self) -> Any:
        """A new connection (DB-API), in autocommit mode: transactions are opened by `begin`."""
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
        """Nothing to do: an answer is read as it is asked for."""

    def begin_reading(self, cursor: Any) -> None:
        """Open a transaction that sees one state of the warehouse and waits for nobody."""
        cursor.execute("BEGIN")

    def begin_writing(self, cursor: Any, waiting: Callable[[], None]) -> None:
        """Open a writing transaction; waits for another writer, and says so. A deferred one would fail at once.

        The wait is ours, not the driver's: an interrupt that comes while the driver waits is lost.
        """
        _set(cursor, "busy_timeout = 0")
        has_said = False
        while True:
            try:
                cursor.execute("BEGIN IMMEDIATE")
            except adbc_driver_manager.Error as error:
                if "database is locked" not in str(error):
                    raise
                if not has_said:
                    waiting()
                has_said = True
                time.sleep(LOOK_AGAIN_SECONDS)
            else:
                break
        _set(cursor, f"busy_timeout = {BUSY_TIMEOUT_MS}")

    def forget_writing(self, cursor: Any) -> bool:
        """Whether a connection is as a new one after it wrote: no, it keeps temporary tables and how to check."""
        return False

    def leave_references_unchecked(self, cursor: Any) -> None:
        """Let rows come without a look at what they refer to, until the connection ends: 4 s for 5 million facts."""
        _set(cursor, "foreign_keys = OFF")

    def make_home(self, cursor: Any) -> None:
        """Nothing to make: the file is made by connecting."""

    def bind(self, statement: str) -> str:
        """A statement with its parameters marked as the driver wants them."""
        return statement

    def columns(self, cursor: Any, table: str) -> dict[str, str]:
        """Names and declared types of a table's or view's columns, in order."""
        cursor.execute("SELECT name, type FROM pragma_table_info(?)", (table,))
        return dict(cursor.fetchall())

    def typed_select(self, columns: Mapping[str, str], source: str) -> str:
        """A SELECT whose first row makes the driver see each column's declared type.

        The driver infers types from the first rows it gets, and fails when a column that began with NULLs
        turns out to be text. The reader drops that first row (`typing_rows`).
        """
        sentinels = ", ".join(f"{SENTINELS[kind]} AS {name}" for name, kind in columns.items())
        return f"SELECT {sentinels} UNION ALL SELECT {', '.join(columns)} FROM {source}"

    def as_created(self, script: Script) -> Script:
        """The table as its file says."""
        return script

    def enforce_key(self, cursor: Any, script: Script) -> None:
        """Nothing to do: the table has its key from the beginning."""

    def enforce_references(self, cursor: Any, script: Script) -> None:
        """Nothing to do: the table has its references from the beginning."""

    def refresh_statistics(self, cursor: Any, table: str) -> None:
        """Nothing to do: the SQL files name the order of their joins where it matters."""

    def describe(self, cursor: Any, scripts: Iterable[Script]) -> None:
        """Nothing to do: SQLite keeps the text of each table with its comments."""

    def damage(self, cursor: Any) -> list[str]:
        """What SQLite's own checks find: damaged pages and broken references. Never a value."""
        cursor.execute("PRAGMA integrity_check(10)")
        found = [str(row[0]) for row in cursor.fetchall() if row[0] != "ok"]
        cursor.execute(
            "SELECT DISTINCT \"table\" || ' refers to a missing row of ' || parent FROM pragma_foreign_key_check"
        )
        return found + [str(row[0]) for row in cursor.fetchall()]

    def explain(self, error: adbc_driver_manager.Error) -> WarehouseError:
        """An error of the driver by its first line: SQLite names columns and constraints, never values."""
        return WarehouseError(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")


def _set(cursor: Any, pragma: str) -> None:
    cursor.execute(f"PRAGMA {pragma}")
    cursor.fetchall()
