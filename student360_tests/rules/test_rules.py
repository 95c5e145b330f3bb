"""Rules are reference data: an invalid file is refused with line and reason, and the previous rules stay active."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from student360.cli.report import to_do_report
from student360.loading.refresh import refused_rules
from student360.operations.verify import verify
from student360.rules.reference import check_reference, reference_path, reference_text
from student360.rules.reference_checks import CHECKS, COLUMNS, ReferenceProblem
from student360.settings import PROJECT, Settings, load_settings
from student360.warehouse.scripts import scripts
from student360_tests.support.installation import Installation

Load = Callable[..., None]
DAYS = [f"2025-09-{day:02}" for day in (1, 2, 3, 4, 5, 8, 9, 10, 11, 12)]
FILES = {
    "students_2025-09-01.csv": "Student_ID,Full_Name,Date_of_Birth,Grade_Level,Emergency_Contact\n"
    "S1,Ana Costa,2014-05-22,Grade 3,\n",
    "attendance_2025-09-12.csv": "Student_ID,Date,Attendance_Status\n"
    + "".join(f"S1,{day},{'Absent' if day == DAYS[0] else 'Present'}\n" for day in DAYS),
}


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the reference folder for the test to edit."""
    folder = tmp_path / "reference"
    shutil.copytree(PROJECT / "data" / "reference", folder)
    monkeypatch.setenv("STUDENT360_REFERENCE_DIR", str(folder))
    return folder


def mistakes(rules: Path, file: str, old: str, new: str) -> list[str]:
    """Edit a reference file and return the mistakes found in it."""
    path = rules / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    settings = load_settings()
    try:
        check_reference(path.stem, reference_text(path.stem, settings), settings)
    except ReferenceProblem as problem:
        return [str(mistake) for mistake in problem.mistakes]
    return []


RULES, CODES, DAYS_OFF = "risk_rules.csv", "dim_attendance_codes.csv", "dim_dates.csv"
RULE = "default,attendance_rate,,,risk"
UNTIL = '10 % or more",1990-01-01'
HEADER = "school_id\n"


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        (RULES, "le,90,", "le,ninety,", "line 3, threshold 'ninety': must be a number with at most two decimals"),
        (RULES, "le,90,", "le,90.125,", "line 3, threshold '90.125': must be a number with at most two decimals"),
        (RULES, "le,90,", "le,99,", "line 3, threshold '99': is less severe than the threshold of the previous level"),
        (RULES, "risk,le,90,", "risk,ge,90,", "line 3, comparator 'ge': has the opposite direction"),
        (RULES, "risk,le,90,", "grave,le,90,", "line 3, level 'grave': must be one of watch, risk, severe"),
        (RULES, RULE, RULE.replace("attendance", "attendence"), "line 3, indicator 'attendence_rate': must be one of"),
        (RULES, RULE, RULE.replace(",,,", ",Primary,,"), "line 3, grade_band 'Primary': must be one of"),
        (RULES, f"{RULE},le,90,,10", f"{RULE},le,90,,11", "line 3, minimum_data '11': must be equal for the same"),
        (RULES, "watch,ge,10,20,", "watch,ge,10,,", "window_size: must not be blank for this indicator"),
        (RULES, UNTIL, UNTIL.replace("1990-01-01", "1.1.1990"), "line 3, valid_from '1.1.1990': must be a date"),
        (RULES, f"{UNTIL},", f"{UNTIL},1980-01-01", "line 3, valid_to '1980-01-01': must be after valid_from"),
        (RULES, RULE, RULE.replace("risk", "watch"), "line 3, rule_set 'default': an earlier row has the same"),
        (RULES, "threshold", "limit", "line 1, threshold: this column is missing"),
        ("risk_indicators.csv", "100,always,0", "100,often,0", "line 2, required 'often': must be one of"),
        ("risk_texts.csv", "failing {value} of {count} core courses", "", "line 6, reason: must not be blank"),
        (CODES, "absent,ABSENT,100", "absent,AWAY,100", "line 21, category 'AWAY': must be one of"),
        (
            CODES,
            "absent,ABSENT,100",
            "absent,ABSENT,",
            "line 21, absent_share_pct: must not be blank, except for NO_SCHOOL",
        ),
        (CODES, "absent,ABSENT,100", "absnt,ABSENT,100", "code 'absnt': an earlier row has the same"),
        (DAYS_OFF, HEADER, f"{HEADER}2025-12-24,2025-12-01,no_school,,\n", "is before first_date"),
        (DAYS_OFF, HEADER, f"{HEADER}24.12.2025,2025-12-31,no_school,,\n", "line 2, first_date '24.12.2025'"),
        (DAYS_OFF, HEADER, f"{HEADER}2025-12-24,2025-12-31,holiday,,\n", "line 2, event 'holiday': must be one of"),
        ("dim_letter_grades.csv", "B,80,1", "B,80,1,,", "line 1, (file): cannot be read as a CSV"),
    ],
)
def test_a_mistake_is_reported_with_line_column_value_and_reason(
    rules: Path, file: str, old: str, new: str, expected: str
) -> None:
    found = mistakes(rules, file, old, new)
    assert any(expected in mistake for mistake in found), found


def test_the_shipped_reference_files_are_valid_and_all_checked() -> None:
    settings = load_settings({})
    for path in settings.reference_dir.glob("*.csv"):
        assert path.stem in COLUMNS and path.stem in CHECKS
        check_reference(path.stem, path.read_text(), settings)
    for script in scripts().values():
        assert not script.has_rules or reference_path(script.name, settings).exists()


def test_an_invalid_rule_file_is_refused_and_the_previous_rules_stay_active(
    installation: Installation, load: Load, rules: Path
) -> None:
    load(FILES)
    assert tier(installation) == "MODERATE"
    good = (rules / "risk_rules.csv").read_text()
    (rules / "risk_rules.csv").write_text(good.replace("risk,le,90,", "risk,le,85%,"))
    load()
    load()
    with installation.warehouse.reading() as tx:
        refused = refused_rules(tx, scripts()["risk_rules"])
    assert [(m.line, m.column, m.value) for m in refused] == [(3, "threshold", "85%")]
    assert tier(installation) == "MODERATE"
    assert "85%" in text_of_to_do(installation)
    (rules / "risk_rules.csv").write_text(good.replace("risk,le,90,", "risk,le,85,"))
    load()
    assert tier(installation) == "WATCH"
    assert to_do_report(installation.warehouse, load_settings()) is None


def test_an_invalid_code_table_loses_no_rows(installation: Installation, load: Load, rules: Path) -> None:
    load(FILES)
    codes = (rules / "dim_attendance_codes.csv").read_text()
    (rules / "dim_attendance_codes.csv").write_text(codes.replace("ABSENT", "AWAY"))
    load({"attendance_2025-09-15.csv": "Student_ID,Date,Attendance_Status\nS1,2025-09-15,Absent\nS1,2025-09-16,Zzz\n"})
    counts = installation.warehouse.frame(
        "SELECT category, COUNT(*) AS n FROM v_attendance GROUP BY category ORDER BY category"
    )
    assert counts.to_numpy().tolist() == [["ABSENT", 2], ["PRESENT", 9], ["UNMAPPED", 1]]


def test_stored_totals_of_scores_and_messages_follow_changed_rules(
    installation: Installation, load: Load, rules: Path
) -> None:
    def monitor_value(column: str) -> float | None:
        assert [line for promise in verify(installation.warehouse, load_settings()) for line in promise.broken] == []
        value = installation.warehouse.frame(f"SELECT {column} AS value FROM v_student_risk_monitor")["value"][0]
        return None if pd.isna(value) else float(value)

    def change(file: str, old: str, new: str) -> None:
        assert mistakes(rules, file, old, new) == []
        load()

    load(
        FILES
        | {
            "performance_2025-09-12.csv": "Student_ID,Subject,Exam_Score,Homework_Completion_%,Teacher_Comments,Date\n"
            "S1,Math,50,90,,2025-09-02\nS1,English,65,90,,2025-09-02\nS1,English,60,90,,2025-09-09\n",
            "communication_2025-09-12.csv": "Student_ID,Date,Message_Type,Message_Content\n"
            "S1,2025-09-02,Meeting,\nS1,2025-09-10,Email,\n",
        }
    )
    assert (monitor_value("courses_failing"), monitor_value("score_change"), monitor_value("days_without_contact")) == (
        1,
        -5,
        2,
    )
    change("dim_subjects.csv", "math,Math,1", "math,Math,0")
    assert monitor_value("courses_failing") == 0
    change("dim_letter_grades.csv", "D,60,1", "D,60,0")
    assert monitor_value("courses_failing") == 1
    change("dim_message_types.csv", "email,TEACHER_TO_FAMILY,1", "email,AUTOMATIC,0")
    assert monitor_value("days_without_contact") == 10
    change("dim_dates.csv", HEADER, HEADER + "2024-09-02,2025-09-05,school_year,,\n")
    assert (monitor_value("courses_failing"), monitor_value("score_change"), monitor_value("days_recorded")) == (
        1,
        None,
        5,
    )
    load({"attendance_2026-09-01.csv": "Student_ID,Date,Attendance_Status\nS1,2026-09-01,Present\n"})
    assert (monitor_value("courses_failing"), monitor_value("days_without_contact")) == (None, 364)


def test_the_first_load_fails_without_valid_rules(installation: Installation, load: Load, rules: Path) -> None:
    (rules / "risk_rules.csv").write_text("rule_set\n")
    with pytest.raises(ReferenceProblem, match=r"risk_rules\.csv: line 1, indicator: this column is missing"):
        load(FILES)


def test_an_unknown_rule_set_changes_nothing(
    installation: Installation, load: Load, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(FILES)
    monkeypatch.setenv("STUDENT360_RULE_SET", "sede")
    load()
    assert tier(installation) == "MODERATE"
    assert "sede" in text_of_to_do(installation)
    monkeypatch.setenv("STUDENT360_RULE_SET", "seed")
    load()
    assert installation.warehouse.frame("SELECT rule_set FROM v_student_risk_monitor")["rule_set"][0] == "seed"


def tier(installation: Installation) -> str:
    return str(installation.warehouse.frame("SELECT risk_tier FROM v_student_risk_monitor")["risk_tier"][0])


def text_of_to_do(installation: Installation) -> str:
    table = to_do_report(installation.warehouse, load_settings())
    assert table is not None
    return " ".join(str(cell) for column in table.columns for cell in column.cells)
