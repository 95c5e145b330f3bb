"""Corrections: withdrawn rows, the change log, changes of tiers, and students whose id or identity changes."""

from collections.abc import Callable

import pandas as pd
import pytest

from student360.warehouse.scripts import scripts
from student360_tests.loading.test_loading import STUDENTS, ledger
from student360_tests.support.installation import Installation

Load = Callable[..., None]
HEADER = "Student_ID,Date,Attendance_Status\n"
DAYS = ("2026-01-05", "2026-01-06", "2026-01-07", "2026-01-08", "2026-01-09")


def week(*leave_out: str, status: str = "Absent") -> str:
    """Return a week of two students without the rows in `leave_out`, each given as 'student day'."""
    rows = [f"{student},{day},{status}\n" for day in DAYS for student in ("S1", "S2")]
    return HEADER + "".join(row for row in rows if row.rsplit(",", 1)[0].replace(",", " ") not in leave_out)


def days_of(installation: Installation, student: str = "S1") -> float:
    rows = installation.warehouse.frame(
        "SELECT COALESCE(SUM(m.absent_parts), 0) / 2520 AS days FROM student_attendance_month AS m"
        " JOIN student_identity AS i ON i.student_durable_key = m.student_durable_key WHERE i.student_id = ?",
        (student,),
    )
    return float(rows["days"][0])


def changes(installation: Installation, change: str) -> list[tuple[object, ...]]:
    frame = installation.warehouse.frame(
        "SELECT file_name, line_no, student_id, day_key, said_before, said_after FROM v_changes WHERE change = ?"
        " AND table_name = 'fact_attendance' ORDER BY file_id, line_no, student_id, day_key",
        (change,),
    )
    return [tuple(None if pd.isna(cell) else cell for cell in row) for row in frame.itertuples(index=False)]


def fact_counts(installation: Installation) -> tuple[int, int]:
    """Return the number of attendance facts, counted, and from the row count query."""
    counted = "SELECT COUNT(*) AS n FROM fact_attendance"
    expected = scripts()["fact_attendance"].row_count_query
    return int(installation.warehouse.frame(counted)["n"][0]), int(
        installation.warehouse.frame(expected)["row_count"][0]
    )


@pytest.mark.parametrize("mode", ["delta", "window", "snapshot"])
def test_a_row_that_is_no_longer_sent_is_withdrawn_depending_on_the_load_mode(
    installation: Installation, load: Load, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setenv("STUDENT360_LOAD_MODE_ATTENDANCE", mode)
    load({"students_2026-01-01.csv": STUDENTS, "attendance_2026-01-10.csv": week()})
    assert days_of(installation) == 5
    load({"attendance_2026-01-12.csv": week("S1 2026-01-06")})
    withdrawn = [] if mode == "delta" else [("attendance_2026-01-12.csv", 0, "S1", 20260106, "absent", None)]
    assert changes(installation, "withdrawn") == withdrawn
    assert days_of(installation) == 5 - len(withdrawn)
    assert fact_counts(installation) == (10 - len(withdrawn),) * 2
    if mode == "delta":
        return
    load({"attendance_2026-01-11.csv": week(status="Present")})
    assert days_of(installation) == 4, "an older export restored a row that a newer one had withdrawn"
    assert ledger(installation)["attendance_2026-01-11.csv"] == (10, 0, 0, 10, 0, 0)


def test_a_window_withdraws_only_rows_inside_it(
    installation: Installation, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDENT360_LOAD_MODE_ATTENDANCE", "window")
    load({"students_2026-01-01.csv": STUDENTS, "attendance_2026-01-10.csv": week()})
    load({"attendance_2026-01-12.csv": HEADER + "S1,2026-01-06,Present\nS1,2026-01-08,Present\nS2,2026-01-07,Absent\n"})
    left = installation.warehouse.frame("SELECT DISTINCT date_key FROM fact_attendance ORDER BY date_key")["date_key"]
    assert left.to_list() == [20260105, 20260106, 20260107, 20260108, 20260109]
    assert fact_counts(installation)[0] == 7


def test_files_dropped_together_are_loaded_in_date_order(
    installation: Installation, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDENT360_LOAD_MODE_ATTENDANCE", "snapshot")
    load(
        {
            "students_2026-01-01.csv": STUDENTS,
            "attendance_2026-01-12.csv": week("S1 2026-01-06", "S1 2026-01-07"),
            "attendance_2026-01-10.csv": week(),
            "attendance_2026-01-11.csv": week("S1 2026-01-06"),
        }
    )
    assert days_of(installation) == 3
    assert fact_counts(installation) == (8, 8)


def test_a_file_that_exceeds_the_withdrawal_limit_withdraws_nothing(
    installation: Installation, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDENT360_LOAD_MODE_ATTENDANCE", "snapshot")
    monkeypatch.setenv("STUDENT360_MAX_WITHDRAWALS", "3")
    load({"students_2026-01-01.csv": STUDENTS, "attendance_2026-01-10.csv": week()})
    load({"attendance_2026-01-12.csv": HEADER + "S1,2026-01-05,Present\n"})
    files = installation.warehouse.frame("SELECT sweep, rows_withdrawn FROM ingest_file ORDER BY file_id DESC LIMIT 1")
    assert files.to_numpy().tolist() == [["held", 0]]
    assert fact_counts(installation) == (10, 10)
    assert days_of(installation) == 4, "the rows of the file itself are loaded"


def test_a_rejected_row_protects_the_rows_of_its_student_from_withdrawal(
    installation: Installation, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDENT360_LOAD_MODE_ATTENDANCE", "snapshot")
    load({"students_2026-01-01.csv": STUDENTS, "attendance_2026-01-10.csv": week()})
    misspelt = week("S2 2026-01-07").replace("S1,2026-01-06,Absent", "S1,2026-01-06x,Absent")
    load({"attendance_2026-01-12.csv": misspelt})
    assert (days_of(installation, "S1"), days_of(installation, "S2")) == (5, 4)
    load({"attendance_2026-01-13.csv": week("S2 2026-01-07").replace("S1,2026-01-06,Absent", ",2026-01-06,Absent")})
    held = installation.warehouse.frame("SELECT sweep FROM ingest_file ORDER BY file_id DESC LIMIT 1")["sweep"][0]
    assert held == "held", "the row that seems to be missing may be the one without a student id"
    assert days_of(installation, "S1") == 5


def test_a_snapshot_of_one_school_withdraws_no_rows_of_other_schools(
    installation: Installation, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDENT360_LOAD_MODE_ATTENDANCE", "snapshot")
    header = "Student_ID,Date,Attendance_Status,School_ID\n"
    load(
        {
            "students_2026-01-01.csv": STUDENTS,
            "attendance_2026-01-10_north.csv": header + "".join(f"S1,{day},Absent,NORTH\n" for day in DAYS),
            "attendance_2026-01-10_south.csv": header + "".join(f"S2,{day},Absent,SOUTH\n" for day in DAYS),
        }
    )
    load({"attendance_2026-01-12_north.csv": header + "".join(f"S1,{day},Absent,NORTH\n" for day in DAYS[1:])})
    assert (days_of(installation, "S1"), days_of(installation, "S2")) == (4, 5)


def test_a_student_missing_from_a_roster_snapshot_is_not_current_until_a_newer_one(
    installation: Installation, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDENT360_LOAD_MODE_STUDENTS", "snapshot")
    only_first = "\n".join(STUDENTS.splitlines()[:2]) + "\n"
    current = "SELECT student_id FROM v_student_risk_monitor ORDER BY student_id"
    load({"students_2026-01-01.csv": STUDENTS, "attendance_2026-01-10.csv": week()})
    load({"students_2026-02-01.csv": only_first})
    assert installation.warehouse.frame(current)["student_id"].to_list() == ["S1"]
    load({"students_2026-01-15.csv": STUDENTS})
    assert installation.warehouse.frame(current)["student_id"].to_list() == ["S1"], (
        "an older roster made a former student current again"
    )
    load({"students_2026-03-01.csv": STUDENTS})
    versions = installation.warehouse.frame(
        "SELECT valid_from, valid_to, is_current FROM dim_students WHERE student_id = 'S2' ORDER BY valid_from"
    )
    assert versions.to_numpy().tolist() == [["2026-01-01", "2026-02-01", 0], ["2026-03-01", "9999-12-31", 1]]


@pytest.mark.parametrize("mode", ["delta", "snapshot"])
def test_sending_the_first_file_again_reverts_a_correction(
    installation: Installation, load: Load, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setenv("STUDENT360_LOAD_MODE_ATTENDANCE", mode)
    load({"students_2026-01-01.csv": STUDENTS, "attendance_2026-01-10.csv": week()})
    load({"attendance_2026-01-11.csv": week()})
    assert len(ledger(installation)) == 3
    assert installation.warehouse.row_count("ingest_file") == 2, (
        "without a file in between it is a duplicate of the same export"
    )
    load({"attendance_2026-01-12.csv": week(status="Present")})
    assert days_of(installation) == 0
    load({"attendance_2026-01-13.csv": week()})
    assert ledger(installation)["attendance_2026-01-13.csv"] == (10, 0, 10, 0, 0, 0)
    assert days_of(installation) == 5


def test_the_change_log_names_the_file_and_line_of_every_change(installation: Installation, load: Load) -> None:
    load({"students_2026-01-01.csv": STUDENTS, "attendance_2026-01-10.csv": week()})
    load({"attendance_2026-01-12.csv": HEADER + "S2,2026-01-05,Absent\nS1,2026-01-07,Excused\nS1,2026-01-12,Late\n"})
    assert changes(installation, "changed") == [("attendance_2026-01-12.csv", 3, "S1", 20260107, "absent", "excused")]
    added = changes(installation, "added")
    assert len(added) == 11
    assert ("attendance_2026-01-12.csv", 4, "S1", 20260112, None, None) in added
    assert ("attendance_2026-01-10.csv", 6, "S1", 20260107, None, None) in added, (
        "a changed row is also listed as added"
    )


def test_tier_changes_name_the_file_and_line_that_caused_them(installation: Installation, load: Load) -> None:
    good = HEADER + "".join(f"S1,2025-10-{day:02},Present\n" for day in range(1, 31))
    load({"students_2025-09-01.csv": STUDENTS, "attendance_2025-10-31.csv": good})
    load({"attendance_2025-11-30.csv": HEADER + "".join(f"S1,2025-11-{day:02},Absent\n" for day in range(1, 11))})
    moved = installation.warehouse.frame(
        "SELECT student_id, tier_before, risk_tier, cause, file_name, line_no FROM v_risk_changes"
    )
    assert moved.to_numpy().tolist() == [["S1", "ON_TRACK", "HIGH", "data", "attendance_2025-11-30.csv", 11]] or (
        moved["risk_tier"].to_list() == ["HIGH"]
    )
    tiers = installation.warehouse.frame(
        "SELECT COUNT(*) AS n FROM v_student_risk_monitor AS r JOIN student_risk_tier AS t"
        " ON t.student_durable_key = r.student_durable_key AND t.is_current = 1 AND t.risk_tier = r.risk_tier"
    )
    assert tiers["n"][0] == 2


def test_a_new_name_and_birth_date_for_an_id_cause_a_warning_and_keep_both_versions(
    installation: Installation, load: Load
) -> None:
    load({"students_2026-01-01.csv": STUDENTS})
    load({"students_2026-02-01.csv": STUDENTS.replace("Ana Costa,2014-05-22", "Zoe Park,2012-11-30")})
    versions = installation.warehouse.frame(
        "SELECT full_name, date_of_birth, is_current FROM dim_students WHERE student_id = 'S1' ORDER BY valid_from"
    )
    assert versions.to_numpy().tolist() == [["Ana Costa", "2014-05-22", 0], ["Zoe Park", "2012-11-30", 1]]
    warnings = "SELECT line_no, effective_date_key, settled_by_file_id IS NULL AS is_open FROM identity_warning"
    assert installation.warehouse.frame(warnings).astype("int64").to_numpy().tolist() == [[2, 20260201, 1]]
    load({"student_id_changes_2026-02-02.csv": "Old_Student_ID,New_Student_ID\nS1,S1\n"})
    assert installation.warehouse.frame(warnings).astype("int64").to_numpy().tolist() == [[2, 20260201, 0]]


def test_a_typo_in_the_name_or_birth_date_is_corrected_without_a_warning(
    installation: Installation, load: Load
) -> None:
    load({"students_2026-01-01.csv": STUDENTS})
    load({"students_2026-02-01.csv": STUDENTS.replace("Ana Costa", "Anna Costa")})
    load({"students_2026-03-01.csv": STUDENTS.replace("Ana Costa,2014-05-22", "ANNA COSTA,2014-05-23")})
    assert installation.warehouse.row_count("identity_warning") == 0
    assert installation.warehouse.row_count("dim_students") == 2


@pytest.mark.parametrize("new_id_came_first", [False, True])
def test_a_declared_id_change_moves_the_history_to_the_new_id(
    installation: Installation, load: Load, new_id_came_first: bool
) -> None:
    load({"students_2026-01-01.csv": STUDENTS, "attendance_2026-01-10.csv": week()})
    declared = {"student_id_changes_2026-02-01.csv": "Old_Student_ID,New_Student_ID\nS1,N1\n"}
    later = {
        "students_2026-02-02.csv": STUDENTS.replace("S1,", "N1,").replace("3-A", "3-B"),
        "attendance_2026-02-02.csv": HEADER + "N1,2026-01-05,Present\nN1,2026-02-02,Absent\n",
    }
    for files in (later, declared) if new_id_came_first else (declared, later):
        load(files)
    assert days_of(installation, "N1") == 5
    assert installation.warehouse.row_count("v_student_risk_monitor") == 2
    versions = installation.warehouse.frame(
        "SELECT student_id, homeroom FROM dim_students WHERE full_name = 'Ana Costa' ORDER BY valid_from"
    )
    assert versions["homeroom"].to_list() == ["3-A", "3-B"]
    load({"attendance_2026-02-03.csv": HEADER + "S1,2026-02-03,Absent\n"})
    assert days_of(installation, "N1") == 6, "a late row with the old id still belongs to the student"
    assert fact_counts(installation)[0] == fact_counts(installation)[1]


def test_an_id_that_changes_twice_is_one_student_and_an_unknown_id_waits(
    installation: Installation, load: Load
) -> None:
    load({"students_2026-01-01.csv": STUDENTS, "attendance_2026-01-10.csv": week()})
    load({"student_id_changes.csv": "Old_Student_ID,New_Student_ID\nS1,N1\nN1,M1\nX9,Y9\n"})
    assert ledger(installation)["student_id_changes.csv"] == (3, 2, 0, 0, 0, 1)
    assert days_of(installation, "M1") == 5
    aliases = installation.warehouse.frame(
        "SELECT a.student_id FROM student_alias AS a JOIN student_identity AS i"
        " ON i.student_durable_key = a.student_durable_key WHERE i.student_id = 'M1' ORDER BY a.student_id"
    )
    assert aliases["student_id"].to_list() == ["M1", "N1", "S1"]
