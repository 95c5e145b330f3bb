"""The warm process: has all of Student 360 imported and starts each run as a fork of itself (`os.fork`).

Contains the process and the launcher's handle to it; not the choice of runs that start this way (see `launcher.py`).
Importing Dagster, pandas and the definitions takes 2 to 3 s of each run, as long as loading a day's file; a fork starts
in 0.2 s. The process has one thread and no open connection, so that forking it is safe. It is replaced when a file of
the project changes.

    lines in: the arguments of `dagster api execute_run`; lines out: `ready`, then the pid of the run for each line in
"""

import gc
import os
import select
import signal
import subprocess
import sys
import threading
from contextlib import suppress

from student360.settings import PROJECT, SQL

STARTS_WITHIN_SECONDS = 60.0
WATCHED = ("*.py", "*.sql")


class NoWarmProcess(Exception):
    """The warm process does not answer. The run must be started without it."""


class WarmProcess:
    """The handle of the warm process, which the first run starts. Thread-safe."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._code = 0
        self._lock = threading.Lock()

    def begin(self, arguments: str) -> int:
        """Start a run and return its pid. Raises NoWarmProcess."""
        with self._lock:
            code = newest_change()
            if self._process is not None and (code != self._code or self.is_gone):
                self.end()
            try:
                if self._process is None:
                    self._start(code)
                return int(self._ask(arguments.encode()))
            except (OSError, ValueError) as problem:
                self.end()
                raise NoWarmProcess(str(problem)) from problem

    def _start(self, code: int) -> None:
        command = [sys.executable, "-m", __name__]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self._code = code
        if self._answer() != b"ready":
            raise ValueError("the warm process could not load the definitions")

    def _ask(self, line: bytes) -> bytes:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")
        return self._answer()

    def _answer(self) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        answered, _, _ = select.select([self._process.stdout], [], [], STARTS_WITHIN_SECONDS)
        return self._process.stdout.readline().strip() if answered else b""

    @property
    def pid(self) -> int:
        """The pid of the warm process; 0 before the first run."""
        return self._process.pid if self._process is not None else 0

    @property
    def is_gone(self) -> bool:
        """Whether the process ended without a call of `end`."""
        return self._process is not None and self._process.poll() is not None

    def end(self) -> None:
        """Kill the warm process. Runs that it started are separate processes and continue."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def newest_change() -> int:
    """Return a number that changes when a file of the project is changed, added or removed.

    It is the newest modification time (nanoseconds) plus the number of files.
    """
    times = [
        path.stat().st_mtime_ns
        for folder in (PROJECT / "student360", SQL)
        for kind in WATCHED
        for path in folder.rglob(kind)
    ]
    return max(times, default=0) + len(times)


def serve() -> None:
    """Import everything, warm up, then start a run for each input line, until the launcher closes the pipe.

    The warm-up opens and closes what each run uses: Dagster's storage, and the warehouse, which may be unavailable.
    """
    from dagster import DagsterInstance
    from dagster._cli.api import execute_run_command

    from student360 import definitions
    from student360.settings import load_settings
    from student360.warehouse.errors import WarehouseError
    from student360.warehouse.scripts import compile_all
    from student360.warehouse.transaction import engine_for

    definitions.defs.get_repository_def().get_all_jobs()
    compile_all()
    with DagsterInstance.get():
        pass
    with suppress(WarehouseError):
        engine_for(load_settings().warehouse_url).connect().close()
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("ready", flush=True)
    while line := sys.stdin.buffer.readline():
        pid = os.fork()
        if pid == 0:
            _become_a_run()
            execute_run_command.main([line.decode().strip()])
        print(pid, flush=True)


def _become_a_run() -> None:
    """Detach a fork from the pipes and signal handlers of the warm process."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, sys.stdin.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        serve()
