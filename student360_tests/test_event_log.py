"""Dagster's storage with files and connections that stay open is Dagster's storage."""

import os
from pathlib import Path

import psutil
import pytest
from dagster import AssetKey, AssetObservation, DagsterInstance, Definitions, EventLogRecord, RunsFilter, asset
from dagster._core.storage.event_log import EventLogStorage, SqliteEventLogStorage
from dagster_postgres import PostgresEventLogStorage
from sqlalchemy import event

from student360 import event_log
from student360.event_log import LastingSqliteEventLogStorage
from student360_tests.conftest import ON_POSTGRES_ONLY, NewHouse
from student360_tests.postgres import ask
from student360_tests.running import House, wait_until


@asset
def anything() -> None: ...


@asset
def wiped() -> None: ...


JOB = Definitions(assets=[anything]).resolve_implicit_global_asset_job_def()
TWO_ASSETS = Definitions(assets=[anything, wiped]).resolve_implicit_global_asset_job_def()


def run(instance: DagsterInstance) -> str:
    return JOB.execute_in_process(instance=instance).run_id


def told(storage: EventLogStorage, run_id: str) -> list[str]:
    return [entry.user_message for entry in storage.get_logs_for_run(run_id)]


def dagsters_own(storage: EventLogStorage, house: House) -> EventLogStorage:
    """The storage that Dagster itself has for the same files or tables."""
    if isinstance(storage, PostgresEventLogStorage):
        return PostgresEventLogStorage(storage.postgres_url)
    return SqliteEventLogStorage(str(house.dagster_home / "history" / "runs"))


@pytest.fixture
def house(tmp_path: Path) -> House:
    installation = House(tmp_path)
    installation.prepare()
    return installation


def test_dagsters_own_storage_reads_the_same_events_from_the_same_files(house: House) -> None:
    with house.instance() as instance:
        assert isinstance(instance.event_log_storage, LastingSqliteEventLogStorage)
        runs = [run(instance) for _ in range(event_log.OPEN_FILES + 2)]
        plain = dagsters_own(instance.event_log_storage, house)
        for run_id in runs:
            assert told(instance.event_log_storage, run_id) == told(plain, run_id)
            assert len(told(plain, run_id)) > 5
        assert instance.get_latest_materialization_event(anything.key) is not None


def test_the_last_materialisation_of_an_asset_is_the_one_that_dagsters_own_storage_finds(
    new_house: NewHouse, engine: str
) -> None:
    keys = [anything.key, wiped.key, AssetKey("never_seen")]
    house = new_house(engine)
    with house.instance() as instance:
        storage = instance.event_log_storage
        plain = dagsters_own(storage, house)

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


def test_no_more_files_stay_open_than_it_says_and_none_after_the_end(house: House) -> None:
    def open_files() -> int:
        files = {file.path for file in psutil.Process().open_files()}
        return len({file for file in files if file.startswith(str(house.dagster_home)) and file.endswith(".db")})

    with house.instance() as instance:
        for _ in range(2 * event_log.OPEN_FILES):
            run(instance)
        assert 1 < open_files() <= event_log.OPEN_FILES
    assert open_files() == 0


def test_a_run_that_is_deleted_is_gone_and_another_process_may_have_done_it(house: House) -> None:
    with house.instance() as instance, house.instance() as other:
        run_id = run(instance)
        other.delete_run(run_id)
        assert told(instance.event_log_storage, run_id) == []
        assert not instance.get_run_records(RunsFilter(run_ids=[run_id]))


@ON_POSTGRES_ONLY
def test_dagsters_own_storage_reads_the_same_events_from_the_same_tables(new_house: NewHouse, engine: str) -> None:
    house = new_house(engine)
    with house.instance() as instance:
        assert isinstance(instance.event_log_storage, PostgresEventLogStorage)
        run_id = run(instance)
        plain = dagsters_own(instance.event_log_storage, house)
        assert told(instance.event_log_storage, run_id) == told(plain, run_id)
        assert len(told(plain, run_id)) > 5


@ON_POSTGRES_ONLY
def test_a_connection_that_the_server_closed_is_made_again_and_none_stays_after_the_end(
    new_house: NewHouse, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "TRUSTED_SECONDS", 0.0)
    house = new_house(engine)
    ours = f"FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE '%{house.dagster_schema}%'"
    with house.instance() as instance:
        run(instance)
        with instance.event_log_storage._connect() as connection:  # type: ignore[attr-defined]
            connection.exec_driver_sql(f"SELECT '{house.dagster_schema}'")
        assert ask(f"SELECT pg_terminate_backend(pid) {ours}") == [(True,)]
        run_id = run(instance)
        assert "Finished execution of run" in told(instance.event_log_storage, run_id)[-1]
        with instance.event_log_storage._connect() as connection:  # type: ignore[attr-defined]
            connection.exec_driver_sql(f"SELECT '{house.dagster_schema}'")
    wait_until(lambda: ask(f"SELECT COUNT(*) {ours}") == [(0,)], 10, "the connection is closed")


@ON_POSTGRES_ONLY
def test_a_copy_of_the_process_makes_a_connection_of_its_own(new_house: NewHouse, engine: str) -> None:
    with new_house(engine).instance() as instance:
        run_id = run(instance)
        before = told(instance.event_log_storage, run_id)
        copy = os.fork()
        if copy == 0:
            os._exit(0 if told(instance.event_log_storage, run_id) == before else 1)
        assert os.waitpid(copy, 0)[1] == 0
        assert told(instance.event_log_storage, run_id) == before


@ON_POSTGRES_ONLY
def test_the_event_of_an_asset_goes_over_the_connection_that_is_open(new_house: NewHouse, engine: str) -> None:
    opened: list[object] = []
    with new_house(engine).instance() as instance:
        run(instance)
        database = instance.event_log_storage._engine  # type: ignore[attr-defined]
        event.listen(database, "connect", lambda *connection: opened.append(connection))
        run(instance)
        assert not opened
