"""A Student 360 installation for tests and measurements: separate folders, warehouse and Dagster processes."""

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
from student360_tests.support.postgres import create_schema, drop_schema, new_schema, server_url


@dataclass
class Installation:
    """The folders of an installation and its warehouse: SQLite in the data folder, or a schema of PostgreSQL."""

    root: Path
    postgres_url: str = ""
    schema: str = ""

    @property
    def engine(self) -> str:
        return "postgres" if self.postgres_url else "sqlite"

    @property
    def dagster_schema(self) -> str:
        """The PostgreSQL schema of Dagster's tables."""
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
        """Create the folders, and the Dagster home with its dagster.yaml."""
        for folder in (self.data / "landing", self.dagster_home):
            make_private(folder)
        configuration = "dagster.postgres.yaml" if self.postgres_url else "dagster.yaml"
        shutil.copy(PROJECT / configuration, self.dagster_home / "dagster.yaml")

    @contextmanager
    def instance(self) -> Iterator[DagsterInstance]:
        """Open the Dagster instance of this installation until the block ends."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            with DagsterInstance.from_config(str(self.dagster_home)) as instance:
                yield instance

    def drop(self, name: str, content: bytes) -> Path:
        """Write a file under a temporary name and rename it into landing, as producers should. Returns its path."""
        part = self.data / "landing" / f"{name}.part"
        try:
            part.write_bytes(content)
            return part.rename(self.data / "landing" / name)
        except OSError:
            part.unlink(missing_ok=True)
            raise

    @contextmanager
    def running(self, *command: str) -> Iterator[None]:
        """Run a command of this installation until the block ends, then stop its process group."""
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
        """Run the daemon, with its code server, until the block ends."""
        return self.running("dagster-daemon", "run", "-w", str(PROJECT / "workspace.yaml"))


def create_installation(engine: str, root: Path) -> Installation:
    """Create an empty installation in a folder, on SQLite or in new schemas of the tests' PostgreSQL server."""
    installation = Installation(root, server_url(), new_schema()) if engine == "postgres" else Installation(root)
    installation.prepare()
    if installation.schema:
        create_schema(installation.dagster_schema)
    return installation


def remove_schemas(installation: Installation) -> None:
    """Drop the schemas of an installation in PostgreSQL. Its folder is kept."""
    if installation.schema:
        drop_schema(installation.schema)
        drop_schema(installation.dagster_schema)


def dagster_storage(url: str, schema: str) -> dict[str, str]:
    """Return the environment variables of dagster.postgres.yaml, and those of libpq for the socket and the schema."""
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
    """Wait until a condition is true. Returns the seconds waited.

    Raises TimeoutError, naming `what`, if it is not true within the given seconds.
    """
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > seconds:
            raise TimeoutError(f"not reached within {seconds:.0f} s: {what}")
        time.sleep(every)
    return time.monotonic() - start


def free_port() -> int:
    """Return an unused port of the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def peak_memory() -> float:
    """Return the peak resident memory of this process in MB.

    `getrusage` is not used: on Linux its figure includes that of the process that started this one.
    """
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]
