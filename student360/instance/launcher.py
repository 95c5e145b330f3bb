"""A run launcher for one machine that starts runs in a fraction of a second and checks whether their processes exist.

A run of this project's definitions starts as a fork of a process that has them loaded (`warm_process.py`). Other runs,
and all runs if that process is not available, start as with Dagster's own launcher.

Dagster's own launcher has no health check: a run whose process died with the machine would count as running until
`max_runtime_seconds`, and its files would wait as long. With this launcher, run monitoring (`dagster.yaml`) detects
such a run within seconds and retries it. The health check looks at processes and does not ask the code server, because
a code server that had a full disk keeps reporting runs that no longer exist. A wrong result is safe: a run that
continues although it was declared failed waits for the warehouse's lock.
"""

import logging
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from functools import cached_property

import psutil
from dagster import DagsterEventType, DagsterInstance, DagsterRun, DefaultRunLauncher
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import serialize_value

from student360.instance.warm_process import NoWarmProcess, WarmProcess
from student360.warehouse.warehouse import keep_connections_open

CLOCK_SECONDS = 2.0
ENDS_WITHIN_SECONDS = 60.0
OUR_MODULE = "student360.definitions"
log = logging.getLogger(__name__)


class WatchedRunLauncher(DefaultRunLauncher):
    """Dagster's launcher for one machine, with a warm start and the health check that run monitoring uses."""

    @cached_property
    def _warm_process(self) -> WarmProcess:
        return WarmProcess()

    def register_instance(self, instance: DagsterInstance) -> None:
        """Keep the instance's connections open: the process that requests runs writes what they plan to do."""
        super().register_instance(instance)
        keep_connections_open(instance)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Start a run in a separate process."""
        run = context.dagster_run
        if is_ours(run):
            arguments = ExecuteRunArgs(
                job_origin=run.job_code_origin,  # type: ignore[arg-type]
                run_id=run.run_id,
                instance_ref=self._instance.get_ref(),
            )
            try:
                self._warm_process.begin(serialize_value(arguments))
            except NoWarmProcess as problem:
                log.warning("run %s starts without the warm process: %s", run.run_id, problem)
            else:
                return
        super().launch_run(context)

    def terminate(self, run_id: str) -> bool:
        """Interrupt a run with SIGINT. The run logs the interrupt and ends. Return whether there was a run to end."""
        run = self._instance.get_run_by_id(run_id)
        process = self._process_of(run) if run is not None and not run.is_finished else None
        if run is None or process is None or not is_alive(*process):
            return bool(super().terminate(run_id))  # type: ignore[no-untyped-call]
        self._instance.report_run_canceling(run)
        threading.Thread(target=self._interrupt, args=process, daemon=True).start()
        return True

    def _interrupt(self, pid: int, at: float) -> None:
        """Send SIGINT until the process ends: a database driver that waits for its server swallows the first one."""
        deadline = time.monotonic() + ENDS_WITHIN_SECONDS
        while is_alive(pid, at) and time.monotonic() < deadline:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)
            time.sleep(CLOCK_SECONDS)

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Check whether the process that the run logged still exists. A run that logged no process counts as alive."""
        process = self._process_of(run)
        if process is None or is_alive(*process):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, f"process {process[0]} no longer exists")

    def _process_of(self, run: DagsterRun) -> tuple[int, float] | None:
        """Return the pid that the run logged and the time of that log entry; None if it logged none yet."""
        for entry in self._instance.all_logs(run.run_id, of_type=DagsterEventType.ENGINE_EVENT):
            event = entry.dagster_event
            pid = event.engine_event_data.metadata.get("pid") if event else None
            if pid is not None:
                return int(str(pid.value)), entry.timestamp
        return None


def is_ours(run: DagsterRun) -> bool:
    """Return whether a run is of this project's definitions and this Python interpreter."""
    origin = run.job_code_origin.repository_origin if run.job_code_origin else None
    if origin is None or origin.executable_path != sys.executable:
        return False
    pointer = origin.code_pointer
    return isinstance(pointer, ModuleCodePointer) and pointer.module == OUR_MODULE


def is_alive(pid: int, at: float) -> bool:
    """Return whether the process that had a pid at a time still exists. One that started later reused the pid."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= at + CLOCK_SECONDS
    except psutil.NoSuchProcess:
        return False
