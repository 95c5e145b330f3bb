"""Large files, staged as Parquet and merged by DuckDB, give the same result as small ones."""

import stat
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from student360.cli.sample import District, write_district
from student360.contracts import contracts
from student360.loading.merge import merge_feed
from student360.loading.pipeline import stage_feed
from student360.loading.receive import receive
from student360.loading.refresh import refresh_reference_tables
from student360.settings import load_settings
from student360.warehouse.errors import WarehouseError
from student360.warehouse.scripts import scripts
from student360_tests.conftest import NewInstallation, run_pipeline
from student360_tests.loading.test_loading import STUDENTS, Load, assert_same, contents, ledger
from student360_tests.support.installation import Installation

ATTENDANCE = contracts()["attendance"]
MESSY = """Student_ID,Date,Subject,Attendance_Status,School_ID
S1,2026-01-05,Math,Present,SCH-1
S2,2026-01-05,math,Absent,SCH-2
S2,2026-01-05,math,absent,SCH-2
S1,2026-01-06,Art,Present,SCH-1
S1,2026-01-06,Art,Absent,SCH-1
S1,2026-01-07,,dozing,SCH-9
S9,2026-01-07,,Late,SCH-1
S1,never,,Present,SCH-1
S1,2026-01-08,,Present
"""


@pytest.fixture(autouse=True)
def _treat_every_file_as_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDENT360_LARGE_FILE_MEGABYTES", "0")


def staged(installation: Installation) -> list[Path]:
    folder = load_settings().staged
    return sorted(folder.iterdir()) if folder.is_dir() else []


def stage(installation: Installation, name: str, content: str) -> None:
    """Receive and stage a file, without merging it."""
    installation.drop(name, content.encode())
    receive(installation.warehouse, load_settings(), ATTENDANCE, "test")
    stage_feed(installation.warehouse, ATTENDANCE, load_settings(), "test")


def rejects(installation: Installation) -> pd.DataFrame:
    return installation.warehouse.frame("SELECT file_id, line_no, column_name, reason FROM row_reject ORDER BY 1, 2, 3")


def test_all_feeds_give_the_same_result_as_through_the_staging_table(
    tmp_path: Path, new_installation: NewInstallation, engine: str
) -> None:
    files = write_district(tmp_path, District(students=80, days=30))
    results = []
    for large_from in (1000, 0):
        installation = new_installation(engine)
        for path in files:
            installation.drop(path.name, path.read_bytes())
        run_pipeline(installation, replace(load_settings(), large_file_bytes=large_from * 2**20))
        assert staged(installation) == []
        tables = {
            n: t.drop(columns="received_at", errors="ignore") for n, t in contents(installation.warehouse).items()
        }
        results.append((tables, ledger(installation), rejects(installation)))
    (tables, counts, rejected), (tables_of_large, counts_of_large, rejected_of_large) = results
    assert_same(tables, tables_of_large)
    assert counts == counts_of_large
    pd.testing.assert_frame_equal(rejected, rejected_of_large)


def test_repeats_contradictions_unknown_students_and_codes_are_counted(installation: Installation, load: Load) -> None:
    load({"students_2026-01-01.csv": STUDENTS, "attendance_2026-01-08.csv": MESSY})
    assert ledger(installation)["attendance_2026-01-08.csv"] == (9, 3, 0, 1, 4, 1)
    assert rejects(installation)["line_no"].to_list() == [5, 6, 9, 10]
    facts = installation.warehouse.frame("SELECT line_no FROM fact_attendance ORDER BY line_no")
    assert facts["line_no"].to_list() == [2, 4, 7], "of equal rows, the last one is the source"
    codes = installation.warehouse.frame("SELECT code FROM dim_attendance_codes WHERE category = 'UNMAPPED'")
    assert codes["code"].to_list() == ["dozing"]
    load({"students_2026-01-09.csv": STUDENTS + "S9,Chidi Diaz,2012-01-01,Grade 5,,SCH-1,5-A\n"})
    assert ledger(installation)["attendance_2026-01-08.csv"] == (9, 4, 0, 1, 4, 0)


def test_rows_are_staged_in_a_private_parquet_file_and_samples_in_the_staging_table(
    installation: Installation, load: Load
) -> None:
    load({"students_2026-01-01.csv": STUDENTS})
    rows = "".join(f"S1,2026-01-{day:02},,Present,SCH-1\n" for day in range(5, 30))
    stage(
        installation,
        "attendance_2026-02-01.csv",
        MESSY.splitlines()[0] + "\n" + rows + "S2,2026-01-05,Art,Absent,SCH-2\n",
    )
    (parquet,) = staged(installation)
    assert stat.S_IMODE(parquet.stat().st_mode) == 0o600
    assert stat.S_IMODE(parquet.parent.stat().st_mode) == 0o700
    examples = installation.warehouse.frame("SELECT line_no FROM stg_attendance ORDER BY line_no")
    assert examples["line_no"].to_list() == [2, 27], "one row for each code, subject and school"
    load({})
    assert installation.warehouse.row_count("fact_attendance") == 26
    assert staged(installation) == []


def test_a_large_file_about_existing_facts_updates_only_older_ones(installation: Installation, load: Load) -> None:
    day = "Student_ID,Date,Attendance_Status\nS1,2026-01-05,{}\nS2,2026-01-05,Present\n"
    load({"students_2026-01-01.csv": STUDENTS, "attendance_2026-01-06.csv": day.format("Absent")})
    load({"attendance_2026-01-08.csv": day.format("Excused"), "attendance_2026-01-07.csv": day.format("Late")})
    assert ledger(installation)["attendance_2026-01-08.csv"] == (2, 0, 1, 1, 0, 0)
    assert ledger(installation)["attendance_2026-01-07.csv"] == (2, 0, 0, 2, 0, 0)


def test_of_two_large_files_about_the_same_day_the_newer_one_counts(installation: Installation, load: Load) -> None:
    day = "Student_ID,Date,Attendance_Status\nS1,2026-01-05,{}\n"
    load(
        {
            "students_2026-01-01.csv": STUDENTS,
            "attendance_2026-01-08.csv": day.format("Excused"),
            "attendance_2026-01-07.csv": day.format("Late"),
        }
    )
    assert ledger(installation)["attendance_2026-01-08.csv"] == (1, 1, 0, 0, 0, 0)
    assert ledger(installation)["attendance_2026-01-07.csv"] == (1, 0, 0, 1, 0, 0)


def test_a_file_is_staged_again_if_its_parquet_file_is_missing(installation: Installation, load: Load) -> None:
    load({"students_2026-01-01.csv": STUDENTS})
    stage(installation, "attendance_2026-01-08.csv", MESSY)
    for path in staged(installation):
        path.unlink()
    load({})
    assert ledger(installation)["attendance_2026-01-08.csv"] == (9, 3, 0, 1, 4, 1)
    assert len(rejects(installation)) == 4


def test_a_missing_dimension_row_rolls_back_the_merge(installation: Installation, load: Load) -> None:
    load({"students_2026-01-01.csv": STUDENTS})
    stage(installation, "attendance_2026-01-08.csv", MESSY)
    for rules in ("dim_attendance_codes", "dim_subjects", "dim_schools"):
        refresh_reference_tables(installation.warehouse, [scripts()[rules]], load_settings())
    missing = {"sqlite": "date_key refers to a row that does not exist", "postgres": "23503"}[installation.engine]
    with pytest.raises(WarehouseError, match=missing), installation.warehouse.transaction() as tx:
        tx.execute("DELETE FROM dim_dates WHERE date_key = 20260107")
        merge_feed(installation.warehouse, ATTENDANCE, load_settings(), "test")
    assert installation.warehouse.row_count("fact_attendance") == 0
    load({})
    assert installation.warehouse.row_count("fact_attendance") == 3


@pytest.mark.parametrize("large_from", [1000, 0], ids=["small", "large"])
def test_fact_keys_are_unique_after_a_small_and_a_large_first_load(
    installation: Installation, load: Load, monkeypatch: pytest.MonkeyPatch, large_from: int
) -> None:
    monkeypatch.setenv("STUDENT360_LARGE_FILE_MEGABYTES", str(large_from))
    load({"students_2026-01-01.csv": STUDENTS, "attendance_2026-01-08.csv": MESSY})
    with pytest.raises(WarehouseError, match=r"(?i)constraint"), installation.warehouse.transaction() as tx:
        tx.execute("INSERT INTO fact_attendance SELECT * FROM fact_attendance WHERE line_no = 2")
    assert installation.warehouse.row_count("fact_attendance") == 3


def test_staging_files_of_a_dead_process_are_removed(installation: Installation, load: Load) -> None:
    folder = load_settings().staged
    (folder / "spilled").mkdir(parents=True)
    (folder / "attendance-0.parquet").write_bytes(b"half")
    (folder / "spilled" / "sort").write_bytes(b"half")
    load({"students_2026-01-01.csv": STUDENTS})
    assert staged(installation) == []
