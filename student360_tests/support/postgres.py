"""The PostgreSQL server of the tests: given in STUDENT360_TEST_POSTGRES_URL, or started from a Python package."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import adbc_driver_postgresql.dbapi

from student360.warehouse.embedded_postgres import embedded_server

GIVEN = "STUDENT360_TEST_POSTGRES_URL"
PASSWORD = "s3cret/p@ss word"


@cache
def server_url() -> str:
    """Return the URL of the server. Tests that run in parallel share it; each uses a separate schema."""
    given = os.environ.get(GIVEN)
    if given:
        return given
    version = os.environ.get("PGSERVER_POSTGRES_VERSION", "")
    folder = Path(tempfile.gettempdir()) / f"student360-tests-{os.geteuid()}-postgres{version}"
    return str(embedded_server(folder).get_uri())


def server_version() -> str:
    """Return the version of the server."""
    return str(run_sql("SELECT current_setting('server_version')")[0][0])


def new_schema() -> str:
    """Return an unused schema name."""
    return f"t_{uuid4().hex[:16]}"


def run_sql(statement: str, url: str | None = None) -> list[tuple[Any, ...]]:
    """Run a statement on a separate connection, without the code of the product. Returns all rows."""
    with (
        adbc_driver_postgresql.dbapi.connect(url or server_url(), autocommit=True) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def create_schema(schema: str) -> None:
    """Create an empty schema, for Dagster's tables."""
    run_sql(f"CREATE SCHEMA {schema}")


def drop_schema(schema: str) -> None:
    """Drop a schema with everything in it."""
    run_sql(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


class OwnServer:
    """A separate server with password authentication that a test may stop."""

    def __init__(self, folder: Path) -> None:
        self._server = embedded_server(folder)
        self.url: str = self._server.get_uri()
        self._socket = self.url.partition("?")[2]
        run_sql(f"CREATE ROLE district LOGIN PASSWORD '{PASSWORD}'", self.url)
        run_sql("CREATE ROLE visitor LOGIN PASSWORD 'visitor'", self.url)
        run_sql("CREATE DATABASE student360 OWNER district", self.url)
        run_sql("CREATE DATABASE western ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0 OWNER district", self.url)
        (folder / "pg_hba.conf").write_text("local all postgres trust\nlocal all all scram-sha-256\n")
        self.control("reload")

    def as_user(self, user: str, password: str = "", database: str = "student360") -> str:
        return f"postgresql://{user}:{password}@/{database}?{self._socket}"

    def own(self, folder: Path) -> None:
        """Make the server's user the owner of a folder."""
        shutil.chown(folder, self._server.system_user)

    def control(self, *action: str) -> None:
        """Run pg_ctl with an action."""
        tool = self._server.bin_path / "pg_ctl"
        options = ["-o", f"-h '' -k {self._server.pgdata}"] if action[0] in ("start", "restart") else []
        command = [str(tool), "-D", str(self._server.pgdata), "-w", "-s", "-l", "/dev/null", *options, *action]
        user = self._server.system_user
        subprocess.run(["runuser", "-u", user, "--", *command] if user else command, check=True)


@contextmanager
def temporary_server() -> Iterator[OwnServer]:
    """Run a separate server until the block ends. Its path is short, because the length of socket paths is limited."""
    folder = Path(tempfile.mkdtemp(prefix="student360-own-"))
    folder.chmod(0o711)
    try:
        yield OwnServer(folder / "pg")
    finally:
        subprocess.run(["pkill", "-INT", "-f", f"postgres -D {folder}"], check=False)
        shutil.rmtree(folder, ignore_errors=True)
