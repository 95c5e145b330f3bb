"""Dagster's storage with files and connections that stay open is Dagster's storage."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from textwrap import dedent
from threading import Thread
from typing import Any

import psutil
import pytest
from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetKey,
    AssetMaterialization,
    AssetObservation,
    AssetSpec,
    DagsterInstance,
    DataVersion,
    Definitions,
    EventLogRecord,
    MaterializeResult,
    RunsFilter,
    asset,
    materialize,
    multi_asset,
)
from dagster._core.storage.event_log import EventLogStorage, SqlEventLogStorage, SqliteEventLogStorage
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    AssetKeyTable,
    SqlEventLogStorageTable,
)
from dagster_postgres import PostgresEventLogStorage
from sqlalchemy import event, select

from student360.instance import event_log
from student360.instance.event_log import LastingSqliteEventLogStorage
from student360.orchestration.assets.common import LANDING_FILES
from student360_tests.conftest import ON_POSTGRES_ONLY, NewInstallation
from student360_tests.support.installation import Installation, wait_until
from student360_tests.support.postgres import ask


@asset
def anything() -> None: ...


@asset
def wiped() -> None: ...


@multi_asset(
    specs=[AssetSpec("one"), AssetSpec("other")],
    check_specs=[AssetCheckSpec("is_good", asset="one"), AssetCheckSpec("is_bad", asset="other")],
)
def checked(context: AssetExecutionContext) -> Iterator[MaterializeResult | AssetCheckResult]:
    for name in ("one", "other"):
        yield MaterializeResult(asset_key=name, metadata={"rows": 1}, data_version=DataVersion("1"))
        context.log_event(AssetMaterialization("beside", partition=name, tags={"of": name}))
    yield AssetCheckResult(asset_key="one", check_name="is_good", passed=True)
    yield AssetCheckResult(asset_key="other", check_name="is_bad", passed=False)


JOB = Definitions(assets=[anything]).resolve_implicit_global_asset_job_def()
TWO_ASSETS = Definitions(assets=[anything, wiped]).resolve_implicit_global_asset_job_def()
CHECKED_ASSETS = Definitions(assets=[checked]).resolve_implicit_global_asset_job_def()


def run(instance: DagsterInstance) -> str:
    return JOB.execute_in_process(instance=instance).run_id


def told(storage: EventLogStorage, run_id: str) -> list[str]:
    return [entry.user_message for entry in storage.get_logs_for_run(run_id)]


def dagsters_own(storage: EventLogStorage, installation: Installation) -> EventLogStorage:
    """The storage that Dagster itself has for the same files or tables."""
    if isinstance(storage, PostgresEventLogStorage):
        return PostgresEventLogStorage(storage.postgres_url)
    return SqliteEventLogStorage(str(installation.dagster_home / "history" / "runs"))


def rows(storage: EventLogStorage, run_id: str) -> dict[str, list[tuple[Any, ...]]]:
    """All that a log has in its tables, but for when a row was written and the numbers that an upsert uses up."""
    assert isinstance(storage, SqlEventLogStorage)
    found: dict[str, list[tuple[Any, ...]]] = {}
    for connect in (storage.index_connection, partial(storage.run_connection, run_id)):
        with connect() as connection:
            for table in (SqlEventLogStorageTable, AssetKeyTable, AssetEventTagsTable, AssetCheckExecutionsTable):
                columns = [c for c in table.c if c.name != "create_timestamp" and c is not AssetKeyTable.c.id]
                told = connection.execute(select(*columns).order_by(table.c.id)).all()
                found.setdefault(table.name, []).extend(tuple(row) for row in told)
    return found


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    installation = Installation(tmp_path)
    installation.prepare()
    return installation


def test_dagsters_own_storage_reads_the_same_events_from_the_same_files(installation: Installation) -> None:
    with installation.instance() as instance:
        assert isinstance(instance.event_log_storage, LastingSqliteEventLogStorage)
        runs = [run(instance) for _ in range(event_log.OPEN_FILES + 2)]
        plain = dagsters_own(instance.event_log_storage, installation)
        for run_id in runs:
            assert told(instance.event_log_storage, run_id) == told(plain, run_id)
            assert len(told(plain, run_id)) > 5
        assert instance.get_latest_materialization_event(anything.key) is not None


def test_the_last_materialisation_of_an_asset_is_the_one_that_dagsters_own_storage_finds(
    new_installation: NewInstallation, engine: str
) -> None:
    keys = [anything.key, wiped.key, AssetKey("never_seen")]
    installation = new_installation(engine)
    with installation.instance() as instance:
        storage = instance.event_log_storage
        plain = dagsters_own(storage, installation)

        def last() -> dict[AssetKey, EventLogRecord | None]:
            entries = [record.asset_entry for record in storage.get_asset_records(keys)]
            assert entries == [record.asset_entry for record in plain.get_asset_records(keys)]
            return {entry.asset_key: entry.last_materialization_record for entry in entries}

        assert not last()
        TWO_ASSETS.execute_in_process(instance=instance)
        before = last()
        assert before[anything.key] and before[wiped.key]
        instance.wipe_assets([wiped.key])
        assert last() == {anything.key: before[anything.key]}
        instance.report_runless_asset_event(AssetObservation(wiped.key))
        assert last() == {anything.key: before[anything.key], wiped.key: None}
        TWO_ASSETS.execute_in_process(instance=instance)
        assert last().keys() == before.keys()
        assert all(record and record not in before.values() for record in last().values())


def test_events_of_a_step_that_are_written_together_are_the_rows_that_dagster_would_write_one_by_one(
    new_installation: NewInstallation, engine: str
) -> None:
    with new_installation(engine).instance() as instance:
        storage = instance.event_log_storage
        runs = [CHECKED_ASSETS.execute_in_process(instance=instance).run_id for _ in range(2)]
        told_in_turn = [storage.get_logs_for_run(run_id) for run_id in runs]
        together = [rows(storage, run_id) for run_id in runs]
    installation = new_installation(engine)
    with installation.instance() as instance:
        plain = dagsters_own(instance.event_log_storage, installation)
        for entry in chain.from_iterable(told_in_turn):
            plain.store_event(entry)
        assert together == [rows(plain, run_id) for run_id in runs]
        assert all(together[0].values())


def test_what_a_step_said_is_there_when_anybody_asks_in_its_process_and_after_a_line_of_progress_for_all(
    new_installation: NewInstallation, engine: str
) -> None:
    installation = new_installation(engine)
    seen: dict[str, bool] = {}

    @multi_asset(specs=[AssetSpec("first"), AssetSpec("second")])
    def in_turn(context: AssetExecutionContext) -> Iterator[MaterializeResult]:
        def knows(storage: EventLogStorage, asset_name: str) -> bool:
            found = storage.get_latest_materialization_events([AssetKey(asset_name)]).get(AssetKey(asset_name))
            return found is not None and found.run_id == context.run_id

        plain = dagsters_own(context.instance.event_log_storage, installation)
        yield MaterializeResult(asset_key="first")
        seen["waits"] = not knows(plain, "first")
        seen["asked"] = knows(context.instance.event_log_storage, "first")
        yield MaterializeResult(asset_key="second")
        context.log.info("half way")
        seen["told"] = knows(plain, "second")
        beside = Thread(target=context.log_event, args=[AssetMaterialization("beside")])
        beside.start()
        beside.join()
        seen["beside"] = knows(plain, "beside")

    with installation.instance() as instance:
        assert materialize([in_turn], instance=instance).success
    assert seen == {"waits": True, "asked": True, "told": True, "beside": True}


def test_a_file_is_shown_before_the_ledger_says_that_it_was(new_installation: NewInstallation, engine: str) -> None:
    dies_there = """
        import os, signal
        from student360.warehouse import ledger
        ledger.note_reported = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        from dagster import DagsterInstance
        from student360.definitions import defs
        defs.resolve_job_def("ingest").execute_in_process(instance=DagsterInstance.get())
    """
    installation = new_installation(engine)
    installation.drop("students.csv", b"Student_ID,Full_Name,Date_of_Birth,Grade_Level\nS1,Ada,2014-01-02,Grade 4\n")
    died = subprocess.call([sys.executable, "-c", dedent(dies_there)], env=installation.environment)
    assert died == -signal.SIGKILL
    with installation.instance() as instance:
        assert len(instance.fetch_materializations(LANDING_FILES, limit=10).records) == 1


def test_no_more_files_stay_open_than_it_says_and_none_after_the_end(installation: Installation) -> None:
    def open_files() -> int:
        files = {file.path for file in psutil.Process().open_files()}
        return len({file for file in files if file.startswith(str(installation.dagster_home)) and file.endswith(".db")})

    with installation.instance() as instance:
        for _ in range(2 * event_log.OPEN_FILES):
            run(instance)
        assert 1 < open_files() <= event_log.OPEN_FILES
    assert open_files() == 0


def test_a_run_that_is_deleted_is_gone_and_another_process_may_have_done_it(installation: Installation) -> None:
    with installation.instance() as instance, installation.instance() as other:
        run_id = run(instance)
        other.delete_run(run_id)
        assert told(instance.event_log_storage, run_id) == []
        assert not instance.get_run_records(RunsFilter(run_ids=[run_id]))


@ON_POSTGRES_ONLY
def test_dagsters_own_storage_reads_the_same_events_from_the_same_tables(
    new_installation: NewInstallation, engine: str
) -> None:
    installation = new_installation(engine)
    with installation.instance() as instance:
        assert isinstance(instance.event_log_storage, PostgresEventLogStorage)
        run_id = run(instance)
        plain = dagsters_own(instance.event_log_storage, installation)
        assert told(instance.event_log_storage, run_id) == told(plain, run_id)
        assert len(told(plain, run_id)) > 5


@ON_POSTGRES_ONLY
def test_a_connection_that_the_server_closed_is_made_again_and_none_stays_after_the_end(
    new_installation: NewInstallation, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "TRUSTED_SECONDS", 0.0)
    installation = new_installation(engine)
    ours = f"FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE '%{installation.dagster_schema}%'"
    with installation.instance() as instance:
        run(instance)
        with instance.event_log_storage._connect() as connection:  # type: ignore[attr-defined]
            connection.exec_driver_sql(f"SELECT '{installation.dagster_schema}'")
        assert ask(f"SELECT pg_terminate_backend(pid) {ours}") == [(True,)]
        run_id = run(instance)
        assert "Finished execution of run" in told(instance.event_log_storage, run_id)[-1]
        with instance.event_log_storage._connect() as connection:  # type: ignore[attr-defined]
            connection.exec_driver_sql(f"SELECT '{installation.dagster_schema}'")
    wait_until(lambda: ask(f"SELECT COUNT(*) {ours}") == [(0,)], 10, "the connection is closed")


@ON_POSTGRES_ONLY
def test_a_copy_of_the_process_makes_a_connection_of_its_own(new_installation: NewInstallation, engine: str) -> None:
    with new_installation(engine).instance() as instance:
        run_id = run(instance)
        before = told(instance.event_log_storage, run_id)
        copy = os.fork()
        if copy == 0:
            os._exit(0 if told(instance.event_log_storage, run_id) == before else 1)
        assert os.waitpid(copy, 0)[1] == 0
        assert told(instance.event_log_storage, run_id) == before


@ON_POSTGRES_ONLY
def test_the_event_of_an_asset_goes_over_the_connection_that_is_open(
    new_installation: NewInstallation, engine: str
) -> None:
    opened: list[object] = []
    with new_installation(engine).instance() as instance:
        run(instance)
        database = instance.event_log_storage._engine  # type: ignore[attr-defined]
        event.listen(database, "connect", lambda *connection: opened.append(connection))
        run(instance)
        assert not opened
