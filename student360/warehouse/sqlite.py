"""SQLite through ADBC: what only SQLite needs.

Belongs here: connecting, locking, types and quirks of this engine. Does not belong here: anything that the
other engine does the same way (`warehouse.py`). The standard sqlite3 module must not open the same file in
the same process (sqlite.org/howtocorrupt: two copies of SQLite cancel each other's locks), so ADBC serves all.
"""

from pathlib import Path
from typing import Any

import adbc_driver_sqlite.dbapi
import pyarrow as pa

from student360.ingest.files import make_private

FRAGMENTS = {
    "strict": "STRICT",
    "keyed": "STRICT, WITHOUT ROWID",
    "integer": "INTEGER",
    "text": "TEXT",
    "real": "REAL",
    "date": "TEXT",
}
BUSY_TIMEOUT_MS = 60_000
SENTINELS = {"integer": "0", "real": "0.5", "text": "''", "date": "''"}


class SqliteEngine:
    """One SQLite file, in WAL mode, private to its owner."""

    name = "sqlite"
    fragments = FRAGMENTS
    typing_rows = 1

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
                "cache_size = -65536",
            ):
                cursor.execute(f"PRAGMA {pragma}")
                cursor.fetchall()
        return connection

    def begin(self, cursor: Any) -> None:
        """Open a writing transaction; waits for another writer. Deferred ones would fail at once instead."""
        cursor.execute("BEGIN IMMEDIATE")

    def storable(self, table: pa.Table) -> pa.Table:
        """A table in types that the driver can bind."""
        return table

    def columns(self, cursor: Any, table: str) -> dict[str, str]:
        """Names and declared types of a table's or view's columns, in order."""
        cursor.execute("SELECT name, type FROM pragma_table_info(?)", (table,))
        return dict(cursor.fetchall())

    def typed_select(self, columns: dict[str, str], source: str) -> str:
        """A SELECT whose first row makes the driver see each column's declared type.

        The driver infers types from the first rows it gets, and fails when a column that began with NULLs
        turns out to be text. The reader drops that first row (`typing_rows`).
        """
        sentinels = ", ".join(f"{SENTINELS[kind]} AS {name}" for name, kind in columns.items())
        return f"SELECT {sentinels} UNION ALL SELECT {', '.join(columns)} FROM {source}"
