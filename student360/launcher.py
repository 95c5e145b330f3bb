"""Starts runs as Dagster does on one machine, and can also tell whether a run is still alive.

Belongs here: that answer. Dagster's own launcher has none, so a run whose process died with the machine would count as
running until `max_runtime_seconds`, and its files would wait as long. With it, run monitoring (`dagster.yaml`) finds
such a run within seconds and has it tried again. Does not belong here: what makes it safe to be wrong about it: a run
that lives on although it was given up waits for the warehouse's lock like any other.

The code server that started a run is not asked: one that met a full disk goes on to believe in runs that are gone.
"""

import psutil
from dagster import DagsterEventType, DagsterRun, DefaultRunLauncher
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus

CLOCK_SECONDS = 2.0


class WatchedRunLauncher(DefaultRunLauncher):
    """Dagster's launcher for one machine, with the health check that run monitoring asks for."""

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


def is_alive(pid: int, at: float) -> bool:
    """Whether a process that was there at some time still is: another one of that number began later."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= at + CLOCK_SECONDS
    except psutil.NoSuchProcess:
        return False
