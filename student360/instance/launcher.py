"""Starts runs on one machine within a fraction of a second, and can tell whether a run is still alive.

Belongs here: how a run begins and ends, and that answer. A run of our definitions begins as a copy of a process that
has them loaded (`warm_process.py`); any other, or where there is none, as Dagster begins it. Does not belong here: what
makes it safe to be wrong about a run: one that lives on although it was given up waits for the warehouse's lock.

Dagster's own launcher cannot tell who is alive: a run whose process died with the machine would count as running
until `max_runtime_seconds`, and its files would wait as long. With this, run monitoring (`dagster.yaml`) finds such a
run within seconds and has it tried again. The code server is not asked: one that met a full disk goes on to believe in
runs that are gone.
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
from dagster import DagsterEventType, DagsterRun, DefaultRunLauncher
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import serialize_value

from student360.instance.warm_process import NoWarmProcess, WarmProcess

CLOCK_SECONDS = 2.0
ENDS_WITHIN_SECONDS = 60.0
OUR_MODULE = "student360.definitions"
log = logging.getLogger(__name__)


class WatchedRunLauncher(DefaultRunLauncher):
    """Dagster's launcher for one machine, with a warm start and the health check that run monitoring asks for."""

    @cached_property
    def _warm_process(self) -> WarmProcess:
        return WarmProcess()

    def launch_run(self, context: LaunchRunContext) -> None:
        """Begin a run in a process of its own."""
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
                log.warning("run %s begins as Dagster begins it: %s", run.run_id, problem)
            else:
                return
        super().launch_run(context)

    def terminate(self, run_id: str) -> bool:
        """Interrupt a run, as Ctrl-C would: it says so in its log and ends. Returns whether there was one to end."""
        run = self._instance.get_run_by_id(run_id)
        said = self._process_of(run) if run is not None and not run.is_finished else None
        if run is None or said is None or not is_alive(*said):
            return bool(super().terminate(run_id))  # type: ignore[no-untyped-call]
        self._instance.report_run_canceling(run)
        threading.Thread(target=self._interrupt, args=said, daemon=True).start()
        return True

    def _interrupt(self, pid: int, at: float) -> None:
        """Ask until it ends: a database driver that waits for its server keeps the first interrupt to itself."""
        deadline = time.monotonic() + ENDS_WITHIN_SECONDS
        while is_alive(pid, at) and time.monotonic() < deadline:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)
            time.sleep(CLOCK_SECONDS)

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Whether the process that the run said it has is there; a run that said nothing counts as alive."""
        said = self._process_of(run)
        if said is None or is_alive(*said):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, f"process {said[0]} is gone")

    def _process_of(self, run: DagsterRun) -> tuple[int, float] | None:
        """The number of the run's process, and when the run said so."""
        for entry in self._instance.all_logs(run.run_id, of_type=DagsterEventType.ENGINE_EVENT):
            event = entry.dagster_event
            pid = event.engine_event_data.metadata.get("pid") if event else None
            if pid is not None:
                return int(str(pid.value)), entry.timestamp
        return None


def is_ours(run: DagsterRun) -> bool:
    """Whether a run is of our definitions and of this Python: one of another code location begins as ever."""
    origin = run.job_code_origin.repository_origin if run.job_code_origin else None
    if origin is None or origin.executable_path != sys.executable:
        return False
    pointer = origin.code_pointer
    return isinstance(pointer, ModuleCodePointer) and pointer.module == OUR_MODULE


def is_alive(pid: int, at: float) -> bool:
    """Whether a process that was there at some time still is: another one of that number began later."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= at + CLOCK_SECONDS
    except psutil.NoSuchProcess:
        return False
