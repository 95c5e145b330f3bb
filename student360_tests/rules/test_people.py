"""The views for counselors and principals: caseloads, homerooms, changes of tiers, and the list of a day."""

import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from student360.cli.main import main
from student360_tests.support.installation import Installation

Load = Callable[..., None]
ROSTER = "Student_ID,Full_Name,Date_of_Birth,Grade_Level,Emergency_Contact,School_ID,Homeroom\n" + "".join(
    f"S{n},Canary Name{n},2014-05-22,Grade 7,,SCH-1,{'7-1' if n < 4 else '7-2'}\n" for n in range(1, 6)
)
WEEKS = pd.bdate_range("2025-09-01", "2025-10-17").strftime("%Y-%m-%d").tolist()


def attendance(days: list[str], away: dict[str, set[str]]) -> str:
    """Return rows of five students. `away` contains the days missed, by student."""
    rows = (
        f"S{n},{day},{'Absent' if day in away.get(f'S{n}', set()) else 'Present'}\n"
        for day in days
        for n in range(1, 6)
    )
    return "Student_ID,Date,Attendance_Status\n" + "".join(rows)


@pytest.fixture
def loaded_weeks(load: Load) -> None:
    """Load six weeks, of which S1 missed the first ten days, then a week of which S2 missed all and S5 two days."""
    before, last = WEEKS[:-5], WEEKS[-5:]
    load(
        {
            "students_2025-09-01.csv": ROSTER,
            f"attendance_{before[-1]}.csv": attendance(before, {"S1": set(before[:10])}),
        }
    )
    load({f"attendance_{last[-1]}.csv": attendance(last, {"S2": set(last), "S5": set(last[:2])})})


@pytest.mark.usefixtures("loaded_weeks")
def test_movers_are_students_whose_tier_changed_within_a_week(installation: Installation) -> None:
    movers = installation.warehouse.frame("SELECT * FROM v_risk_movers ORDER BY student_id")
    assert movers[["student_id", "tier_before", "risk_tier", "direction"]].to_numpy().tolist() == [
        ["S2", "ON_TRACK", "MODERATE", "WORSE"],
        ["S5", "ON_TRACK", "WATCH", "WORSE"],
    ]
    assert movers["reasons"][0].startswith("missed 5 of 35 school days (14 %), 5 in the last 20")
    assert movers["file_name"].tolist() == [f"attendance_{WEEKS[-1]}.csv"] * 2


@pytest.mark.usefixtures("loaded_weeks")
def test_a_caseload_lists_the_students_of_a_homeroom_by_severity(installation: Installation) -> None:
    rows = installation.warehouse.frame("SELECT * FROM v_caseload ORDER BY homeroom, place")
    assert rows[["homeroom", "place", "student_id", "risk_tier"]].to_numpy().tolist() == [
        ["7-1", 1, "S1", "HIGH"],
        ["7-1", 2, "S2", "MODERATE"],
        ["7-2", 1, "S5", "WATCH"],
    ]
    assert rows["tier_since"].tolist() == [WEEKS[-6], WEEKS[-1], WEEKS[-1]]
    homerooms = installation.warehouse.frame("SELECT * FROM v_homerooms ORDER BY homeroom")
    columns = ["homeroom", "students", "high", "moderate", "watch", "on_track", "got_worse"]
    assert homerooms[columns].to_numpy().tolist() == [["7-1", 3, 1, 1, 0, 1, 1], ["7-2", 2, 0, 0, 1, 1, 1]]


@pytest.mark.usefixtures("loaded_weeks")
def test_the_list_is_available_for_any_date_and_saved_with_private_permissions(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    saved = tmp_path / "list.csv"
    monkeypatch.setattr(sys, "argv", ["student360", "risk", "--csv", str(saved)])
    assert main() == 0
    current = capsys.readouterr().out
    assert "S2" in current
    assert "Got worse in the last week" in current
    assert "Canary" not in current
    assert saved.stat().st_mode & 0o777 == 0o600
    assert pd.read_csv(saved)["full_name"].str.startswith("Canary").all()
    monkeypatch.setattr(sys, "argv", ["student360", "risk", "--on", WEEKS[-6]])
    assert main() == 0
    past = capsys.readouterr().out
    assert f"As of {WEEKS[-6]}" in past
    assert "when recomputed today" not in past
