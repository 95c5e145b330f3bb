"""For many students only the last months of the year are read, with the same result as reading the whole year."""

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from random import Random

import pandas as pd
import pyarrow as pa
import pytest

from student360.cli.sample import District
from student360.loading import bulk_risk
from student360.loading.bulk_duckdb import rows_read
from student360.rules.risk import risk_as_of
from student360.settings import PROJECT
from student360.warehouse.transaction import Transaction
from student360_tests.support.installation import Installation

Load = Callable[..., None]
STUDENTS = [f"S{number:03}" for number in range(60)]
DAYS = District(students=1, days=160).school_days()
PATTERNS = (
    "every day",
    "rarely",
    "came late",
    "left early",
    "long illness",
    "long gap",
    "unknown codes",
    "returned",
)
ABSENCES = ["Absent", "Excused", "half day"]


def attendance_rows() -> dict[date, list[str]]:
    """Return attendance rows by day, of students for whom the last months suffice and of others who need older ones."""
    random = Random(360)
    rows: dict[date, list[str]] = {day: [] for day in DAYS}
    for number, student in enumerate(STUDENTS):
        kind = PATTERNS[number % len(PATTERNS)]
        since, until = sorted(random.sample(range(10, 150), 2))
        for day_number, day in enumerate(DAYS):
            within = since <= day_number < until
            status = random.choice(ABSENCES) if random.random() < 0.15 else "Present"
            if kind == "rarely" and random.random() < 0.7:
                continue
            if (kind == "came late" and day_number < since) or (kind == "left early" and day_number >= until):
                continue
            if kind == "returned" and 25 <= day_number < 86:
                continue
            if kind == "long gap" and within:
                continue
            if kind == "long illness" and day_number >= since:
                status = "Absent"
            if kind == "unknown codes" and within:
                status = "dozing"
            rows[day].append(f"{student},{day},{status}\n")
    return rows


def roster() -> str:
    rows = "".join(f"{student},Ana Diaz,2012-01-01,Grade 5,\n" for student in STUDENTS)
    return f"Student_ID,Full_Name,Date_of_Birth,Grade_Level,Emergency_Contact\n{rows}"


@pytest.mark.parametrize("trend_days", [20, 10])
def test_reading_only_the_last_months_gives_the_same_result_as_reading_the_whole_year(
    installation: Installation, load: Load, trend_days: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = tmp_path / "reference"
    shutil.copytree(PROJECT / "data" / "reference", rules)
    text = (rules / "risk_rules.csv").read_text()
    (rules / "risk_rules.csv").write_text(
        text.replace("attendance_trend,,,watch,ge,10,20,", f"attendance_trend,,,watch,ge,10,{trend_days},")
    )
    monkeypatch.setenv("STUDENT360_REFERENCE_DIR", str(rules))
    read: list[int] = []

    def counted(tx: Transaction, source: str, query: str) -> pa.Table:
        rows = rows_read(tx, source, query)
        if source.startswith("student_attendance_month"):
            read.append(rows.num_rows)
        return rows

    monkeypatch.setattr(bulk_risk, "rows_read", counted)
    monkeypatch.setattr(bulk_risk, "MANY_STUDENTS", 1)
    monkeypatch.setattr(bulk_risk, "STUDENTS_AT_ONCE", 25)
    rows = attendance_rows()
    load({f"students_{DAYS[0]}.csv": roster()})
    ends = [15, 62, 111, 147]
    start = 0
    for end in ends:
        text = "Student_ID,Date,Attendance_Status\n" + "".join(row for day in DAYS[start:end] for row in rows[day])
        start = end
        read.clear()
        load({f"attendance_{DAYS[end - 1]}.csv": text})
        monitor = installation.warehouse.frame("SELECT * FROM v_student_risk_monitor ORDER BY student_id")
        with installation.warehouse.reading() as tx:
            again = risk_as_of(tx, DAYS[end - 1]).sort_values("student_id", ignore_index=True)
        pd.testing.assert_frame_equal(monitor, again, check_dtype=False, obj=f"the monitor after {end} days")
    months = installation.warehouse.row_count("student_attendance_month")
    of_all, of_some = sum(read[0::2]), sum(read[1::2])
    assert of_some > 0 and of_all + of_some < months, "the last months of all students, and older months of some"
