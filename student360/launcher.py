"""Starts runs as Dagster does on one machine, and can also tell whether a run is still alive.

Belongs here: that answer. Dagster's own launcher has none, so a run whose process died with the machine would count as
running until `max_runtime_seconds`, and its files would wait as long. With it, run monitoring (`dagster.yaml`) finds
such a run within seconds after the restart and has it tried again. Does not belong here: what makes it safe to be
wrong about it: a run that lives on although it was given up waits for the warehouse's lock like any other.
"""

from dagster import DagsterRun, DefaultRunLauncher
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import deserialize_value

ANSWER_SECONDS = 10


class WatchedRunLauncher(DefaultRunLauncher):
    """Dagster's launcher for one machine, with the health check that run monitoring asks for."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Whether the code server that started the run still has it. One from the command line counts as alive."""
        server: DagsterGrpcClient | None = self._get_grpc_client_for_termination(run.run_id)  # type: ignore[no-untyped-call]
        if server is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        question = CanCancelExecutionRequest(run_id=run.run_id)
        try:
            answer = deserialize_value(
                server.can_cancel_execution(question, timeout=ANSWER_SECONDS), CanCancelExecutionResult
            )
        except DagsterUserCodeUnreachableError:
            return CheckRunHealthResult(WorkerStatus.FAILED, "the code server that started it is gone")
        if answer.can_cancel:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, "its process is gone")
