"""Faults of disks, folders and the database: a clear error without file names, and the next run succeeds."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import adbc_driver_postgresql.dbapi
import pytest

from student360.ingest.files import claim
from student360.loading import receive
from student360.loading.receive import FolderProblem
from student360.operations.verify import verify
from student360.settings import PROJECT, load_settings
from student360.warehouse.errors import WarehouseError
from student360.warehouse.transaction import Transaction
from student360.warehouse.warehouse import Warehouse
from student360_tests.conftest import (
    IN_FULL,
    ON_POSTGRES_ONLY,
    ON_SQLITE_ONLY,
    run_pipeline,
)
from student360_tests.loading.test_loading import STUDENTS
from student360_tests.support.installation import Installation
from student360_tests.support.postgres import run_sql, server_url, temporary_server
from student360_tests.trust.installations import (
    HEADER,
    ROSTER,
    assert_consistent,
    materialize,
    year_of_attendance,
)
from student360_tests.trust.soak import NoSmallDisk, filled, small_disk

Load = Callable[..., None]


@pytest.mark.fault("F33")
@ON_POSTGRES_ONLY
def test_a_deadlock_with_another_transaction_causes_only_a_retry(installation: Installation, load: Load) -> None:
    load(ROSTER)
    installation.drop("attendance_2026-01-05.csv", f"{HEADER}S1,2026-01-05,Present\n".encode())
    real, locked = Transaction.run, threading.Event()

    def other_transaction() -> None:
        with adbc_driver_postgresql.dbapi.connect(server_url(), autocommit=True) as other, other.cursor() as cursor:
            cursor.execute(f"SET search_path = {installation.schema}")
            cursor.execute("SET deadlock_timeout = '30s'")
            cursor.execute("BEGIN")
            cursor.execute("LOCK TABLE data_extent IN ACCESS EXCLUSIVE MODE")
            locked.set()
            with suppress(adbc_driver_postgresql.dbapi.Error):
                cursor.execute("LOCK TABLE ingest_file IN ACCESS EXCLUSIVE MODE")
            cursor.execute("ROLLBACK")

    thread = threading.Thread(target=other_transaction)

    def run(self: Transaction, script: Any, section: str, *names: Any) -> None:
        if script.name == "data_extent" and not locked.is_set():
            thread.start()
            locked.wait(30)
            time.sleep(0.2)
        real(self, script, section, *names)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Transaction, "run", run)
        with pytest.raises(WarehouseError, match="40P01"):
            load()
    thread.join()
    load()
    assert_consistent(installation, facts=1)


@pytest.mark.fault("F12", "F30")
@ON_POSTGRES_ONLY
def test_a_writer_killed_during_a_long_statement_releases_its_lock(installation: Installation, load: Load) -> None:
    """PostgreSQL 14 and newer check for a lost client during a statement; before, the statement continues."""
    load(ROSTER)
    code = (
        "from student360.settings import load_settings; from student360.warehouse.warehouse import Warehouse\n"
        "with Warehouse(url=load_settings().warehouse_url).transaction() as tx:\n"
        "    print('in', flush=True); tx.query('SELECT pg_sleep(600)::text AS slept')"
    )
    writer = subprocess.Popen([sys.executable, "-c", code], env=installation.environment, stdout=subprocess.PIPE)
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"in\n"
    time.sleep(0.5)
    writer.kill()
    writer.communicate()
    load({"attendance_2026-01-05.csv": f"{HEADER}S1,2026-01-05,Present\n"})
    assert_consistent(installation, facts=1)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk that can be filled. Where it cannot be mounted, the test is skipped; in CI it fails."""
    try:
        with small_disk(tmp_path / "disk", 64) as mounted:
            yield mounted
    except NoSmallDisk as reason:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(reason))


@pytest.mark.fault("F34")
@ON_SQLITE_ONLY
@pytest.mark.parametrize(
    "location", ["warehouse", pytest.param("data", marks=IN_FULL), pytest.param("Dagster", marks=IN_FULL)]
)
def test_a_full_disk_fails_the_run_and_loading_continues_when_there_is_space(
    installation: Installation, disk: Path, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    environment = installation.environment | {"STUDENT360_SETTLE_SECONDS": "0"}
    environment |= {
        "warehouse": {"STUDENT360_WAREHOUSE_URL": f"sqlite:///{disk}/student360.db"},
        "data": {
            "STUDENT360_DATA_DIR": str(disk),
            "STUDENT360_WAREHOUSE_URL": f"sqlite:///{installation.root}/student360.db",
        },
        "Dagster": {"DAGSTER_HOME": str(disk)},
    }[location]
    for name in ("STUDENT360_WAREHOUSE_URL", "STUDENT360_DATA_DIR"):
        if name in environment:
            monkeypatch.setenv(name, environment[name])
    (disk / "dagster.yaml").write_text((PROJECT / "dagster.yaml").read_text())
    settings = load_settings()
    warehouse = Warehouse(url=settings.warehouse_url)
    bad = "S1,2026-13-01,Zyx-Canary-7731\n"
    files = {**ROSTER, "attendance_2026-01-05.csv": HEADER + "S1,2026-01-05,Present\nS2,2026-01-05,Absent\n" + bad}
    landing = settings.landing
    landing.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, text in files.items():
        (landing / name).write_text(text)
    with filled(disk):
        failed = materialize(environment)
        output, _ = failed.communicate()
    assert failed.returncode != 0
    assert b"full" in output or b"No space" in output
    assert b"Canary" not in output
    done = materialize(environment)
    output, _ = done.communicate()
    assert done.returncode == 0, output[-2000:]
    assert [line for promise in verify(warehouse, settings) for line in promise.broken] == []
    assert warehouse.row_count("fact_attendance") == 2
    assert not [path for path in (*landing.iterdir(), *settings.work.iterdir()) if path.is_file()]


@pytest.mark.fault("F34")
@ON_POSTGRES_ONLY
@pytest.mark.xdist_group("own_server")
def test_a_full_database_disk_is_reported_and_loading_continues_when_there_is_space(
    engine: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, disk: Path
) -> None:
    disk.chmod(0o711)
    for parent in disk.parents:
        if parent != Path("/tmp") and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    with temporary_server() as server:
        run_sql("SELECT 1", server.url)
        space = disk / "space"
        space.mkdir()
        server.own(space)
        run_sql(f"CREATE TABLESPACE small LOCATION '{space}'", server.url)
        run_sql("ALTER DATABASE postgres SET default_tablespace = 'small'", server.url)
        installation = Installation(tmp_path / "installation", server.url, "full_disk")
        (tmp_path / "installation").mkdir()
        installation.prepare()
        for name, value in installation.environment.items():
            if name.startswith("STUDENT360_"):
                monkeypatch.setenv(name, value)
        monkeypatch.setenv("STUDENT360_SETTLE_SECONDS", "0")
        installation.warehouse.prepare()
        installation.drop("students_2026-01-01.csv", STUDENTS.encode())
        installation.drop("attendance_2026-01-05.csv", year_of_attendance())
        with filled(disk), pytest.raises(WarehouseError, match="disk is full"):
            run_pipeline(installation, load_settings())
        run_pipeline(installation, load_settings())
        assert_consistent(installation, facts=336)


def read_only(folder: Path) -> None:
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)


@pytest.mark.fault("F35")
@ON_SQLITE_ONLY
@pytest.mark.parametrize("name", ["landing", "work", "processed", "quarantine"])
def test_a_missing_folder_is_created_and_a_read_only_folder_is_named_in_the_error(
    installation: Installation, load: Load, name: str
) -> None:
    load(ROSTER)
    folder = installation.data / name
    (folder if name != "processed" else folder / "none").mkdir(exist_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()
    load({})
    installation.drop("attendance_2026-01-05.csv", f"{HEADER}S1,2026-01-05,Present\n".encode())
    try:
        read_only(folder)
    except subprocess.CalledProcessError:
        pytest.skip("mounting a read-only folder requires root permissions")
    try:
        with pytest.raises(FolderProblem, match=f"the folder {name} cannot be written to"):
            load()
    finally:
        subprocess.run(["umount", folder], check=True)
    load()
    assert_consistent(installation, facts=1)


@pytest.mark.fault("F35")
@ON_SQLITE_ONLY
def test_folders_on_different_disks_are_refused_before_anything_is_moved(
    installation: Installation, load: Load, tmp_path: Path
) -> None:
    load(ROSTER)
    path = installation.drop("attendance_2026-01-05.csv", f"{HEADER}S1,2026-01-05,Present\n".encode())
    try:
        with small_disk(installation.data / "quarantine", 8), pytest.raises(FolderProblem, match="on one file system"):
            load()
    except NoSmallDisk as reason:
        pytest.skip(str(reason))
    assert path.exists()
    load()
    assert_consistent(installation, facts=1)


@pytest.mark.fault("F35")
@ON_SQLITE_ONLY
def test_an_error_while_moving_a_file_does_not_contain_its_name(
    installation: Installation, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(ROSTER)
    installation.drop("Zyx-Canary-7731 attendance_2026-01-05.csv", f"{HEADER}S1,2026-01-05,Present\n".encode())

    def lost(file: Any, work: Path) -> None:
        os.close(os.open(file.path, os.O_RDONLY | os.O_DIRECTORY))

    monkeypatch.setattr(receive, "claim", lost)
    with pytest.raises(FolderProblem) as raised:
        load()
    assert "Canary" not in str(raised.value)
    assert raised.value.__cause__ is None
    monkeypatch.setattr(receive, "claim", claim)
    load()
    assert_consistent(installation, facts=1)


@pytest.mark.fault("F43")
def test_files_are_loaded_while_a_reader_holds_a_long_transaction(installation: Installation, load: Load) -> None:
    load(ROSTER)
    with installation.warehouse.reading() as reader:
        assert reader.value("SELECT COUNT(*) FROM fact_attendance") == 0
        load({"attendance_2026-01-05.csv": f"{HEADER}S1,2026-01-05,Present\n"})
        assert reader.value("SELECT COUNT(*) FROM fact_attendance") == 0
    assert_consistent(installation, facts=1)
