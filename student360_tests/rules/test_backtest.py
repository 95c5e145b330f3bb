"""The backtest finds the trajectories planted in a synthetic district, and groups are never inputs of a rule."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from dagster import DagsterInstance, materialize

from student360.cli.sample import District, planted_ways, write_district
from student360.orchestration.assets.analysis import backtest_asset
from student360.rules.backtest import ANY_LOOK, ON_THE_LIST, OUTCOMES, Year, compare
from student360.warehouse.scripts import scripts
from student360_tests.support.installation import Installation

Load = Callable[..., None]
DISTRICT = District(students=120, days=180, seed=3, mess=False, planted=True)


def row_of(found: pd.DataFrame, judged_by: str, outcome: str, looked_on_key: int) -> dict[Any, Any]:
    """Return the row of risk_backtest with this key."""
    key = (found["judged_by"] == judged_by) & (found["outcome"] == outcome) & (found["looked_on_key"] == looked_on_key)
    rows = found[key].to_dict("records")
    assert len(rows) == 1
    return dict(rows[0])


@pytest.mark.timeout(600)
def test_the_backtest_finds_the_planted_trajectories(installation: Installation, load: Load, tmp_path: Path) -> None:
    load({path.name: path.read_text() for path in write_district(tmp_path, DISTRICT)})
    with DagsterInstance.ephemeral() as instance:
        result = materialize(
            [backtest_asset(scripts()["risk_backtest"])],
            instance=instance,
            resources={"warehouse": installation.warehouse},
        )
    shown = result.asset_materializations_for_node("risk_backtest")[0].metadata
    assert "data:image/png;base64," in str(shown["picture"].value)
    found = installation.warehouse.frame("SELECT * FROM risk_backtest")
    ways = pd.Series(planted_ways(DISTRICT)).value_counts()

    ever = row_of(found, ON_THE_LIST, "either", ANY_LOOK)
    assert ever["had_outcome"] == ways["declining"] + ways["early trouble"] + ways["failing"]
    assert ever["recall_pct"] == 100.0
    assert ever["precision_pct"] < 100.0, "students who recovered were also on the list"
    by_attendance = row_of(found, "attendance_rate at risk", "chronically absent", ANY_LOOK)
    assert by_attendance["had_outcome"] == ways["declining"] + ways["early trouble"]
    by_courses = row_of(found, "courses_failing at risk", "failed a core course", ANY_LOOK)
    assert (by_courses["had_outcome"], by_courses["recall_pct"]) == (ways["failing"], 100.0)

    of_the_list = (found["judged_by"] == ON_THE_LIST) & (found["outcome"] == "chronically absent")
    looks = found[of_the_list & (found["looked_on_key"] != ANY_LOOK)].sort_values("looked_on_key")
    recall = [float(percent) for percent in looks["recall_pct"]]
    assert recall[0] < 70 < recall[-1], "declining students are found when they decline"
    assert ever["median_lead_days"] > 60


def test_precision_recall_and_lead_time_are_correct() -> None:
    first, second, last = date(2025, 10, 1), date(2025, 12, 1), date(2026, 6, 1)
    judged = pd.DataFrame(
        [
            # day, student, tier, level of the one indicator
            (first, 1, "HIGH", 2),
            (first, 2, "ON_TRACK", 0),
            (first, 3, "MODERATE", 2),
            (first, 4, "ON_TRACK", 0),
            (second, 1, "ON_TRACK", 0),
            (second, 2, "HIGH", 3),
            (second, 3, "WATCH", 1),
            (second, 4, "ON_TRACK", 0),
        ],
        columns=["looked_on", "student_durable_key", "risk_tier", "level"],
    ).assign(indicator="attendance_rate")
    outcomes = pd.DataFrame(
        {
            "student_durable_key": [1, 2, 3, 4, 5],
            "chronically_absent": [1, 1, 0, 1, 1],
            "failed_a_core_course": [None, 0, 0, 0, 0],
        }
    )
    found = compare(Year(2026, judged, outcomes, last))
    row = row_of(found, "attendance_rate at risk", OUTCOMES[0], ANY_LOOK)
    assert (row["students"], row["flagged"], row["had_outcome"], row["hits"]) == (4, 3, 3, 2)
    assert row["precision_pct"] == row["recall_pct"] == pytest.approx(100 * 2 / 3)
    assert row["median_lead_days"] == ((last - first).days + (last - second).days) / 2
    at_first = row_of(found, "tier HIGH", OUTCOMES[0], 20251001)
    assert (at_first["flagged"], at_first["hits"], at_first["precision_pct"]) == (1, 1, 100.0)
    no_outcome = row_of(found, "tier HIGH", OUTCOMES[1], ANY_LOOK)
    assert (no_outcome["students"], no_outcome["had_outcome"], no_outcome["flagged"]) == (3, 0, 1)
    assert pd.isna(no_outcome["recall_pct"])


def test_flag_rates_are_shown_per_group_and_small_groups_are_hidden(installation: Installation, load: Load) -> None:
    students = [f"S{n:03}" for n in range(1, 36)]
    days = [f"2025-09-{day:02}" for day in (1, 2, 3, 4, 5, 8, 9, 10, 11, 12)]
    roster = "Student_ID,Full_Name,Date_of_Birth,Grade_Level,Emergency_Contact\n"
    away = set(students[:5])
    load(
        {
            "students_2025-09-01.csv": roster + "".join(f"{s},Some One,2014-05-22,Grade 3,\n" for s in students),
            "attendance_2025-09-12.csv": "Student_ID,Date,Attendance_Status\n"
            + "".join(f"{s},{day},{'Absent' if s in away else 'Present'}\n" for s in students for day in days),
            "groups_2025-11-01.csv": "Student_ID,Group_Name,Group_Value\n"
            + "".join(
                f"{s},Language,{'Spanish' if n < 10 else 'English' if n < 30 else 'Other'}\n"
                for n, s in enumerate(students)
            ),
        }
    )
    rows = installation.warehouse.frame("SELECT * FROM v_fairness ORDER BY group_value")
    assert rows[["group_name", "group_value", "students", "flagged", "flag_rate"]].to_numpy().tolist() == [
        ["language", "English", 20, 0, 0.0],
        ["language", "Spanish", 10, 5, 50.0],
    ]
    assert rows["times_the_rate_of_all"].tolist() == [0.0, pytest.approx(3.0)]
    assert installation.warehouse.frame("SELECT as_of_date FROM v_as_of")["as_of_date"][0] == "2025-09-12"


def test_no_rule_reads_groups() -> None:
    readers = {name for name, script in scripts().items() if script.mentions(frozenset({"fact_student_groups"}))}
    assert readers <= {"v_fairness", "v_changes"}
