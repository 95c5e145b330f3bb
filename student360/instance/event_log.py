"""Dagster's own storage, with connections that stay open.

Belongs here: how long a connection lives. Does not belong here: what is stored, where and how: that is Dagster's own
storage, and its files and tables are the same. Dagster opens and closes a file of SQLite, or a connection to
PostgreSQL, for each of the several statements that an event needs. With a file that stays open an event takes 3 ms
instead of 13, with a connection that does 4 instead of 9, on a 2-core machine; a run of a day's file writes some 140.

Safe at any crash: in WAL mode `synchronous = NORMAL` cannot damage the file, and neither can `synchronous_commit = off`
a server's; a power cut may lose the last events, and what is loaded is in the warehouse's ledger, not in them.
"""

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

from dagster import AssetKey, EventLogRecord
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqlEventLogStorage, SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData, deserialize_value
from dagster_postgres import (
    DagsterPostgresStorage,
    PostgresEventLogStorage,
    PostgresRunStorage,
    PostgresScheduleStorage,
)
from dagster_postgres.utils import pg_url_from_config
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DisconnectionError

from student360.instance.event_batches import WritesStepsTogether

OPEN_FILES = 8
TRUSTED_SECONDS = 1.0


class _AsksOnce:
    """An event log that does not ask again what it knows: Dagster asks what its schema has for each asset event, and
    looks through the events for the last materialisations of assets whose row has them."""

    _seen: frozenset[tuple[str, str]] = frozenset()

    def has_table(self, table_name: str) -> bool:
        """Whether there is such a table; one that was seen stays."""
        return self._stays("table", table_name, super().has_table)  # type: ignore[misc]

    def has_asset_key_col(self, column_name: str) -> bool:
        """Whether the table of asset keys has such a column; one that was seen stays."""
        return self._stays("column", column_name, super().has_asset_key_col)  # type: ignore[misc]

    def _stays(self, kind: str, name: str, is_there: Callable[[str], bool]) -> bool:
        if (kind, name) not in self._seen and is_there(name):
            self._seen |= {(kind, name)}
        return (kind, name) in self._seen

    def _get_latest_materialization_records(
        self, raw_asset_rows: Sequence[Mapping[str, Any]]
    ) -> Mapping[AssetKey, Any]:
        """The last materialisation of each asset. Only assets without one, or that were ever wiped, are looked for."""
        known, others = {}, []
        for row in raw_asset_rows:
            last = deserialize_value(row["last_materialization"]) if row["last_materialization"] else None
            key = AssetKey.from_db_string(row["asset_key"])
            if key and isinstance(last, EventLogRecord) and not row["asset_details"]:
                known[key] = last
            else:
                others.append(row)
        return known | super()._get_latest_materialization_records(others) if others else known  # type: ignore[misc]


class LastingSqliteEventLogStorage(WritesStepsTogether, _AsksOnce, SqliteEventLogStorage):
    """Dagster's event log in `history/runs` of DAGSTER_HOME, as by default, with up to OPEN_FILES files kept open."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._opened_by = os.getpid()
        super().__init__(base_dir, inst_data)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, _: Mapping[str, Any]) -> Self:
        return cls(str(Path(os.environ["DAGSTER_HOME"]) / "history" / "runs"), inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        self.write_what_waits()
        with self._db_lock:
            engine = self._engine(shard)
            with engine.connect() as connection, connection.begin():
                yield connection

    def _engine(self, shard: str) -> Engine:
        """The engine of a file: the one that is open, or a new one in the place of the one used longest ago."""
        if self._opened_by != os.getpid():
            self._engines, self._opened_by = OrderedDict(), os.getpid()
        if shard in self._engines and not Path(self.path_for_shard(shard)).exists():
            self._engines.pop(shard).dispose()
            self._initialized_dbs.discard(shard)
        if shard not in self._engines:
            engine = create_engine(
                self.conn_string_for_shard(shard),
                pool_size=1,
                max_overflow=-1,
                connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
            )
            event.listen(engine, "connect", _trust_the_write_ahead_log)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            self._engines[shard] = engine
            if len(self._engines) > OPEN_FILES:
                self._engines.popitem(last=False)[1].dispose()
        self._engines.move_to_end(shard)
        return self._engines[shard]

    def dispose(self) -> None:
        """Close all files."""
        super().dispose()
        while self._engines:
            self._engines.popitem()[1].dispose()


def _trust_the_write_ahead_log(connection: Any, _: object) -> None:
    connection.execute("PRAGMA synchronous = NORMAL").close()


class _KeepsItsConnection:
    """A part of Dagster's storage in PostgreSQL, with an engine of ours from when its tables are there."""

    postgres_url: str
    _engine: Engine

    def __init__(self, postgres_url: str) -> None:
        looks = LastingPostgresStorage.looks_for_tables
        super().__init__(postgres_url, should_autocreate_tables=looks)  # type: ignore[call-arg]
        self._engine = _lasting_engine(postgres_url)

    def dispose(self) -> None:
        """Close the connection."""
        super().dispose()  # type: ignore[misc]
        self._engine.dispose()


class _Runs(_KeepsItsConnection, PostgresRunStorage): ...


class _Schedules(_KeepsItsConnection, PostgresScheduleStorage): ...


class _TellsNobody(PostgresEventLogStorage):
    """The event log in PostgreSQL, without a NOTIFY for each event, for which nobody listens any more."""

    def store_event(self, event: EventLogEntry) -> None:
        SqlEventLogStorage.store_event(self, event)


class _Events(_KeepsItsConnection, WritesStepsTogether, _AsksOnce, _TellsNobody):
    """The event log."""

    def __init__(self, postgres_url: str) -> None:
        super().__init__(postgres_url)
        event.listen(self._engine, "connect", _answer_before_the_disk_does)

    def _connect(self) -> AbstractContextManager[Connection]:
        self.write_what_waits()
        return super()._connect()


class LastingPostgresStorage(DagsterPostgresStorage):
    """Dagster's storage in PostgreSQL, configured as `storage: postgres` is; each of its parts keeps a connection.

    looks_for_tables: whether its tables are looked for, and made where there are none. 60 ms, that a copy of a process
    which has seen them need not spend.
    """

    looks_for_tables: ClassVar[bool] = True

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        self.postgres_url = postgres_url
        self._inst_data = inst_data
        self._run_storage = _Runs(postgres_url)
        self._event_log_storage = _Events(postgres_url)
        self._schedule_storage = _Schedules(postgres_url)
        super(DagsterPostgresStorage, self).__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        return cls(pg_url_from_config(config_value), inst_data)


def _lasting_engine(url: str) -> Engine:
    """An engine that keeps a connection, finds out when the server has closed it, and may be copied by a fork.

    A connection that was used a moment ago is not asked whether it is still there: a run asks 660 times, 0.1 s.
    """
    engine = create_engine(url, isolation_level="AUTOCOMMIT", pool_size=1, max_overflow=-1)
    event.listen(engine, "connect", lambda _, record: record.info.update(pid=os.getpid(), used=time.monotonic()))
    event.listen(engine, "checkin", lambda _, record: record.info.update(used=time.monotonic()))
    event.listen(engine, "checkout", _refuse_that_of_another_process)
    event.listen(engine, "checkout", partial(_refuse_that_the_server_closed, engine.dialect))
    return engine


def _refuse_that_of_another_process(_: Any, record: Any, proxy: Any) -> None:
    if record.info["pid"] != os.getpid():
        record.dbapi_connection = proxy.dbapi_connection = None
        raise DisconnectionError("opened by another process")


def _refuse_that_the_server_closed(dialect: Any, connection: Any, record: Any, _: Any) -> None:
    if time.monotonic() - record.info["used"] < TRUSTED_SECONDS:
        return
    try:
        dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error:
        raise DisconnectionError("closed by the server") from None


def _answer_before_the_disk_does(connection: Any, _: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
