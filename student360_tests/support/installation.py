"""A real, running Student 360 for tests and measurements: its own folders, daemon and sensor.

Belongs here: starting and stopping the real processes. Does not belong here: any assertion.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from dagster import DagsterInstance
from sqlalchemy import make_url

from student360.ingest.files import make_private
from student360.settings import PROJECT, load_settings
from student360.warehouse.warehouse import Warehouse
from student360_tests.support.postgres import drop_schema, make_schema, new_schema, server_url


@dataclass
class Installation:
    """The folders of an installation and its warehouse: SQLite in its own folder, or a schema of PostgreSQL."""

    root: Path
    postgres_url: str = ""
    schema: str = ""

    @property
    def engine(self) -> str:
        return "postgres" if self.postgres_url else "sqlite"

    @property
    def dagster_schema(self) -> str:
        """Where Dagster's own tables are when it is on PostgreSQL too."""
        return f"{self.schema}_dagster"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def dagster_home(self) -> Path:
        return self.root / "dagster"

    @property
    def log(self) -> Path:
        return self.root / "log.txt"

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse(url=load_settings(self.environment).warehouse_url)

    @property
    def environment(self) -> dict[str, str]:
        own = {"STUDENT360_DATA_DIR": str(self.data), "DAGSTER_HOME": str(self.dagster_home)}
        if self.postgres_url:
            own |= {"STUDENT360_WAREHOUSE_URL": self.postgres_url, "STUDENT360_WAREHOUSE_SCHEMA": self.schema}
            own |= dagster_storage(self.postgres_url, self.dagster_schema)
        return {name: value for name, value in os.environ.items() if not name.startswith("STUDENT360_")} | own

    def prepare(self) -> None:
        """Make the folders and the Dagster home."""
        for folder in (self.data / "landing", self.dagster_home):
            make_private(folder)
        ready = "dagster.postgres.yaml" if self.postgres_url else "dagster.yaml"
        shutil.copy(PROJECT / ready, self.dagster_home / "dagster.yaml")

    @contextmanager
    def instance(self) -> Iterator[DagsterInstance]:
        """What Dagster knows of this installation, for looking at from outside."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            with DagsterInstance.from_config(str(self.dagster_home)) as instance:
                yield instance

    def drop(self, name: str, content: bytes) -> Path:
        """Put a file into landing the way that producers are told to: write aside, then rename."""
        part = self.data / "landing" / f"{name}.part"
        try:
            part.write_bytes(content)
            return part.rename(self.data / "landing" / name)
        except OSError:
            part.unlink(missing_ok=True)
            raise

    @contextmanager
    def running(self, *command: str) -> Iterator[None]:
        """Run a Dagster command of this installation until the block ends, then stop its whole process group."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [str(Path(sys.executable).parent / command[0]), *command[1:]],
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.root,
            )
            try:
                yield
            finally:
                os.killpg(process.pid, signal.SIGINT)
                try:
                    process.wait(timeout=30)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()

    def daemon(self) -> AbstractContextManager[None]:
        """The daemon with its own code server."""
        return self.running("dagster-daemon", "run", "-w", str(PROJECT / "workspace.yaml"))


def create_installation(engine: str, root: Path) -> Installation:
    """An empty installation in a folder, on SQLite or in schemas of its own of the tests' PostgreSQL."""
    installation = Installation(root, server_url(), new_schema()) if engine == "postgres" else Installation(root)
    installation.prepare()
    if installation.schema:
        make_schema(installation.dagster_schema)
    return installation


def remove_schemas(installation: Installation) -> None:
    """Remove what an installation has in PostgreSQL; its folder is left."""
    if installation.schema:
        drop_schema(installation.schema)
        drop_schema(installation.dagster_schema)


def dagster_storage(url: str, schema: str) -> dict[str, str]:
    """The variables of dagster.postgres.yaml for a server, and libpq's own for its socket and a schema for the test."""
    login = make_url(url)
    socket = login.query.get("host")
    return {
        "DAGSTER_PG_HOST": login.host or "",
        "DAGSTER_PG_PORT": str(login.port or 5432),
        "DAGSTER_PG_DATABASE": login.database or "",
        "DAGSTER_PG_USER": login.username or "",
        "DAGSTER_PG_PASSWORD": login.password or "",
        "PGOPTIONS": f"-c search_path={schema}",
        **({"PGHOST": str(socket)} if socket else {}),
    }


def wait_until(condition: Callable[[], bool], seconds: float, what: str, every: float = 0.2) -> float:
    """Wait until something is true; returns how long it took. Raises TimeoutError saying what did not come."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > seconds:
            raise TimeoutError(f"not within {seconds:.0f} s: {what}")
        time.sleep(every)
    return time.monotonic() - start


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def peak_memory() -> float:
    """The most resident memory that this process has had so far, in megabytes.

    Not `getrusage`: on Linux its figure includes that of the process that started this one.
    """
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]
