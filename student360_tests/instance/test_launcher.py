"""The run launcher: runs start as copies of a warm process, are monitored by their process and can be terminated."""

import inspect
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest
from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus, DefaultRunLauncher
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.events import EngineEventData
from dagster._core.launcher import WorkerStatus
from dagster._core.test_utils import create_run_for_test
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import serialize_value

from student360.cli.sample import District, write_district
from student360.instance import warm_process
from student360.instance.launcher import OUR_MODULE, WatchedRunLauncher, is_alive, is_ours
from student360.instance.warm_process import NoWarmProcess, WarmProcess
from student360_tests.support.installation import Installation, wait_until

JOB = ReconstructableRepository(ModuleCodePointer(OUR_MODULE, "defs")).get_reconstructable_job("ingest")


@pytest.fixture
def warm(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[WarmProcess]:
    """A warm process of the installation."""
    for name, value in installation.environment.items():
        monkeypatch.setenv(name, value)
    process = WarmProcess()
    yield process
    process.end()


def create_run(instance: DagsterInstance) -> DagsterRun:
    return create_run_for_test(
        instance, job_name="ingest", job_code_origin=JOB.get_python_origin(), status=DagsterRunStatus.STARTING
    )


def start_run(warm: WarmProcess, instance: DagsterInstance) -> tuple[DagsterRun, int]:
    """Start a run of the ingest job and wait until it has recorded its process. Returns the run and the process id."""
    run = create_run(instance)
    arguments = ExecuteRunArgs(job_origin=JOB.get_python_origin(), run_id=run.run_id, instance_ref=instance.get_ref())
    pid = warm.begin(serialize_value(arguments))
    wait_until(lambda: bool(processes_of(instance, run)), 60, "the process id of the run in the event log")
    return run, pid


def processes_of(instance: DagsterInstance, run: DagsterRun) -> list[int]:
    entries = instance.all_logs(run.run_id, of_type=DagsterEventType.ENGINE_EVENT)
    recorded = [entry.get_dagster_event().engine_event_data.metadata.get("pid") for entry in entries]
    return [int(str(value.value)) for value in recorded if value is not None]


def finished(instance: DagsterInstance, run: DagsterRun) -> DagsterRunStatus:
    def status() -> DagsterRunStatus:
        found = instance.get_run_by_id(run.run_id)
        assert found is not None
        return found.status

    wait_until(
        lambda: status() in (DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED),
        120,
        "the end of the run",
    )
    return status()


def test_runs_start_as_copies_of_one_process_and_succeed(
    installation: Installation, warm: WarmProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_district(installation.data / "landing", District(students=20, days=5))
    with installation.instance() as instance:
        first, pid = start_run(warm, instance)
        assert finished(instance, first) is DagsterRunStatus.SUCCESS
        assert installation.warehouse.row_count("dim_students") == 20
        assert processes_of(instance, first)[0] == pid
        before = warm.pid
        second, _ = start_run(warm, instance)
        assert warm.pid == before
        monkeypatch.setattr(warm_process, "newest_change", lambda: 1)
        third, _ = start_run(warm, instance)
        assert warm.pid != before, "the process is replaced after a file of the project has changed"
        psutil.Process(warm.pid).kill()
        wait_until(lambda: warm.is_gone, 10, "the end of the warm process")
        fourth, _ = start_run(warm, instance)
        for run in (second, third, fourth):
            assert finished(instance, run) is DagsterRunStatus.SUCCESS


def test_a_run_can_be_terminated_while_it_waits_for_another_writer(
    installation: Installation, warm: WarmProcess
) -> None:
    write_district(installation.data / "landing", District(students=20, days=5))
    with installation.instance() as instance:
        launcher = WatchedRunLauncher()
        launcher.register_instance(instance)
        with installation.warehouse.transaction():
            run, pid = start_run(warm, instance)
            wait_until(lambda: psutil.Process(pid).cpu_times().user > 0, 30, "CPU time of the run")
            time.sleep(2)
            assert launcher.terminate(run.run_id)
            assert finished(instance, run) is DagsterRunStatus.CANCELED
        assert installation.warehouse.row_count("dim_students") == 0
        assert not launcher.terminate(run.run_id), "there is no process left to terminate"


def test_there_is_no_warm_process_if_the_definitions_cannot_be_loaded(
    warm: WarmProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDENT360_WAREHOUSE_URL", "oracle://nowhere")
    with pytest.raises(NoWarmProcess):
        warm.begin("{}")


def test_runs_of_another_code_location_or_python_do_not_use_the_warm_process() -> None:
    def origin(module: str, python: str) -> DagsterRun:
        repository = ReconstructableRepository(ModuleCodePointer(module, "defs"), executable_path=python)
        with DagsterInstance.ephemeral() as instance:
            job = repository.get_reconstructable_job("ingest").get_python_origin()
            return create_run_for_test(instance, job_name="ingest", job_code_origin=job)

    assert is_ours(origin(OUR_MODULE, sys.executable))
    assert not is_ours(origin("districts.own", sys.executable))
    assert not is_ours(origin(OUR_MODULE, "/usr/bin/python4"))


def test_every_public_method_of_the_launcher_replaces_one_of_dagsters_with_the_same_parameters() -> None:
    """What an upgrade of Dagster may break first: it would no longer call a method that it renamed."""
    replaced = {name: method for name, method in vars(WatchedRunLauncher).items() if not name.startswith("_")}
    assert replaced
    for name, method in replaced.items():
        inherited = getattr(DefaultRunLauncher, name)
        if not isinstance(method, property):
            assert list(inspect.signature(method).parameters) == list(inspect.signature(inherited).parameters), name


def health(pid: int | None) -> WorkerStatus:
    """Return the health of a started run whose recorded process id is `pid`; None: without one."""
    launcher = WatchedRunLauncher()
    assert launcher.supports_check_run_worker_health
    with DagsterInstance.ephemeral() as instance:
        launcher.register_instance(instance)
        run = create_run_for_test(instance, status=DagsterRunStatus.STARTED)
        if pid is not None:
            instance.report_engine_event("Started process for run", run, EngineEventData.in_process(pid))
        return launcher.check_run_worker_health(run).status


def test_a_run_is_healthy_as_long_as_its_process_exists() -> None:
    assert health(os.getpid()) is WorkerStatus.RUNNING
    gone = subprocess.Popen(["true"])
    time.sleep(0.2)
    assert health(gone.pid) is WorkerStatus.FAILED, (
        "a zombie: the process has ended, but its exit code was not read yet"
    )
    gone.wait()
    assert health(gone.pid) is WorkerStatus.FAILED


def test_a_run_without_a_recorded_process_counts_as_running() -> None:
    assert health(None) is WorkerStatus.RUNNING


def test_another_process_with_the_same_id_is_not_the_run() -> None:
    assert is_alive(os.getpid(), time.time())
    assert not is_alive(os.getpid(), time.time() - 10 * 24 * 3600)
