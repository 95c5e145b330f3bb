"""The PostgreSQL of the tests: a real server, given in STUDENT360_TEST_POSTGRES_URL or started from a Python package.

Belongs here: which server, and statements to look at it from outside. Does not belong here: any assertion.
"""

import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import adbc_driver_postgresql.dbapi

from student360.embedded_postgres import embedded_server

GIVEN = "STUDENT360_TEST_POSTGRES_URL"


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
    """Its version, as it says."""
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
