"""The PostgreSQL engine, through ADBC: connecting, locking, types, comments and error codes.

Contains only what differs from SQLite; not what both engines share (see `transaction.py`, `warehouse.py`) nor the URL
(see `student360/urls.py`).
"""

import atexit
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import adbc_driver_manager
import adbc_driver_postgresql.dbapi
import pyarrow as pa
from adbc_driver_postgresql import StatementOptions

from student360.urls import URL_VARIABLE, login_of, schema_of, secret_url
from student360.warehouse.errors import WarehouseError, WarehouseUnavailable
from student360.warehouse.scripts import Script

OLDEST_VERSION = 13
CONNECTION_DEFAULTS = {"connect_timeout": "10", "application_name": "student360"}
PATIENCE_SECONDS = 20.0
# Text sorts by code point, as on SQLite, whatever the database's collation is. A BRIN index finds blocks, not single
# rows: without statistics the planner may assume that a month identifies a row, although there are few months.
FRAGMENTS = {
    "strict": "",
    "keyed": "",
    "integer": "INTEGER",
    "bigint": "BIGINT",
    "text": 'TEXT COLLATE "C"',
    "real": "DOUBLE PRECISION",
    "date": "DATE",
    "empty": "TRUNCATE",
    "as_they_lie": "USING brin",
    "and_student": "",
}
ARROW_TYPES = {
    "text": pa.string(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float64(),
    "date": pa.date32(),
}
# jit costs more than it saves on the risk view.
TRANSACTION_SETTINGS = {"TimeZone": "UTC", "DateStyle": "ISO", "client_min_messages": "warning", "jit": "off"}
# Facts that were loaded newest first are in order only in stretches. With the default cost, meant for rotating disks,
# the planner would read the whole table instead of using the index for a few days.
READER_SETTINGS = {"random_page_cost": "1.1"}
# A merge sorts a batch, so it gets more memory. A killed writer holds its lock until the server notices: within seconds
# if its process ended, within a minute (30 s + 3 x 10 s) if its whole machine is gone.
WRITER_SETTINGS = {
    "work_mem": "64MB",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "10min",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
CHECK_CLIENT_CONNECTION = (
    "CASE WHEN current_setting('server_version_num')::int >= 140000"
    " THEN set_config('client_connection_check_interval', '5s', true) END"
)

# https://www.postgresql.org/docs/current/errcodes-appendix.html; these classes never quote the values of a row.
QUOTABLE = ("08", "0A", "25", "28", "3D", "3F", "40", "42", "53", "54", "55", "57", "58")
UNAVAILABLE = ("08", "57P", "53300")
WORDS = {
    "22": "a value does not fit its column",
    "23": "a constraint was violated",
    "42501": "the database user may not do this. Grant it CREATE on the database, or ALL on a schema of its own",
    "53100": "the server's disk is full",
    "53300": "the server has too many connections. Raise max_connections",
}
CONNECTING = (
    (
        "password authentication failed|no password supplied",
        "wrong password. Set it in {variable}, PGPASSWORD or ~/.pgpass",
    ),
    (r"database \".*\" does not exist", "there is no such database. Create it: createdb -O <user> <database>"),
    (r"role \".*\" does not exist", "there is no such database user. Create it: createuser --pwprompt <user>"),
    ("no pg_hba.conf entry", "the server does not accept this user from this host. Add a line to its pg_hba.conf"),
    ("permission denied for database", "the database user may not connect to this database. GRANT CONNECT to it"),
    ("could not translate host name", "there is no such host. Check the host in {variable}"),
    ("starting up|shutting down|recovery", "the server is not ready yet"),
    ("too many clients|remaining connection slots", "the server has too many connections. Raise max_connections"),
    (
        "refused|No such file|timeout expired|timed out|closed the connection",
        "the server is down, or not at that address",
    ),
)
TRANSIENT = ("not ready yet", "is down", "too many connections")


class PostgresEngine:
    """One schema of a PostgreSQL database, version 13 or newer."""

    name = "postgres"
    fragments: Mapping[str, str] = FRAGMENTS
    arrow_types: Mapping[str, pa.DataType] = ARROW_TYPES
    typing_rows = 0
    always_checks_references = True

    def __init__(self, url: str) -> None:
        self._url = url
        self.schema = self.home = schema_of(url)
        if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", self.schema):
            raise WarehouseError("STUDENT360_WAREHOUSE_SCHEMA must be lower-case letters, digits and _")

    def connect(self) -> Any:
        """Return a new connection (DB-API) in autocommit mode. Retries for 20 s while the server is unavailable."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return self._connection()
            except WarehouseUnavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    def _connection(self) -> Any:
        try:
            connection = _login(secret_url(self._url, os.environ, CONNECTION_DEFAULTS)).adbc_clone()
            connection.adbc_connection.set_autocommit(True)
        except adbc_driver_manager.Error as error:
            raise self._why_not_connected(error) from None
        return connection

    def _why_not_connected(self, error: adbc_driver_manager.Error) -> WarehouseError:
        text = str(error)
        server_message = re.sub(r"\s+", " ", text.partition("failed: ")[2] or text).strip()
        advice = next((advice for pattern, advice in CONNECTING if re.search(pattern, text)), server_message)
        message = f"PostgreSQL at {login_of(self._url)}: {advice.format(variable=URL_VARIABLE)}"
        waiting_helps = any(words in advice for words in TRANSIENT)
        return (WarehouseUnavailable if waiting_helps else WarehouseError)(f"{message}.")

    def expect_little(self, cursor: Any) -> None:
        """Read the results of a cursor in one round trip: 0.2 ms for one row instead of 0.3 to 0.4 ms.

        By default, which suits many rows, the driver first asks for the column types and then reads with COPY.
        """
        cursor.adbc_statement.set_options(**{StatementOptions.USE_COPY.value: "false"})

    def begin_reading(self, cursor: Any) -> None:
        """Open a read-only transaction that sees one snapshot of the warehouse and does not wait for writers."""
        self.expect_little(cursor)
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        self._configure(cursor, TRANSACTION_SETTINGS | READER_SETTINGS)

    def begin_writing(self, cursor: Any, waiting: Callable[[], None]) -> None:
        """Open a writing transaction. Calls `waiting` once if another writer holds the lock, then waits for it."""
        self.expect_little(cursor)
        cursor.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
        self._configure(cursor, TRANSACTION_SETTINGS | WRITER_SETTINGS, CHECK_CLIENT_CONNECTION)
        digest = hashlib.sha256(f"student360 {self.schema}".encode()).digest()
        key = int.from_bytes(digest[:8], "big", signed=True)
        if not _value(cursor, f"SELECT pg_try_advisory_xact_lock({key:d})"):
            waiting()
            _value(cursor, f"SELECT pg_advisory_xact_lock({key:d})::text")

    def forget_writing(self, cursor: Any) -> bool:
        """Reset a connection after writing so that it can be reused, in a tenth of the 8 ms that a new one takes.

        Returns True.
        """
        self.expect_little(cursor)
        cursor.execute("DISCARD TEMP")
        return True

    def _configure(self, cursor: Any, settings: Mapping[str, str], *more: str) -> None:
        wanted = {**settings, "search_path": self.schema}
        cursor.execute(
            "SELECT " + ", ".join((*(f"set_config('{name}', '{to}', true)" for name, to in wanted.items()), *more))
        )
        cursor.fetchall()

    def leave_references_unchecked(self, cursor: Any) -> None:
        """Do nothing: a fact table has no references before its first rows, and after that the server checks them."""

    def make_home(self, cursor: Any) -> None:
        """Check the server's version and encoding, and create the schema. Raises WarehouseError if either is wrong."""
        version = int(_value(cursor, "SELECT current_setting('server_version_num')::int"))
        if version // 10_000 < OLDEST_VERSION:
            raise WarehouseError(f"PostgreSQL {version // 10_000} is too old: {OLDEST_VERSION} or newer is needed.")
        encoding = _value(cursor, "SELECT current_setting('server_encoding')")
        if encoding != "UTF8":
            raise WarehouseError(
                f"the database's encoding is {encoding}; names need UTF8. Create it again: "
                "createdb --encoding UTF8 --template template0 <database>"
            )
        if _value(cursor, f"SELECT to_regnamespace('{self.schema}')::text") is None:
            cursor.execute(f"CREATE SCHEMA {self.schema}")

    def bind(self, statement: str) -> str:
        """Return a statement with its ? replaced by $1, $2, ..."""
        pieces = statement.split("?")
        return pieces[0] + "".join(f"${number}{piece}" for number, piece in enumerate(pieces[1:], start=1))

    def columns(self, cursor: Any, table: str) -> dict[str, str]:
        """Return the names and declared types of a table's or view's columns, in order."""
        cursor.execute(
            "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute"
            " WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            (table,),
        )
        return dict(cursor.fetchall())

    def typed_select(self, columns: Mapping[str, str], source: str) -> str:
        """Return a SELECT of a table's columns, with dates as ISO text, as everywhere outside the database."""
        shown = (f"{name}::text AS {name}" if kind == "date" else name for name, kind in columns.items())
        return f"SELECT {', '.join(shown)} FROM {source}"

    def as_created(self, script: Script) -> Script:
        """Return a table's script as it is created: a fact table without key and references.

        They are added with its first rows (`enforce_key`, `enforce_references`).
        """
        return created_without_key(script)

    def enforce_key(self, cursor: Any, script: Script) -> None:
        """Create the key of a fact table as a unique index if it does not exist; does not block readers.

        This takes 0.9 s for 5 million rows in key order; checking each row on insert takes 3.5 s.
        """
        existing = f"SELECT COUNT(*) FROM pg_index WHERE indrelid = to_regclass('{script.name}') AND indisunique"
        if script.is_fact and not _value(cursor, existing):
            cursor.execute(key_statement(script))

    def enforce_references(self, cursor: Any, script: Script) -> None:
        """Add the references of a fact table if they do not exist; does not block readers.

        This takes 6 s for 5 million rows of attendance; checking each row on insert takes 80 s.
        """
        existing = f"SELECT COUNT(*) FROM pg_constraint WHERE conrelid = to_regclass('{script.name}') AND contype = 'f'"
        if script.is_fact and not _value(cursor, existing):
            cursor.execute(references_statement(script))

    def refresh_statistics(self, cursor: Any, table: str) -> None:
        """Update the planner's statistics and the BRIN indexes of a table.

        Autovacuum would do so minutes later. Until then a BRIN index returns all blocks with new rows.
        """
        cursor.execute(f"ANALYZE {table}")
        cursor.execute(
            "SELECT brin_summarize_new_values(i.indexrelid) FROM pg_index AS i"
            " JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_am AS a ON a.oid = c.relam"
            f" WHERE i.indrelid = to_regclass('{table}') AND a.amname = 'brin'"
        )
        cursor.fetchall()

    def describe(self, cursor: Any, scripts: Iterable[Script]) -> None:
        """Store the descriptions and privacy tags of all tables, views and columns as comments in the database."""
        comments = []
        for script in scripts:
            kind = "VIEW" if script.is_view else "TABLE"
            comments.append(f"COMMENT ON {kind} {script.name} IS {_literal(script.description)}")
            comments += (
                f"COMMENT ON COLUMN {script.name}.{column.name} IS "
                + _literal(f"{column.description} [{column.privacy}]")
                for column in script.columns
            )
        cursor.execute(f"DO $describe$ BEGIN {'; '.join(comments)}; END $describe$")

    def damage(self, cursor: Any) -> list[str]:
        """Return the indexes and constraints that are not enforced.

        Damaged pages are not covered: PostgreSQL checks them itself (data checksums, pg_amcheck).
        """
        cursor.execute(
            "SELECT conrelid::regclass::text || ': ' || conname::text || ' is not validated' FROM pg_constraint"
            " WHERE connamespace = to_regnamespace($1) AND NOT convalidated UNION ALL"
            " SELECT indexrelid::regclass::text || ' is not valid' FROM pg_index JOIN pg_class ON oid = indexrelid"
            " WHERE relnamespace = to_regnamespace($1) AND NOT indisvalid",
            (self.schema,),
        )
        return [str(row[0]) for row in cursor.fetchall()]

    def explain(self, error: adbc_driver_manager.Error) -> WarehouseError:
        """Translate a driver error, leaving out everything that could be a row's value."""
        state = error.sqlstate or ""
        if not state and error.status_code == adbc_driver_manager.AdbcStatusCode.IO:
            return WarehouseUnavailable("PostgreSQL: the connection was lost. The step was rolled back.")
        details = {_text(name): _text(text) for name, text in error.details}
        names = [
            details[f"PG_DIAG_{kind}"]
            for kind in ("TABLE_NAME", "COLUMN_NAME", "CONSTRAINT_NAME")
            if f"PG_DIAG_{kind}" in details
        ]
        words = next((WORDS[key] for key in (state, state[:2]) if key in WORDS), "")
        quote = _first_line(error) if state[:2] in QUOTABLE else ""
        parts = [part for part in (words, " ".join(names), quote) if part]
        unavailable = any(state.startswith(known) for known in UNAVAILABLE)
        return (WarehouseUnavailable if unavailable else WarehouseError)(
            f"PostgreSQL error {state}: {'; '.join(parts)}"
        )


def created_without_key(script: Script) -> Script:
    """Return the script of a fact table without key and references; other scripts unchanged."""
    return script.without_references.without_key if script.is_fact else script


def key_statement(script: Script) -> str:
    """Return the statement that creates the key of a fact table."""
    return f"CREATE UNIQUE INDEX {script.name}_key ON {script.name} ({', '.join(script.primary_key)})"


def references_statement(script: Script) -> str:
    """Return the statement that adds the references of a fact table."""
    added = (f"ADD FOREIGN KEY ({column}) REFERENCES {parent} ({key})" for column, parent, key in script.references)
    return f"ALTER TABLE {script.name} {', '.join(added)}"


@cache
def _login(url: str) -> Any:
    """Return the object from which connections to a URL are cloned.

    It loads the server's types once, in 50 ms; a clone then takes 3 ms. Its own connection is closed, so that a forked
    process (`os.fork`) can clone from it too.
    """
    first = adbc_driver_postgresql.dbapi.connect(url, autocommit=True)
    first.adbc_connection.close()
    atexit.register(first.close)
    return first


def _text(raw: str | bytes) -> str:
    return raw if isinstance(raw, str) else raw.decode(errors="replace")


def _first_line(error: adbc_driver_manager.Error) -> str:
    text = str(error).partition("\n")[0]
    return text.partition("ERROR:")[2].strip() or text.partition("FATAL:")[2].strip()


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _value(cursor: Any, query: str, parameters: Sequence[Any] = ()) -> Any:
    cursor.execute(query, tuple(parameters) or None)
    return cursor.fetchall()[0][0]
