"""Dagster's event log with files that stay open is Dagster's event log."""

from pathlib import Path

import psutil
import pytest
from dagster import DagsterInstance, Definitions, RunsFilter, asset
from dagster._core.storage.event_log import EventLogStorage, SqliteEventLogStorage

from student360 import event_log
from student360.event_log import LastingSqliteEventLogStorage
from student360_tests.running import House


@asset
def anything() -> None: ...


JOB = Definitions(assets=[anything]).resolve_implicit_global_asset_job_def()


def run(instance: DagsterInstance) -> str:
    return JOB.execute_in_process(instance=instance).run_id


def told(storage: EventLogStorage, run_id: str) -> list[str]:
    return [entry.user_message for entry in storage.get_logs_for_run(run_id)]


@pytest.fixture
def house(tmp_path: Path) -> House:
    installation = House(tmp_path)
    installation.prepare()
    return installation


def test_dagsters_own_storage_reads_the_same_events_from_the_same_files(house: House) -> None:
    with house.instance() as instance:
        assert isinstance(instance.event_log_storage, LastingSqliteEventLogStorage)
        runs = [run(instance) for _ in range(event_log.OPEN_FILES + 2)]
        plain = SqliteEventLogStorage(str(house.dagster_home / "history" / "runs"))
        for run_id in runs:
            assert told(instance.event_log_storage, run_id) == told(plain, run_id)
            assert len(told(plain, run_id)) > 5
        assert instance.get_latest_materialization_event(anything.key) is not None


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
