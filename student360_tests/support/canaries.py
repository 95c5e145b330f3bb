"""Checks that personal data stays in the data folder: searches for a unique name, contact and birth date.

Tests put these canary values into files. A place where a canary is found could also contain the data of a student.
"""

import stat
from pathlib import Path

from student360_tests.support.installation import Installation
from student360_tests.support.postgres import run_sql

CANARIES = ("Zyx-Canary-7731", "canary-phone-5551234", "1999-12-31")


def assert_no_canary_outside_data(installation: Installation) -> None:
    """Assert that no file outside the data folder, and no table of Dagster on PostgreSQL, contains a canary."""
    places = {
        str(path.relative_to(installation.root)): path.read_bytes()
        for path in installation.root.rglob("*")
        if path.is_file() and installation.data not in path.parents
    }
    if installation.engine == "postgres":
        places |= tables_of(installation.dagster_schema)
    assert any(("event" in name or name.endswith(".db")) and content for name, content in places.items())
    for name, content in places.items():
        for canary in CANARIES:
            assert canary.encode() not in content, f"{canary} in {name}"


def tables_of(schema: str) -> dict[str, bytes]:
    """Return all rows of all tables of a schema as text, by table name."""
    names = [name for (name,) in run_sql(f"SELECT tablename::text FROM pg_tables WHERE schemaname = '{schema}'")]
    return {
        name: "\n".join(row for (row,) in run_sql(f"SELECT t::text FROM {schema}.{name} AS t")).encode()
        for name in names
    }


def assert_private(folder: Path) -> None:
    """Assert that only the owner can access a folder and all files and folders in it."""
    accessible = [
        f"{path.relative_to(folder)} {stat.S_IMODE(path.lstat().st_mode):o}"
        for path in [folder, *folder.rglob("*")]
        if not path.is_symlink() and stat.S_IMODE(path.lstat().st_mode) & 0o077
    ]
    assert not accessible, f"accessible to other users: {accessible}"
