"""The PostgreSQL of the tests: a real server, given in STUDENT360_TEST_POSTGRES_URL or started from a Python package.

Belongs here: which server, and statements to look at it from outside. Does not belong here: any assertion.
"""

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
    """The URL of the server; the tests that run in parallel share it, each in a schema of its own."""
    given = os.environ.get(GIVEN)
    if given:
        return given
    version = os.environ.get("PGSERVER_POSTGRES_VERSION", "")
    folder = Path(tempfile.gettempdir()) / f"student360-tests-{os.geteuid()}-postgres{version}"
    return str(embedded_server(folder).get_uri())


def server_version() -> str:
    """The server's version, as it says."""
    return str(ask("SELECT current_setting('server_version')")[0][0])


def new_schema() -> str:
    """A name for a schema that nobody uses."""
    return f"t_{uuid4().hex[:16]}"


def ask(statement: str, url: str | None = None) -> list[tuple[Any, ...]]:
    """Run a statement from outside the product, with a connection of its own."""
    with (
        adbc_driver_postgresql.dbapi.connect(url or server_url(), autocommit=True) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def make_schema(schema: str) -> None:
    """An empty schema for what is not the product's: Dagster's own tables."""
    ask(f"CREATE SCHEMA {schema}")


def drop_schema(schema: str) -> None:
    """Remove a test's schema with all that is in it."""
    ask(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


class OwnServer:
    """A server of a test's own, with passwords, that may be stopped."""

    def __init__(self, folder: Path) -> None:
        self._server = embedded_server(folder)
        self.url: str = self._server.get_uri()
        self._socket = self.url.partition("?")[2]
        ask(f"CREATE ROLE district LOGIN PASSWORD '{PASSWORD}'", self.url)
        ask("CREATE ROLE visitor LOGIN PASSWORD 'visitor'", self.url)
        ask("CREATE DATABASE student360 OWNER district", self.url)
        ask("CREATE DATABASE western ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0 OWNER district", self.url)
        (folder / "pg_hba.conf").write_text("local all postgres trust\nlocal all all scram-sha-256\n")
        self.control("reload")

    def as_user(self, user: str, password: str = "", database: str = "student360") -> str:
        return f"postgresql://{user}:{password}@/{database}?{self._socket}"

    def own(self, folder: Path) -> None:
        """Give a folder to the server's user."""
        shutil.chown(folder, self._server.system_user)

    def control(self, *action: str) -> None:
        """pg_ctl with an action."""
        tool = self._server.bin_path / "pg_ctl"
        options = ["-o", f"-h '' -k {self._server.pgdata}"] if action[0] in ("start", "restart") else []
        command = [str(tool), "-D", str(self._server.pgdata), "-w", "-s", "-l", "/dev/null", *options, *action]
        user = self._server.system_user
        subprocess.run(["runuser", "-u", user, "--", *command] if user else command, check=True)


@contextmanager
def throw_away_server() -> Iterator[OwnServer]:
    """A server of one's own until the end of the block, in a short path: sockets have a limit."""
    folder = Path(tempfile.mkdtemp(prefix="student360-own-"))
    folder.chmod(0o711)
    try:
        yield OwnServer(folder / "pg")
    finally:
        subprocess.run(["pkill", "-INT", "-f", f"postgres -D {folder}"], check=False)
        shutil.rmtree(folder, ignore_errors=True)
