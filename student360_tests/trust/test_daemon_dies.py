"""The real daemon recovers without intervention when any process is killed: files are loaded soon, and only once."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path

import pytest

from student360.warehouse.errors import WarehouseError
from student360_tests.conftest import IN_FULL, SQLITE_AND_POSTGRES_IN_FULL
from student360_tests.support.installation import Installation, wait_until
from student360_tests.trust.installations import HEADER, ROSTER, assert_consistent
from student360_tests.trust.kills import SETTINGS
from student360_tests.trust.soak import Tree, soak

LOAD_SECONDS = 90
SOAK_MINUTES = 0.5

pytestmark = pytest.mark.xdist_group("daemon")


@pytest.fixture
def tree(installation: Installation) -> Iterator[Tree]:
    tree = Tree(installation, SETTINGS)
    yield tree
    tree.stop()


def is_loaded(installation: Installation, name: str) -> Callable[[], bool]:
    def _is_loaded() -> bool:
        with suppress(WarehouseError):
            found = installation.warehouse.frame(
                "SELECT f.status FROM ingest_file AS f JOIN file_drop AS d ON d.file_id = f.file_id"
                " WHERE d.seen_name = ? AND d.archived_at IS NOT NULL",
                (name,),
            )
            return len(found) == 1 and found["status"][0] == "loaded"
        return False

    return _is_loaded


def big_file(year: int, rows: int = 30_000) -> bytes:
    """Return an attendance file of two students that is large enough to be interrupted while it is loaded."""
    days = [date(year, 1, 1) + timedelta(days=n) for n in range(300)]
    lines = [f"S{n % 2 + 1},{days[n // 2 % 300]},Present,{n // 600 + 1}\n" for n in range(rows)]
    return ("Student_ID,Date,Attendance_Status,Period\n" + "".join(lines)).encode()


@pytest.mark.fault("F14", "F15", "F16", "F18")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("engine", SQLITE_AND_POSTGRES_IN_FULL, indirect=True)
def test_files_are_loaded_soon_after_any_process_is_killed(installation: Installation, tree: Tree) -> None:
    tree.start()
    for name, text in ROSTER.items():
        installation.drop(name, text.encode())
        wait_until(is_loaded(installation, name), LOAD_SECONDS, "the roster")

    def is_taken() -> bool:
        return bool(list((installation.data / "work").iterdir()))

    installation.drop("attendance_a.csv", big_file(2020))
    wait_until(is_taken, LOAD_SECONDS, "a run that took the file", every=0.01)
    assert tree.kill(tree.workers())
    wait_until(is_loaded(installation, "attendance_a.csv"), LOAD_SECONDS, "the file whose run was killed")

    installation.drop("attendance_b.csv", big_file(2021))
    wait_until(is_taken, LOAD_SECONDS, "a run that took the file", every=0.01)
    tree.kill_all()
    installation.drop("attendance_c.csv", f"{HEADER}S1,2019-01-07,Present\n".encode())
    time.sleep(1)
    tree.start()
    for name in ("attendance_b.csv", "attendance_c.csv"):
        wait_until(is_loaded(installation, name), LOAD_SECONDS, "the files after the restart of all processes")

    assert tree.kill(tree.code_servers())
    installation.drop("attendance_d.csv", f"{HEADER}S2,2019-01-07,Present\n".encode())
    wait_until(
        is_loaded(installation, "attendance_d.csv"), 2 * LOAD_SECONDS, "the file after a kill of the code server"
    )

    assert tree.kill(tree.warm_processes())
    installation.drop("attendance_f.csv", f"{HEADER}S1,2019-01-09,Present\n".encode())
    wait_until(is_loaded(installation, "attendance_f.csv"), LOAD_SECONDS, "the file after a kill of the warm process")

    tree.stop()
    tree.settings["STUDENT360_SETTLE_SECONDS"] = "soon"
    tree.start()
    installation.drop("attendance_e.csv", f"{HEADER}S2,2019-01-08,Present\n".encode())
    wait_until(lambda: b"must be a number" in installation.log.read_bytes(), LOAD_SECONDS, "the reason in the log")
    tree.stop()
    del tree.settings["STUDENT360_SETTLE_SECONDS"]
    tree.start()
    wait_until(is_loaded(installation, "attendance_e.csv"), LOAD_SECONDS, "the file after the setting was corrected")
    tree.stop()
    assert_consistent(installation, facts=2 * 30_000 + 4)


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("engine", [pytest.param("sqlite", marks=IN_FULL), "postgres"])
def test_a_short_soak_ends_without_violations(engine: str, tmp_path: Path) -> None:
    figures = soak(engine, SOAK_MINUTES, 5, tmp_path)
    assert figures.violations == []
    assert figures.killed >= 1
    assert figures.rows["read"] > 100
