"""The risk history: snapshots of what was shown on a day, recomputation of past days, and the rules in force."""

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from student360.cli.sample import District, write_district
from student360.loading import bulk_risk
from student360.rules.risk import indicators_as_of, risk_as_of, risk_said_on
from student360.settings import PROJECT
from student360_tests.support.installation import Installation

Load = Callable[..., None]


def daily_files(folder: Path) -> list[dict[str, str]]:
    """Return the files of a small district: those of the first 38 days together, then those of each day."""
    district = District(students=40, days=46, seed=5, mess=False)
    written = {path.name.partition("_")[0]: path for path in write_district(folder, district)}
    days: dict[str, dict[str, str]] = {}
    for feed, column in (
        ("attendance", "Date"),
        ("performance", "Date"),
        ("homework", "Due_Date"),
        ("communication", "Date"),
    ):
        rows = pd.read_csv(written[feed], dtype="str")
        for day, of_day in rows.groupby(column):
            days.setdefault(str(day), {})[f"{feed}_{day}.csv"] = of_day.to_csv(index=False)
    for path in folder.glob("students_*.csv"):
        days.setdefault(path.stem.partition("_")[2], {})[path.name] = path.read_text()
    in_order = [days[day] for day in sorted(days)]
    return [{name: text for files in in_order[:38] for name, text in files.items()}, *in_order[38:]]


def monitor(installation: Installation) -> pd.DataFrame:
    return installation.warehouse.frame("SELECT * FROM v_student_risk_monitor ORDER BY student_id")


@pytest.mark.parametrize("many", [1, 10**9], ids=["judged by DuckDB", "judged by the database"])
def test_recomputing_a_past_day_gives_the_rows_shown_on_that_day(
    installation: Installation, load: Load, many: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_risk, "MANY_STUDENTS", many)
    monkeypatch.setattr(bulk_risk, "STUDENTS_AT_ONCE", 15)
    seen: dict[date, pd.DataFrame] = {}
    for files in daily_files(tmp_path):
        load(files)
        rows = monitor(installation)
        seen[date.fromisoformat(rows["known_until"][0])] = rows
    assert len(seen) >= 8
    tiers = pd.concat([rows.set_index("student_id")["risk_tier"] for rows in seen.values()], axis=1)
    assert (tiers.nunique(axis=1) > 1).sum() >= 5, "the tier of some students changes"
    with installation.warehouse.reading() as tx:
        for day, rows in seen.items():
            again = risk_as_of(tx, day).sort_values("student_id", ignore_index=True)
            pd.testing.assert_frame_equal(again, rows, check_dtype=False, obj=f"the monitor on {day}")
            shown = risk_said_on(tx, day)
            assert shown["risk_tier"].tolist() == rows["risk_tier"].tolist()
            assert (shown["as_of_date_key"] <= int(f"{day:%Y%m%d}")).all()
            each = indicators_as_of(tx, day)
            assert set(each["indicator"]) >= {"attendance_rate", "attendance_trend", "courses_failing"}


@pytest.mark.parametrize("many", [1, 10**9], ids=["judged by DuckDB", "judged by the database"])
def test_a_correction_changes_only_the_rows_of_its_students(
    installation: Installation, load: Load, many: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_risk, "MANY_STUDENTS", many)
    load(daily_files(tmp_path)[0])
    before = monitor(installation)
    days = pd.bdate_range(end=before["known_until"][0], periods=5)
    few = ["S000001", "S000040"]
    rows = "".join(f"{student},{day:%Y-%m-%d},Absent\n" for day in days for student in few)
    load({f"attendance_{days[-1] + pd.Timedelta(days=1):%Y-%m-%d}.csv": f"Student_ID,Date,Attendance_Status\n{rows}"})
    after = monitor(installation)
    changed = (after != before)[["days_absent", "days_absent_in_a_row", "reasons"]].all(axis=1)
    assert after.loc[changed, "student_id"].tolist() == few
    pd.testing.assert_frame_equal(after[~changed], before[~changed])
    with installation.warehouse.reading() as tx:
        again = risk_as_of(tx, days[-1].date()).sort_values("student_id", ignore_index=True)
    pd.testing.assert_frame_equal(again, after, check_dtype=False)


def test_a_snapshot_keeps_the_original_tier_and_a_recomputation_uses_the_correction(
    installation: Installation, load: Load
) -> None:
    head = "Student_ID,Date,Attendance_Status\n"
    days = [f"2025-09-{day:02}" for day in (1, 2, 3, 4, 5, 8, 9, 10, 11, 12)]
    roster = "Student_ID,Full_Name,Date_of_Birth,Grade_Level,Emergency_Contact\nS1,Ana Costa,2014-05-22,Grade 3,\n"
    load(
        {
            "students_2025-09-01.csv": roster,
            "attendance_2025-09-12.csv": head + "".join(f"S1,{day},Absent\n" for day in days),
        }
    )
    load({"attendance_2025-09-15.csv": head + "".join(f"S1,{day},Present\n" for day in [*days, "2025-09-15"])})
    with installation.warehouse.reading() as tx:
        shown, recomputed = risk_said_on(tx, date(2025, 9, 12)), risk_as_of(tx, date(2025, 9, 12))
        today = risk_said_on(tx, date(2025, 9, 15))
    assert (shown["risk_tier"][0], shown["days_absent"][0]) == ("HIGH", 10.0)
    assert (recomputed["risk_tier"][0], recomputed["days_absent"][0]) == ("ON_TRACK", 0.0)
    assert today["risk_tier"][0] == "ON_TRACK"


def test_each_tier_references_the_version_of_its_rules(
    installation: Installation, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = tmp_path / "reference"
    shutil.copytree(PROJECT / "data" / "reference", rules)
    monkeypatch.setenv("STUDENT360_REFERENCE_DIR", str(rules))
    absences = "".join(
        f"S1,2025-09-{day:02},{'Absent' if day == 1 else 'Present'}\n" for day in range(1, 13) if day not in (6, 7)
    )
    load(
        {
            "students_2025-09-01.csv": "Student_ID,Full_Name,Date_of_Birth,Grade_Level,Emergency_Contact\n"
            "S1,Ana Costa,2014-05-22,Grade 3,\n",
            "attendance_2025-09-12.csv": "Student_ID,Date,Attendance_Status\n" + absences,
        }
    )
    text = (rules / "risk_rules.csv").read_text()
    (rules / "risk_rules.csv").write_text(text.replace("risk,le,90,", "risk,le,85,"))
    load()
    found = installation.warehouse.frame(
        "SELECT t.risk_tier, t.cause, h.threshold_x100 FROM student_risk_tier AS t JOIN risk_rule_history AS h"
        " ON h.version_no = t.rules_version AND h.rule_set = t.rule_set AND h.indicator = 'attendance_rate'"
        " AND h.level = 2"
        " ORDER BY t.change_no"
    )
    assert found.to_numpy().tolist() == [["MODERATE", "data", 9000], ["WATCH", "rules", 8500]]


def test_facts_join_the_student_version_that_is_valid_on_their_date(installation: Installation, load: Load) -> None:
    roster = (
        "Student_ID,Full_Name,Date_of_Birth,Grade_Level,Emergency_Contact,School_ID\nS1,Ana,2014-05-22,Grade {},,{}\n"
    )
    rows = "".join(f"S1,2025-09-{day:02},{'Absent' if day < 10 else 'Present'}\n" for day in range(8, 13))
    load(
        {
            "students_2025-09-01.csv": roster.format(3, "SCH-1"),
            "students_2025-09-10.csv": roster.format(4, "SCH-2"),
            "attendance_2025-09-12.csv": "Student_ID,Date,Attendance_Status\n" + rows,
            "performance_2025-09-12.csv": (
                "Student_ID,Subject,Exam_Score,Homework_Completion_%,Teacher_Comments,Date\n"
                "S1,Math,80,90,kind,2025-09-08\nS1,Math,81,90,kind,2025-09-11\nS1,Science,82,90,kind,\n"
            ),
            "homework_2025-09-12.csv": (
                "Student_ID,Subject,Assignment_Name,Due_Date,Status,Grade_Feedback,Guardian_Signature\n"
                "S1,Math,One,2025-09-09,Done,A,Yes\nS1,Math,Two,2025-09-10,Done,A,Yes\n"
            ),
            "communication_2025-09-12.csv": (
                "Student_ID,Date,Message_Type,Message_Content\n"
                "S1,2025-09-01,Teacher to Parent,hello\nS1,2025-08-15,Teacher to Parent,before school\n"
                "S1,2025-09-12,Automated Reminder,bring a pen\n"
            ),
        }
    )
    for view, what, expected in (
        ("v_performance", "percent", [[80.0, "Grade 3"], [81.0, "Grade 4"], [82.0, "Grade 4"]]),
        ("v_homework", "assignment", [["One", "Grade 3"], ["Two", "Grade 4"]]),
        (
            "v_communication",
            "message_content",
            [["before school", "Grade 3"], ["bring a pen", "Grade 4"], ["hello", "Grade 3"]],
        ),
    ):
        shown = installation.warehouse.frame(f"SELECT {what}, grade_level FROM {view} ORDER BY {what}")
        assert shown.to_numpy().tolist() == expected, view
    found = installation.warehouse.frame(
        "SELECT full_date, attendance_code, grade_level, school_id FROM v_attendance ORDER BY full_date"
    )
    assert found.to_numpy().tolist() == [
        [
            f"2025-09-{day:02}",
            "absent" if day < 10 else "present",
            *(("Grade 3", "SCH-1") if day < 10 else ("Grade 4", "SCH-2")),
        ]
        for day in range(8, 13)
    ]
    by_school = installation.warehouse.frame(
        "SELECT school_id, days_recorded, days_absent FROM v_attendance_by_school ORDER BY school_id"
    )
    assert by_school.to_numpy().tolist() == [["SCH-1", 2, 2.0], ["SCH-2", 3, 0.0]]


def test_figures_of_the_previous_school_year_are_kept(installation: Installation, load: Load) -> None:
    head = "Student_ID,Date,Attendance_Status\n"
    roster = "Student_ID,Full_Name,Date_of_Birth,Grade_Level,Emergency_Contact\nS1,Ana Costa,2014-05-22,Grade 3,\n"
    load(
        {"students_2025-01-01.csv": roster, "attendance_a.csv": head + "S1,2025-06-30,Absent\nS1,2025-07-01,Present\n"}
    )
    years = installation.warehouse.frame(
        "SELECT school_year, days_recorded, days_absent FROM v_attendance_by_school ORDER BY 1"
    )
    assert years.to_numpy().tolist() == [[2025, 1, 1.0], [2026, 1, 0.0]]
    with installation.warehouse.reading() as tx:
        assert risk_as_of(tx, date(2025, 6, 30))["days_absent"].tolist() == [1.0]
    assert monitor(installation)["days_absent"].tolist() == [0.0]
