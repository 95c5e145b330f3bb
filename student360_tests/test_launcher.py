"""A run is alive as long as its process is, whatever a code server believes."""

import os
import subprocess
import time

from dagster import DagsterInstance, DagsterRunStatus
from dagster._core.events import EngineEventData
from dagster._core.launcher import WorkerStatus
from dagster._core.test_utils import create_run_for_test

from student360.launcher import WatchedRunLauncher, is_alive


def health(pid: int | None) -> WorkerStatus:
    """Of a started run that said that it is in this process."""
    launcher = WatchedRunLauncher()
    assert launcher.supports_check_run_worker_health
    with DagsterInstance.ephemeral() as instance:
        launcher.register_instance(instance)
        run = create_run_for_test(instance, status=DagsterRunStatus.STARTED)
        if pid is not None:
            instance.report_engine_event("Started process for run", run, EngineEventData.in_process(pid))
        return launcher.check_run_worker_health(run).status


def test_a_run_whose_process_is_there_is_alive_and_one_whose_process_is_gone_is_not() -> None:
    assert health(os.getpid()) is WorkerStatus.RUNNING
    gone = subprocess.Popen(["true"])
    time.sleep(0.2)
    assert health(gone.pid) is WorkerStatus.FAILED, "ended, and nobody has asked for its exit code yet"
    gone.wait()
    assert health(gone.pid) is WorkerStatus.FAILED


def test_a_run_that_said_nothing_of_a_process_counts_as_alive() -> None:
    assert health(None) is WorkerStatus.RUNNING


def test_another_process_of_the_same_number_is_not_the_run() -> None:
    assert is_alive(os.getpid(), time.time())
    assert not is_alive(os.getpid(), time.time() - 10 * 24 * 3600)
