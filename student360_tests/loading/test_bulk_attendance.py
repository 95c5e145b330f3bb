"""Attendance by month counted by DuckDB (many students) equals what the database counts (single days)."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from student360.cli.sample import District
from student360.loading import bulk_attendance
from student360.operations.verify import verify
from student360.settings import Settings, load_settings
from student360_tests.conftest import run_pipeline
from student360_tests.support.installation import Installation

STUDENTS = [f"S{number:03}" for number in range(40)]
CODES = ["Present", "Present", "Absent", "Excused", "Late", "dozing", "half day"]
DAYS = District(len(STUDENTS), 70).school_days()
FIGURES = "monthly, course, year-to-date and risk figures equal those recomputed from all facts"
HEADER = "Student_ID,Full_Name,Date_of_Birth,Grade_Level,Emergency_Contact,School_ID,Homeroom"


def roster(moved: int) -> bytes:
    """Return a roster in which the first `moved` students are at another school."""
    rows = (
        f"{student},Ana Diaz,2012-01-01,Grade 5,,SCH-{2 if number < moved else 1},5-A"
        for number, student in enumerate(STUDENTS)
    )
    return "\n".join([HEADER, *rows, ""]).encode()


def attendance(seed: int, first: int, last: int) -> bytes:
    """Return random attendance: 90 % of the students on each day, one to four periods, with or without a school."""
    random = Random(seed)
    rows = [
        f"{student},{day},{period},{random.choice(CODES)},{random.choice(['', '', 'SCH-1', 'SCH-2'])}"
        for day in DAYS[first:last]
        for student in STUDENTS
        if random.random() < 0.9
        for period in range(random.randint(1, 4))
    ]
    return "\n".join(["Student_ID,Date,Period,Attendance_Status,School_ID", *rows, ""]).encode()


def with_closures(settings: Settings, folder: Path) -> Settings:
    """Return the settings with two closures: one for all schools, one for a single school."""
    rules = folder / "rules"
    shutil.copytree(settings.reference_dir, rules)
    rows = f"{DAYS[5]},{DAYS[5]},no_school,Storm,\n{DAYS[25]},{DAYS[25]},no_school,Flood,SCH-2\n"
    (rules / "dim_dates.csv").write_text(f"first_date,last_date,event,name,school_id\n{rows}")
    return replace(settings, reference_dir=rules)


def differences_from_database(installation: Installation, settings: Settings) -> tuple[str, ...]:
    """Return the differences between the stored months and the database's count of all facts."""
    return next(promise.broken for promise in verify(installation.warehouse, settings) if promise.name == FIGURES)


@pytest.fixture(autouse=True)
def _use_duckdb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_attendance, "MANY_MONTHS", 1)
    monkeypatch.setattr(bulk_attendance, "FACTS_AT_ONCE", 300)


@pytest.mark.parametrize("day_rule", ["share", "half", "any"])
def test_days_periods_schools_and_closures_are_counted_as_in_the_database(
    installation: Installation, day_rule: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = with_closures(replace(load_settings(), day_rule=day_rule), tmp_path)
    installation.drop(f"students_{DAYS[0]}.csv", roster(0))
    installation.drop(f"attendance_{DAYS[40]}.csv", attendance(1, 0, 40))
    with caplog.at_level(logging.INFO, bulk_attendance.__name__):
        run_pipeline(installation, settings)
    assert f"computed the attendance of month {DAYS[0]:%Y%m}: 1 of" in caplog.text
    assert installation.warehouse.row_count("student_attendance_month") > 2 * len(STUDENTS)
    assert differences_from_database(installation, settings) == ()
    installation.drop(f"students_{DAYS[50]}.csv", roster(9))
    installation.drop(f"attendance_{DAYS[60]}.csv", attendance(2, 35, 60))
    run_pipeline(installation, settings)
    assert differences_from_database(installation, settings) == ()


@pytest.mark.parametrize("many", [1, 10**9])
def test_running_totals_are_correct_in_any_order_of_arrival(
    installation: Installation, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_attendance, "MANY_MONTHS", many)
    installation.drop(f"students_{DAYS[0]}.csv", roster(0))
    spans = [(40, 60), (0, 15), (15, 41), (3, 5), *((day, day + 1) for day in range(60, 68))]
    for number, (first, last) in enumerate(spans):
        installation.drop(f"attendance_{number}.csv", attendance(number, first, last))
        run_pipeline(installation, load_settings())
        assert differences_from_database(installation, load_settings()) == (), f"after days {first} to {last}"
    wrong = installation.warehouse.frame(
        "SELECT * FROM (SELECT days_before, SUM(days_recorded) OVER in_order - days_recorded AS days,"
        " parts_before, SUM(absent_parts) OVER in_order - absent_parts AS parts,"
        " unmapped_before, SUM(days_unmapped) OVER in_order - days_unmapped AS unmapped FROM student_attendance_month"
        " WINDOW in_order AS (PARTITION BY student_durable_key, school_year ORDER BY month_key, first_date_key,"
        " school_key)) AS m WHERE days_before <> days OR parts_before <> parts OR unmapped_before <> unmapped"
    )
    assert wrong.empty


def test_the_database_counts_if_only_absences_are_sent(
    installation: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    settings = replace(load_settings(), attendance_sent="absences_only")
    installation.drop(f"students_{DAYS[0]}.csv", roster(0))
    installation.drop(f"attendance_{DAYS[40]}.csv", attendance(3, 0, 40))
    with caplog.at_level(logging.INFO, bulk_attendance.__name__):
        run_pipeline(installation, settings)
    assert caplog.text == ""
    assert differences_from_database(installation, settings) == ()
