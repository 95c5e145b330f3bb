"""The risk monitor: every student, every reason, boundaries in integers, and no data is never fine."""

from collections.abc import Callable
from datetime import date, timedelta

import pandas as pd
import pytest

from student360_tests.running import House

Load = Callable[..., None]
ROSTER = "Student_ID,Full_Name,Date_of_Birth,Grade_Level,Emergency_Contact\nS1,Ana Costa,2014-05-22,Grade 3,555-1\n"


def school_days(count: int) -> list[date]:
    days = (date(2025, 9, 1) + timedelta(days=n) for n in range(400))
    return [day for day in days if day.weekday() < 5][:count]


def attendance(codes: str, subject: bool = False) -> str:
    """One row per day, a letter each: P present, A absent, E excused, L late, H half day, N no school, ? unknown."""
    words = {"P": "Present", "A": "Absent", "E": "Excused", "L": "Late", "H": "Half day", "N": "No school", "?": "Zzz"}
    rows = (f"S1,{day},{words[code]}\n" for day, code in zip(school_days(len(codes)), codes, strict=True))
    return "Student_ID,Date,Attendance_Status\n" + "".join(rows)


def scores(**by_subject: list[float]) -> str:
    day = school_days(1)[0]
    rows = (
        f"S1,{subject},{score},90,,Test {n},{day}\n"
        for subject, values in by_subject.items()
        for n, score in enumerate(values)
    )
    return "Student_ID,Subject,Exam_Score,Homework_Completion_%,Teacher_Comments,Assessment,Date\n" + "".join(rows)


def homework(done: int, missing: int) -> str:
    statuses = [" Done "] * done + ["❌"] * missing
    rows = (f"S1,Math,Task {n},{school_days(1)[0]},{status},,\n" for n, status in enumerate(statuses))
    head = "Student_ID,Subject,Assignment_Name,Due_Date,Status,Grade_Feedback,Guardian_Signature\n"
    return head + "".join(rows)


GOOD_SCORES = {"Math": [80.0, 85.0], "English": [90.0]}


def monitor(house: House) -> pd.Series:
    rows = house.warehouse.frame("SELECT * FROM v_student_risk_monitor")
    assert len(rows) == 1
    return rows.iloc[0]


@pytest.mark.parametrize(
    ("absent", "days", "flag", "tier"),
    [
        pytest.param(0, 9, "INSUFFICIENT_DATA", "INSUFFICIENT_DATA", id="9 days are too few to judge"),
        pytest.param(9, 9, "INSUFFICIENT_DATA", "INSUFFICIENT_DATA", id="... even when all are missed"),
        pytest.param(0, 10, "OK", "ON_TRACK", id="10 days are enough"),
        pytest.param(1, 20, "OK", "ON_TRACK", id="95 % is satisfactory (Attendance Works)"),
        pytest.param(8, 90, "WATCH", "WATCH", id="8 of 90 is below 95 %"),
        pytest.param(9, 90, "RISK", "MODERATE", id="9 of 90 is chronic absence (Attendance Works)"),
        pytest.param(17, 90, "RISK", "MODERATE", id="17 of 90 is not yet severe"),
        pytest.param(18, 90, "SEVERE", "HIGH", id="18 of 90 is severe (Attendance Works)"),
    ],
)
def test_attendance_boundaries(house: House, load: Load, absent: int, days: int, flag: str, tier: str) -> None:
    order = ("A" + "P" * (days // max(absent, 1) - 1)) * absent
    load(
        {
            "students_2025-09-01.csv": ROSTER,
            "attendance.csv": attendance(order.ljust(days, "P")),
            "performance.csv": scores(**GOOD_SCORES),
        }
    )
    row = monitor(house)
    assert (row["attendance_flag"], row["risk_tier"]) == (flag, tier)
    if absent and days >= 10 and flag != "OK":
        assert f"missed {absent} of {days} school days" in row["reasons"]


@pytest.mark.parametrize(
    ("codes", "days", "absent"),
    [
        ("PPPPPPPPPA", 10, 1.0),
        ("PPPPPPPPPE", 10, 1.0),
        ("PPPPPPPPPL", 10, 0.0),
        ("PPPPPPPPPH", 10, 0.5),
        ("PPPPPPPPPN", 9, 0.0),
        ("PPPPPPPPP?", 9, 0.0),
    ],
)
def test_what_counts_as_a_day_and_as_absent(house: House, load: Load, codes: str, days: int, absent: float) -> None:
    load({"students_2025-09-01.csv": ROSTER, "attendance.csv": attendance(codes)})
    row = monitor(house)
    assert (row["days_recorded"], row["days_absent"]) == (days, absent)


def test_a_day_with_several_subjects_counts_by_its_share(house: House, load: Load) -> None:
    rows = "".join(
        f"S1,{day},{subject},{'absnt' if subject == 'Math' else 'P'}\n"
        for day in school_days(30)
        for subject in ("Math", "English", "Science")
    )
    load({"students_2025-09-01.csv": ROSTER, "a_attendance.csv": "Student_ID,Date,Subject,Attendance_Status\n" + rows})
    row = monitor(house)
    assert (row["days_recorded"], row["days_absent"], row["attendance_flag"]) == (30, 10.0, "SEVERE")


@pytest.mark.parametrize(
    ("by_subject", "failing", "tier"),
    [
        ({"Math": [60.0], "English": [60.0]}, 0, "WATCH"),
        ({"Math": [59.9], "English": [95.0]}, 1, "MODERATE"),
        ({"Math": [59.0], "English": [59.0], "Science": [99.0]}, 2, "HIGH"),
        ({"Math": [50.0, 105.0], "English": [95.0, 95.0]}, 1, "MODERATE"),
        ({"Math": [105.0], "English": [110.0]}, None, "INSUFFICIENT_DATA"),
    ],
)
def test_courses_and_scores(
    house: House, load: Load, by_subject: dict[str, list[float]], failing: int | None, tier: str
) -> None:
    load(
        {
            "students_2025-09-01.csv": ROSTER,
            "attendance.csv": attendance("P" * 20),
            "performance.csv": scores(**by_subject),
        }
    )
    row = monitor(house)
    found = None if pd.isna(row["courses_failing"]) else int(row["courses_failing"])
    assert (found, row["risk_tier"]) == (failing, tier)


def test_two_indicators_at_risk_make_high_and_every_reason_is_told(house: House, load: Load) -> None:
    contact = f"Student_ID,Date,Message_Type,Message_Content\nS1,{school_days(1)[0]},Automated Reminder,Hello\n"
    load(
        {
            "students_2025-09-01.csv": ROSTER,
            "attendance.csv": attendance("A" * 10 + "P" * 80),
            "performance.csv": scores(Math=[59.0], English=[80.0]),
            "homework.csv": homework(done=1, missing=3),
            "communication.csv": contact,
        }
    )
    row = monitor(house)
    assert row["risk_tier"] == "HIGH"
    assert row["reasons"] == (
        "missed 10 of 90 school days, present 88.9 % (limit 90 %); "
        "failing 1 core course(s) of 2 (limit 1); "
        "handed in 25 % of 4 homework assignments (limit 50 %); "
        "average score 69.5 % (limit 70 %); "
        "at risk and no two-way family contact for 123 days (limit 60)"
    )


def test_a_contact_gap_alone_is_no_risk(house: House, load: Load) -> None:
    contact = f"Student_ID,Date,Message_Type,Message_Content\nS1,{school_days(1)[0]},Automated Reminder,Hello\n"
    load(
        {
            "students_2025-09-01.csv": ROSTER,
            "attendance.csv": attendance("P" * 90),
            "performance.csv": scores(**GOOD_SCORES),
            "communication.csv": contact,
        }
    )
    row = monitor(house)
    assert (row["risk_tier"], row["reasons"], row["contact_flag"]) == ("ON_TRACK", "", "OK")


def test_a_student_without_data_is_on_the_list_as_insufficient_data(house: House, load: Load) -> None:
    load({"students_2025-09-01.csv": ROSTER})
    row = monitor(house)
    assert row["risk_tier"] == "INSUFFICIENT_DATA"
    assert row["data_coverage"] == 0
    assert house.warehouse.row_count("v_student_360") == 1


def test_a_student_without_attendance_is_not_on_track_however_good_the_scores(house: House, load: Load) -> None:
    load({"students_2025-09-01.csv": ROSTER, "performance.csv": scores(**GOOD_SCORES)})
    row = monitor(house)
    assert row["risk_tier"] == row["attendance_flag"] == "INSUFFICIENT_DATA"
    assert row["score_flag"] == "OK"


def test_the_seed_rules_are_a_rule_set(house: House, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDENT360_RULE_SET", "seed")
    load(
        {
            "students_2025-09-01.csv": ROSTER,
            "attendance.csv": attendance("A" * 18 + "P" * 72),
            "performance.csv": scores(Math=[59.0], English=[60.0]),
        }
    )
    row = monitor(house)
    assert (row["attendance_flag"], row["score_flag"], row["rule_set"]) == ("OK", "RISK", "seed")


def test_a_july_day_belongs_to_the_year_that_ends_after_it(house: House, load: Load) -> None:
    rows = "Student_ID,Date,Attendance_Status\nS1,2025-06-30,Absent\nS1,2025-07-01,Present\n"
    load({"students_2025-06-01.csv": ROSTER, "attendance.csv": rows})
    months = house.warehouse.frame("SELECT month_key, school_year FROM v_attendance_monthly ORDER BY month_key")
    assert months.to_numpy().tolist() == [[202506, 2025], [202507, 2026]]
    assert monitor(house)["days_recorded"] == 1


def test_the_whole_picture_of_a_student_is_one_row(house: House, load: Load) -> None:
    load(
        {
            "students_2025-09-01.csv": ROSTER,
            "attendance.csv": attendance("PPPPPLLEEA"),
            "performance.csv": scores(Math=[70.0, 105.0], English=[90.0]),
            "homework.csv": homework(done=3, missing=1),
        }
    )
    row = house.warehouse.frame("SELECT * FROM v_student_360 WHERE student_id = 'S1'").iloc[0]
    assert row["courses"] == "English 90 %; Math 70 %"
    assert (row["days_absent"], row["days_excused"], row["days_late"]) == (3.0, 2.0, 2)
    assert (row["scores_flagged"], row["homework_missing"], row["homework_rate"]) == (1, 1, 75.0)
