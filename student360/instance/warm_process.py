"""A process that has all of Student 360 loaded, and begins each run as a copy of itself (`os.fork`).

Belongs here: that process, and the handle by which the launcher asks it. Does not belong here: which runs begin so
(`launcher.py`). To import Dagster, pandas and our definitions takes 2 to 3 s of each run, as long as loading a day's
file does; a copy begins in 0.2 s. The process has one thread and no open connection, so that a copy of it is as good as
a new one; it is made anew when a file of the project has changed.

    lines in: the arguments of `dagster api execute_run`; lines out: `ready`, then for each line in the pid of the run
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
    """There is none that answers: the run must begin in another way."""


class WarmProcess:
    """The handle of the process; it is begun by the first run that asks. Safe for use by several threads."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._code = 0
        self._lock = threading.Lock()

    def begin(self, arguments: str) -> int:
        """Begin a run; returns the number of its process. Raises NoWarmProcess."""
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
            raise ValueError("it could not load the definitions")

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
        """The number of the process; 0 before the first run."""
        return self._process.pid if self._process is not None else 0

    @property
    def is_gone(self) -> bool:
        """Whether it ended on its own account."""
        return self._process is not None and self._process.poll() is not None

    def end(self) -> None:
        """End it. Runs that it began go on: they are processes of their own."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def newest_change() -> int:
    """When a file of the project was last changed (nanoseconds), or how many there are, as one number."""
    times = [
        path.stat().st_mtime_ns
        for folder in (PROJECT / "student360", SQL)
        for kind in WATCHED
        for path in folder.rglob(kind)
    ]
    return max(times, default=0) + len(times)


def serve() -> None:
    """Load everything, look once at what each run would, then begin a run for each line, until the launcher is gone.

    Nothing stays open of what was looked at: Dagster's storage and the warehouse, which may be away.
    """
    from dagster import DagsterInstance
    from dagster._cli.api import execute_run_command

    from student360 import definitions
    from student360.settings import load_settings
    from student360.warehouse.errors import WarehouseError
    from student360.warehouse.transaction import engine_for

    definitions.defs.get_repository_def().get_all_jobs()
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
    """The copy lets go of what belongs to the process that it was copied from."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, sys.stdin.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())


if __name__ == "__main__":
    serve()
