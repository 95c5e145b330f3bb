"""Rejected rows are corrected and sent again, archived files are reprocessed, and verify finds damage."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from student360.cli.sample import District, write_district
from student360.operations.reprocess import OperatorProblem, allow_withdrawals, drop_lost_files_again, reprocess
from student360.operations.verify import verify
from student360.settings import Settings, load_settings
from student360_tests.conftest import NewInstallation, run_pipeline
from student360_tests.loading.test_corrections import days_of, fact_counts, week
from student360_tests.loading.test_loading import STUDENTS, assert_same, by_natural_key, ledger
from student360_tests.support.installation import Installation

Load = Callable[..., None]
HEADER = "Student_ID,Date,Attendance_Status\n"
GOOD = "".join(f"S1,2025-10-{day:02},Present\n" for day in range(1, 31))
OPEN = "SELECT line_no FROM v_rejected_rows WHERE is_open = 1 ORDER BY file_id, line_no"


def to_correct(installation: Installation) -> Path:
    (path,) = (installation.data / "quarantine" / "to_correct").iterdir()
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))


def broken(installation: Installation) -> list[str]:
    return [line for promise in verify(installation.warehouse, load_settings()) for line in promise.broken]


def test_rejected_rows_are_written_as_a_csv_and_resolved_by_dropping_it_back(
    installation: Installation, load: Load
) -> None:
    bad = "S1,2026-02-30,Present\nS1,2025-11-03\n,2025-11-04,Absent\n"
    load({"students_2025-09-01.csv": STUDENTS, "attendance_2025-12-01.csv": HEADER + GOOD + bad})
    path = to_correct(installation)
    assert path.stat().st_mode & 0o777 == 0o600
    rows = rows_of(path)
    assert [row["Date"] for row in rows] == ["2026-02-30", "2025-11-03", "2025-11-04"]
    assert "no such day" in rows[0]["What_is_wrong"]
    assert rows[1]["Attendance_Status"] is None
    text = path.read_text(encoding="utf-8-sig")
    corrected = text.replace("2026-02-30", "2025-11-02").replace(",2025-11-04,", "S2,2025-11-04,", 1)
    load({path.name: corrected})
    assert ledger(installation)[path.name] == (3, 2, 0, 0, 1, 0)
    left = installation.warehouse.frame("SELECT line_no, file_name FROM v_rejected_rows WHERE is_open = 1")
    assert left.to_numpy().tolist() == [[3, path.name]], "a row that is still wrong is open only in its newest file"
    second = next(p for p in (installation.data / "quarantine" / "to_correct").iterdir() if p.name != path.name)
    final = second.read_text(encoding="utf-8-sig").replace("2025-11-03", "2025-11-03,Late")
    load({"attendance_last_one.csv": final})
    assert installation.warehouse.frame(OPEN).empty
    assert installation.warehouse.row_count("fact_attendance") == 33
    assert broken(installation) == []


def test_a_corrected_row_keeps_the_date_of_its_original_export(installation: Installation, load: Load) -> None:
    load({"students_2025-09-01.csv": STUDENTS, "attendance_2025-12-01.csv": HEADER + GOOD + "S2,2025-11-03x,Present\n"})
    load({"attendance_2025-12-05.csv": HEADER + "S2,2025-11-03,Absent\n"})
    load({"attendance_fixed.csv": to_correct(installation).read_text(encoding="utf-8-sig").replace("03x", "03")})
    assert ledger(installation)["attendance_fixed.csv"] == (1, 0, 0, 1, 0, 0)
    assert days_of(installation, "S2") == 1
    assert installation.warehouse.frame(OPEN).empty


def test_a_formula_is_escaped_in_the_csv_and_restored_when_it_is_loaded(installation: Installation, load: Load) -> None:
    header = "Student_ID,Subject,Exam_Score,Homework_Completion_%,Teacher_Comments,Date\n"
    rows = "".join(f"S1,Math,70,50,fine,2025-10-{day:02}\n" for day in range(1, 20))
    load(
        {
            "students_2025-09-01.csv": STUDENTS,
            "performance_2025-12-01.csv": header + rows + 'S1,Math,-5,x,"=cmd()",2025-11-01\n',
        }
    )
    (row,) = rows_of(to_correct(installation))
    assert (row["Teacher_Comments"], row["Exam_Score"]) == ("'=cmd()", "-5")
    load({"performance_back.csv": to_correct(installation).read_text(encoding="utf-8-sig").replace(",x,", ",60,")})
    comment = installation.warehouse.frame("SELECT teacher_comment FROM fact_performance WHERE date_key = 20251101")
    assert comment["teacher_comment"].to_list() == ["=cmd()"]


def test_all_rows_of_a_quarantined_file_are_written_to_the_csv(installation: Installation, load: Load) -> None:
    load({"students_2025-09-01.csv": STUDENTS, "attendance_2025-12-01.csv": HEADER + "S1,soon,P\nS2,later,P\n"})
    rows = rows_of(to_correct(installation))
    assert [row["Student_ID"] for row in rows] == ["S1", "S2"]
    text = (
        to_correct(installation)
        .read_text(encoding="utf-8-sig")
        .replace("soon", "2025-11-03")
        .replace("later", "2025-11-03")
    )
    load({"attendance_again.csv": text})
    assert installation.warehouse.row_count("fact_attendance") == 2
    assert installation.warehouse.frame(OPEN).empty


def test_corrected_undated_scores_do_not_overwrite_others(installation: Installation, load: Load) -> None:
    header = "Student_ID,Subject,Exam_Score,Homework_Completion_%,Teacher_Comments\n"
    scores = "".join(f"S1,Math,{70 + n},50,\n" for n in range(20)) + "S1,Math,ninety,50,\n"
    load({"students_2025-09-01.csv": STUDENTS, "performance_2025-12-01.csv": header + scores})
    fixed = to_correct(installation).read_text(encoding="utf-8-sig").replace("ninety", "90")
    load({"performance_fixed.csv": fixed})
    load({"performance_fixed_again.csv": fixed + "\n"})
    found = installation.warehouse.frame("SELECT raw_score FROM fact_performance ORDER BY raw_score")["raw_score"]
    assert found.to_list() == [float(70 + n) for n in range(20)] + [90.0]


def test_reprocessing_the_whole_archive_gives_the_result_of_the_first_load(
    new_installation: NewInstallation, engine: str, tmp_path: Path
) -> None:
    files = write_district(tmp_path / "sample", District(students=40, days=15, seed=3))
    messy = b"Student_ID,Date,Attendance_Status\nS000001,2025-09-09,Absent\nS000002,2025-13-01,Absent\n"
    (tmp_path / "sample" / "attendance_2025-12-31.csv").write_bytes(messy + b"S000003,2025-09-09,Absent\n" * 3)
    results = []
    for again in (False, True):
        installation = new_installation(engine)
        for path in (tmp_path / "sample").iterdir():
            installation.drop(path.name, path.read_bytes())
            if again:
                run_pipeline(installation, load_settings())
        run_pipeline(installation, load_settings())
        if again:
            done = reprocess(installation.warehouse, load_settings(), [], everything=True)
            assert len(done) == len(files) + 1
            assert {file.before for file in done} == {file.after for file in done}
        assert broken(installation) == []
        results.append(by_natural_key(installation.warehouse))
    assert_same(results[0], results[1])


def test_a_quarantined_file_can_be_reprocessed_after_a_setting_has_changed(
    installation: Installation, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(
        {
            "students_2025-09-01.csv": STUDENTS,
            "attendance_2025-12-01.csv": HEADER + "S1,03/04/2025,P\nS2,05/04/2025,P\n",
        }
    )
    assert ledger(installation)["attendance_2025-12-01.csv"] == (2, 0, 0, 0, 2, 0)
    monkeypatch.setenv("STUDENT360_DATE_ORDER_ATTENDANCE", "day_first")
    (again,) = reprocess(installation.warehouse, load_settings(), ["attendance_2025-12-01.csv"])
    assert (again.before, again.after) == ("quarantined", "loaded")
    assert ledger(installation)["attendance_2025-12-01.csv"] == (2, 2, 0, 0, 0, 0)
    assert not list((installation.data / "quarantine").rglob("*2025-12-01*"))
    assert broken(installation) == []


def test_reprocessing_is_refused_if_a_file_is_missing_from_the_archive(installation: Installation, load: Load) -> None:
    load({"students_2025-09-01.csv": STUDENTS, "attendance_2026-01-10.csv": week()})
    next((installation.data / "processed").rglob("*attendance*")).unlink()
    with pytest.raises(OperatorProblem, match="no longer in the archive"):
        reprocess(installation.warehouse, load_settings(), ["attendance"])
    assert fact_counts(installation) == (10, 10)
    with pytest.raises(OperatorProblem, match="No file or feed"):
        reprocess(installation.warehouse, load_settings(), ["nonsense"])


def test_an_operator_can_allow_withdrawals_that_were_held(
    installation: Installation, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDENT360_LOAD_MODE_ATTENDANCE", "snapshot")
    monkeypatch.setenv("STUDENT360_MAX_WITHDRAWALS", "3")
    load({"students_2026-01-01.csv": STUDENTS, "attendance_2026-01-10.csv": week()})
    load({"attendance_2026-01-12.csv": HEADER + "S1,2026-01-05,Present\n"})
    assert fact_counts(installation) == (10, 10)
    assert allow_withdrawals(installation.warehouse, load_settings(), "attendance_2026-01-12.csv") == 9
    assert fact_counts(installation) == (1, 1)
    assert (days_of(installation, "S1"), days_of(installation, "S2")) == (0, 0)
    assert broken(installation) == []
    actions = installation.warehouse.frame("SELECT action FROM operator_action")["action"]
    assert actions.to_list() == ["withdraw"]


def archived_attendance(installation: Installation) -> Path:
    return next((installation.data / "processed").rglob("*attendance*"))


DAMAGE_OF_FILES: dict[str, Callable[[Installation], object]] = {
    "the archived file was changed": lambda installation: archived_attendance(installation).write_text("x"),
    "no longer in the archive": lambda installation: archived_attendance(installation).unlink(),
    "not in the ledger": lambda installation: (installation.data / "processed" / "stranger.csv").write_text("a,b"),
}
DAMAGE = {
    "more or fewer rows": "DELETE FROM fact_attendance WHERE date_key = 20260105",
    "10 read, 12 found": "UPDATE ingest_file SET rows_loaded = rows_loaded + 2 WHERE feed = 'attendance'",
    "1 counted, 0 listed": "UPDATE ingest_file SET rows_rejected = 1, rows_read = 11 WHERE feed = 'attendance'",
    "5 counted, 0 in staging": "UPDATE ingest_file SET rows_waiting = 5, rows_read = 15 WHERE feed = 'attendance'",
    "student_attendance_month: 4 rows differ": "UPDATE student_attendance_month SET absent_parts = absent_parts + 1",
    "versions that overlap": "INSERT INTO dim_students SELECT 99, student_durable_key, student_id, full_name,"
    " date_of_birth, grade_level, grade_sort_order, school_key, homeroom, emergency_contact, email, NULL, NULL,"
    " valid_from, valid_to, 0, file_id, line_no FROM dim_students WHERE student_id = 'S1'",
    "students: run the ingest job": "UPDATE student_risk_tier SET risk_tier = 'ON_TRACK' WHERE is_current = 1",
}


@pytest.mark.fault("F37")
@pytest.mark.parametrize("expected", [*DAMAGE, *DAMAGE_OF_FILES])
def test_verify_finds_manual_damage(installation: Installation, load: Load, expected: str) -> None:
    load({"students_2026-01-01.csv": STUDENTS, "attendance_2026-01-10.csv": week()})
    assert broken(installation) == []
    if expected in DAMAGE:
        with installation.warehouse.transaction() as tx:
            tx.execute(DAMAGE[expected])
    else:
        DAMAGE_OF_FILES[expected](installation)
    assert any(expected in line for line in broken(installation)), broken(installation)


@pytest.mark.fault("F38")
def test_a_lost_warehouse_is_rebuilt_from_the_archive(
    installation: Installation, load: Load, settings: Settings
) -> None:
    """As after a restore of an older backup: the newest files are missing from the ledger, and verify lists them."""
    load({"students_2026-01-01.csv": STUDENTS})
    load({"attendance_2026-01-10.csv": week()})
    with installation.warehouse.transaction() as tx:
        for statement in (
            "DELETE FROM fact_attendance",
            "DELETE FROM student_risk_tier",
            "DELETE FROM student_attendance_month",
            "DELETE FROM data_extent",
            "DELETE FROM file_drop WHERE file_id = 2",
            "DELETE FROM stg_attendance",
            "DELETE FROM ingest_file WHERE file_id = 2",
        ):
            tx.execute(statement)
    assert len([line for line in broken(installation) if "not in the ledger" in line]) == 1
    assert drop_lost_files_again(installation.warehouse, settings) == 1
    assert [path.name for path in settings.landing.iterdir()] == ["attendance_2026-01-10.csv"]
    load()
    assert broken(installation) == []
    assert fact_counts(installation) == (10, 10)
