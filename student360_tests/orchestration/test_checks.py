"""Asset checks report problems of a load with counts and a description of the fix, without quoting values."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetCheckEvaluation, AssetKey, DagsterInstance, ExecuteInProcessResult, TableMetadataValue

from student360.definitions import build_defs
from student360.settings import load_settings
from student360_tests.loading.test_loading import STUDENTS
from student360_tests.support.installation import Installation

HEADER = "Student_ID,Date,Attendance_Status\n"
CANARY = "Zyx-Canary-7731"


@pytest.fixture
def ingest(installation: Installation) -> Callable[[dict[str, str]], ExecuteInProcessResult]:
    """A function that drops files and runs the ingest job."""

    def _ingest(files: dict[str, str]) -> ExecuteInProcessResult:
        for name, text in files.items():
            installation.drop(name, text.encode())
        with DagsterInstance.ephemeral() as instance:
            return build_defs().resolve_job_def("ingest").execute_in_process(instance=instance)

    return _ingest


def evaluations(result: ExecuteInProcessResult) -> dict[str, AssetCheckEvaluation]:
    """Return the check evaluations by `table.check`."""
    found = result.get_asset_check_evaluations()
    return {f"{each.asset_key.to_user_string()}.{each.check_name}": each for each in found}


def table(check: AssetCheckEvaluation, name: str) -> list[dict[str, Any]]:
    shown = check.metadata[name]
    assert isinstance(shown, TableMetadataValue)
    return [dict(record.data) for record in shown.records]


def metadata(result: ExecuteInProcessResult, table: str) -> dict[str, Any]:
    events = [e.materialization for e in result.get_asset_materialization_events() if e.asset_key == AssetKey(table)]
    return {name: value.value for event in events for name, value in event.metadata.items()}


def test_each_kind_of_problem_fails_a_check_that_describes_the_fix(
    installation: Installation,
    ingest: Callable[[dict[str, str]], ExecuteInProcessResult],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STUDENT360_LOAD_MODE_ATTENDANCE", "snapshot")
    monkeypatch.setenv("STUDENT360_MAX_WITHDRAWALS", "3")
    good = "".join(f"{student},2025-10-{day:02},Present\n" for day in range(1, 31) for student in ("S1", "S2"))
    first = evaluations(ingest({"students_2026-01-01.csv": STUDENTS, "attendance_2026-01-10.csv": HEADER + good}))
    assert [name for name, each in first.items() if not each.passed] == []
    second = evaluations(
        ingest(
            {
                "students_2026-02-01.csv": STUDENTS.replace("Ana Costa,2014-05-22", f"{CANARY},2011-11-11"),
                "attendance_2026-01-12.csv": HEADER + f"S1,2025-10-01,Present\nS1,{CANARY},Present",
                "homework_2026-01-12.csv": f"Student_ID,Subject\nS1,{CANARY}\n",
            }
        )
    )
    wrong = {name for name, each in second.items() if not each.passed}
    assert wrong == {
        "dim_students.identities_clear",
        "fact_attendance.rejects_share",
        "fact_attendance.nothing_odd",
        "fact_attendance.withdrawals_allowed",
        "fact_homework.files_accepted",
    }
    for name in wrong:
        assert str(second[name].description).startswith("How to fix:")
        assert CANARY not in repr(second[name])
    (reason,) = table(second["fact_attendance.rejects_share"], "reasons")
    assert "Write it as year-month-day" in str(reason.pop("reason"))
    assert reason == {"column_name": "date", "reason_code": "date_format", "row_count": 1, "first_line": 3}
    (refused,) = table(second["fact_homework.files_accepted"], "files")
    assert "missing" in str(refused["reason"])


def test_the_metadata_counts_added_changed_and_withdrawn_rows(
    ingest: Callable[[dict[str, str]], ExecuteInProcessResult],
) -> None:
    good = HEADER + "".join(f"S1,2025-10-{day:02},Present\n" for day in range(1, 31))
    first = metadata(
        ingest({"students_2025-09-01.csv": STUDENTS, "attendance_2025-10-31.csv": good}), "fact_attendance"
    )
    assert (first["rows_added"], first["rows_changed"], first["rows_withdrawn"]) == (30, 0, 0)
    absent = good.replace("Present", "Absent").replace("2025-10-01,Absent", "2025-10-01,Present")
    second = ingest({"attendance_2025-11-01.csv": absent})
    found = metadata(second, "fact_attendance")
    assert (found["rows_added"], found["rows_changed"], found["rows_withdrawn"]) == (0, 29, 0)
    assert metadata(second, "student_risk_tier")["moved_from_on_track_to_high"] == 1


def test_unknown_and_ignored_files_in_landing_fail_their_checks(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("student360.ingest.files.LEFT_ALONE_SECONDS", -1)
    landing = load_settings().landing
    (landing / f"{CANARY}.csv.part").write_text("unfinished")
    (landing / "link.csv").symlink_to("/etc/passwd")
    installation.drop("menu.csv", b"a,b\n1,2\n")
    with DagsterInstance.ephemeral() as instance:
        assert build_defs().resolve_job_def("ingest").execute_in_process(instance=instance).success
        quality = build_defs().resolve_job_def("quality").execute_in_process(instance=instance, raise_on_error=False)
    found = evaluations(quality)
    assert not found["landing_files.every_file_known"].passed
    left = found["landing_files.nothing_left_alone"]
    assert not left.passed
    assert sum(int(str(value.value)) for value in left.metadata.values()) == 2
    assert CANARY not in repr(left)


def test_attendance_without_presence_and_invalid_rules_fail_their_checks(
    installation: Installation,
    ingest: Callable[[dict[str, str]], ExecuteInProcessResult],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    rules = tmp_path / "reference"
    shutil.copytree(load_settings().reference_dir, rules)
    monkeypatch.setenv("STUDENT360_REFERENCE_DIR", str(rules))
    absences = HEADER + "S1,2025-10-01,Absent\nS2,2025-10-02,Excused\n"
    first = evaluations(ingest({"students_2025-09-01.csv": STUDENTS, "attendance_2025-10-03.csv": absences}))
    assert not first["fact_attendance.presence_sent"].passed
    assert "STUDENT360_ATTENDANCE_SENT=absences_only" in str(first["fact_attendance.presence_sent"].description)
    assert first["risk_rules.rules_valid"].passed

    monkeypatch.setenv("STUDENT360_ATTENDANCE_SENT", "absences_only")
    text = (rules / "risk_rules.csv").read_text()
    (rules / "risk_rules.csv").write_text(text.replace("watch,lt,95,", "watch,lt,high,"))
    second = evaluations(ingest({}))
    assert second["fact_attendance.presence_sent"].passed
    assert not second["risk_rules.rules_valid"].passed
    (mistake,) = table(second["risk_rules.rules_valid"], "where")
    assert (mistake["line"], mistake["column"], mistake["value"]) == (2, "threshold", "high")
    days = installation.warehouse.frame("SELECT SUM(days_recorded) AS days FROM student_attendance_month")["days"][0]
    assert days == 2 * 2, "both days now count for both students"
