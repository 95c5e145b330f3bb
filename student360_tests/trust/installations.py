"""Temporary installations for the reliability tests, also outside pytest, and assertions about them."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from student360.operations.verify import verify
from student360.settings import PROJECT, Settings, load_settings
from student360_tests.conftest import assert_every_row_is_accounted_for
from student360_tests.loading.test_loading import STUDENTS
from student360_tests.loading.test_two_writers import MATERIALIZE
from student360_tests.support.installation import Installation, create_installation, remove_schemas

ENGINES = ("sqlite", "postgres")
HEADER = "Student_ID,Date,Attendance_Status\n"
ROSTER = {"students_2026-01-01.csv": STUDENTS}


@contextmanager
def temporary_installation(engine: str, folder: Path | None = None) -> Iterator[Installation]:
    """Create an empty installation in a new folder below the given one; it is removed when the block ends."""
    root = Path(tempfile.mkdtemp(prefix="student360-trust-", dir=folder))
    installation = create_installation(engine, root)
    try:
        yield installation
    finally:
        remove_schemas(installation)
        shutil.rmtree(root, ignore_errors=True)


def settings_without_settle_time(installation: Installation, **extra: str) -> Settings:
    """Return the settings of an installation with a settle time of 0 seconds."""
    return load_settings(installation.environment | {"STUDENT360_SETTLE_SECONDS": "0"} | extra)


def assert_consistent(installation: Installation, facts: int | None = None) -> None:
    """Assert that verify finds nothing, landing and work are empty, and every row read is counted."""
    settings = load_settings()
    assert [line for promise in verify(installation.warehouse, settings) for line in promise.broken] == []
    for folder in (settings.landing, settings.work):
        assert [path for path in folder.rglob("*") if path.is_file()] == []
    assert_every_row_is_accounted_for(installation.warehouse.frame("SELECT * FROM ingest_file"))
    if facts is not None:
        assert installation.warehouse.row_count("fact_attendance") == facts


def year_of_attendance() -> bytes:
    """Return a file with 336 valid rows."""
    days = (f"2025-{month:02}-{day:02}" for month in range(1, 13) for day in range(1, 29))
    return (HEADER + "".join(f"S1,{day},Present\n" for day in days)).encode()


def materialize(environment: dict[str, str], select: str = MATERIALIZE[-1]) -> subprocess.Popen[bytes]:
    """Start `dagster asset materialize` as a separate process."""
    program = [str(Path(sys.executable).parent / MATERIALIZE[0]), *MATERIALIZE[1:-1], select]
    return subprocess.Popen(program, env=environment, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
