"""PostgreSQL through ADBC: what only PostgreSQL needs.

Belongs here: connecting, locking, types, comments and error codes of this engine. Does not belong here: anything that
the other engine does the same way (`transaction.py`, `warehouse.py`), its URL (`student360/urls.py`).
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
# Two engines, one order of text: by code point, whatever the database's collation is. An index of rows as they lie
# finds blocks, never single rows: without statistics the planner may take months, which are few, for a row's key.
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
# jit costs more than it saves on the risk view; a merge sorts a batch, so it may use some memory for that.
TRANSACTION_SETTINGS = {"TimeZone": "UTC", "DateStyle": "ISO", "client_min_messages": "warning", "jit": "off"}
# Facts that were loaded newest first lie in order by stretches: to the planner, which thinks of disks that turn, a few
# days of them seem worth less than a look through all.
READER_SETTINGS = {"random_page_cost": "1.1"}
# A writer that died holds its lock until the server notices: within seconds, also when its whole machine is gone.
WRITER_SETTINGS = {
    "work_mem": "64MB",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "10min",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
LOOK_FOR_THE_WRITER = (
    "CASE WHEN current_setting('server_version_num')::int >= 140000"
    " THEN set_config('client_connection_check_interval', '5s', true) END"
)

# https://www.postgresql.org/docs/current/errcodes-appendix.html; these classes never quote the values of a row.
QUOTABLE = ("08", "0A", "25", "28", "3D", "3F", "40", "42", "53", "54", "55", "57", "58")
UNAVAILABLE = ("08", "57P", "53300")
WORDS = {
    "22": "a value does not fit its column",
    "23": "a constraint was broken",
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
    ("no pg_hba.conf entry", "the server does not let this user in from here. Add a line to its pg_hba.conf"),
    ("permission denied for database", "the database user may not connect to this database. GRANT CONNECT to it"),
    ("could not translate host name", "there is no such host. Check the host in {variable}"),
    ("starting up|shutting down|recovery", "the server is not ready yet"),
    ("too many clients|remaining connection slots", "the server has too many connections. Raise max_connections"),
    (
        "refused|No such file|timeout expired|timed out|closed the connection",
        "the server is down, or not at that address",
    ),
)
WORTH_WAITING_FOR = ("not ready yet", "is down", "too many connections")


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
        """A new connection (DB-API), in autocommit mode. Waits a little for a server that is just starting."""
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
        said = re.sub(r"\s+", " ", text.partition("failed: ")[2] or text).strip()
        advice = next((advice for pattern, advice in CONNECTING if re.search(pattern, text)), said)
        message = f"PostgreSQL at {login_of(self._url)}: {advice.format(variable=URL_VARIABLE)}"
        waiting_helps = any(words in advice for words in WORTH_WAITING_FOR)
        return (WarehouseUnavailable if waiting_helps else WarehouseError)(f"{message}.")

    def expect_little(self, cursor: Any) -> None:
        """Have what is asked answered in one round trip: 0.2 ms for one row, not 0.3 to 0.4. The driver's way for many
        rows asks what they will be like first, and then to have them copied."""
        cursor.adbc_statement.set_options(**{StatementOptions.USE_COPY.value: "false"})

    def begin_reading(self, cursor: Any) -> None:
        """Open a transaction that sees one state of the warehouse and waits for nobody."""
        self.expect_little(cursor)
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        self._configure(cursor, TRANSACTION_SETTINGS | READER_SETTINGS)

    def begin_writing(self, cursor: Any, waiting: Callable[[], None]) -> None:
        """Open a writing transaction; waits for another writer, and says so."""
        self.expect_little(cursor)
        cursor.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
        self._configure(cursor, TRANSACTION_SETTINGS | WRITER_SETTINGS, LOOK_FOR_THE_WRITER)
        digest = hashlib.sha256(f"student360 {self.schema}".encode()).digest()
        key = int.from_bytes(digest[:8], "big", signed=True)
        if not _value(cursor, f"SELECT pg_try_advisory_xact_lock({key:d})"):
            waiting()
            _value(cursor, f"SELECT pg_advisory_xact_lock({key:d})::text")

    def forget_writing(self, cursor: Any) -> bool:
        """Make a connection that wrote as a new one, for a tenth of what that costs (8 ms). Returns whether it is."""
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
        """Nothing to do: before its first rows a fact table has no references, and after them the server checks."""

    def make_home(self, cursor: Any) -> None:
        """Check what the server is and make the schema. Raises WarehouseError saying what to do."""
        version = int(_value(cursor, "SELECT current_setting('server_version_num')::int"))
        if version // 10_000 < OLDEST_VERSION:
            raise WarehouseError(f"PostgreSQL {version // 10_000} is too old: {OLDEST_VERSION} or newer is needed.")
        encoding = _value(cursor, "SELECT current_setting('server_encoding')")
        if encoding != "UTF8":
            raise WarehouseError(
                f"the database's encoding is {encoding}; names need UTF8. Create it anew: "
                "createdb --encoding UTF8 --template template0 <database>"
            )
        if _value(cursor, f"SELECT to_regnamespace('{self.schema}')::text") is None:
            cursor.execute(f"CREATE SCHEMA {self.schema}")

    def bind(self, statement: str) -> str:
        """A statement with its ? numbered."""
        pieces = statement.split("?")
        return pieces[0] + "".join(f"${number}{piece}" for number, piece in enumerate(pieces[1:], start=1))

    def columns(self, cursor: Any, table: str) -> dict[str, str]:
        """Names and declared types of a table's or view's columns, in order."""
        cursor.execute(
            "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute"
            " WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            (table,),
        )
        return dict(cursor.fetchall())

    def typed_select(self, columns: Mapping[str, str], source: str) -> str:
        """A SELECT of a table's columns; days as ISO text, as everywhere outside the database."""
        shown = (f"{name}::text AS {name}" if kind == "date" else name for name, kind in columns.items())
        return f"SELECT {', '.join(shown)} FROM {source}"

    def as_created(self, script: Script) -> Script:
        """A fact table is created without key and references, which are added with its first rows (`enforce_key`,
        `enforce_references`)."""
        return created_without_key(script)

    def enforce_key(self, cursor: Any, script: Script) -> None:
        """Create the key of a fact table that was created without, as a unique index; does not block readers.

        0.9 s for 5 million rows in the order of the key; to check each row as it is inserted takes 3.5.
        """
        there = f"SELECT COUNT(*) FROM pg_index WHERE indrelid = to_regclass('{script.name}') AND indisunique"
        if script.is_fact and not _value(cursor, there):
            cursor.execute(key_statement(script))

    def enforce_references(self, cursor: Any, script: Script) -> None:
        """Add the references of a fact table that was created without; does not block readers.

        6 s for 5 million rows of attendance; the server's check of each row as it is inserted takes 80.
        """
        there = f"SELECT COUNT(*) FROM pg_constraint WHERE conrelid = to_regclass('{script.name}') AND contype = 'f'"
        if script.is_fact and not _value(cursor, there):
            cursor.execute(references_statement(script))

    def refresh_statistics(self, cursor: Any, table: str) -> None:
        """Tell the planner, and indexes of rows as they lie, what is in a table now: autovacuum would come minutes
        later, and until then such an index leads to all that is new."""
        cursor.execute(f"ANALYZE {table}")
        cursor.execute(
            "SELECT brin_summarize_new_values(i.indexrelid) FROM pg_index AS i"
            " JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_am AS a ON a.oid = c.relam"
            f" WHERE i.indrelid = to_regclass('{table}') AND a.amname = 'brin'"
        )
        cursor.fetchall()

    def describe(self, cursor: Any, scripts: Iterable[Script]) -> None:
        """Put the descriptions and privacy tags of all tables, views and columns into the database's catalog."""
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
        """Keys and references that are not enforced (PostgreSQL checks pages itself: data checksums, pg_amcheck)."""
        cursor.execute(
            "SELECT conrelid::regclass::text || ': ' || conname::text || ' is not validated' FROM pg_constraint"
            " WHERE connamespace = to_regnamespace($1) AND NOT convalidated UNION ALL"
            " SELECT indexrelid::regclass::text || ' is not valid' FROM pg_index JOIN pg_class ON oid = indexrelid"
            " WHERE relnamespace = to_regnamespace($1) AND NOT indisvalid",
            (self.schema,),
        )
        return [str(row[0]) for row in cursor.fetchall()]

    def explain(self, error: adbc_driver_manager.Error) -> WarehouseError:
        """An error of the driver without anything that could be a row's value."""
        state = error.sqlstate or ""
        if not state and error.status_code == adbc_driver_manager.AdbcStatusCode.IO:
            return WarehouseUnavailable("PostgreSQL: the connection was lost; nothing of this step was kept.")
        told = {_text(name): _text(text) for name, text in error.details}
        names = [
            told[f"PG_DIAG_{kind}"]
            for kind in ("TABLE_NAME", "COLUMN_NAME", "CONSTRAINT_NAME")
            if f"PG_DIAG_{kind}" in told
        ]
        words = next((WORDS[key] for key in (state, state[:2]) if key in WORDS), "")
        quote = _first_line(error) if state[:2] in QUOTABLE else ""
        parts = [part for part in (words, " ".join(names), quote) if part]
        unavailable = any(state.startswith(known) for known in UNAVAILABLE)
        return (WarehouseUnavailable if unavailable else WarehouseError)(
            f"PostgreSQL error {state}: {'; '.join(parts)}"
        )


def created_without_key(script: Script) -> Script:
    """A fact table without key and references; any other as its file says."""
    return script.without_references.without_key if script.is_fact else script


def key_statement(script: Script) -> str:
    """The statement that creates the key of a fact table."""
    return f"CREATE UNIQUE INDEX {script.name}_key ON {script.name} ({', '.join(script.primary_key)})"


def references_statement(script: Script) -> str:
    """The statement that adds the references of a fact table."""
    added = (f"ADD FOREIGN KEY ({column}) REFERENCES {parent} ({key})" for column, parent, key in script.references)
    return f"ALTER TABLE {script.name} {', '.join(added)}"


@cache
def _login(url: str) -> Any:
    """What connections are made from. It has learned the server's types, 50 ms; they take 3 ms each.

    It is closed itself, so that a copy of the process (`os.fork`) may make its own from it.
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
