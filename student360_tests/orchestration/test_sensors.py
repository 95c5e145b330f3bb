"""The landing sensor requests one run for files that are ready, and another one if they were not loaded."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from dagster import AssetMaterialization, DagsterInstance, RunRequest, SkipReason, build_sensor_context

from student360.definitions import defs
from student360.ingest.files import LandedFile
from student360.orchestration import sensors
from student360.orchestration.sensors import Memory, micro_batch
from student360.settings import load_settings
from student360_tests.support.installation import Installation

ATTENDANCE = b"Student_ID,Date,Attendance_Status\nS1,2026-01-05,P\n"


@pytest.fixture(autouse=True)
def short_evaluations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensors, "LOOK_SECONDS", 0.3)


def tick(cursor: str | None = None, materialized: bool = True) -> tuple[RunRequest | SkipReason, str | None]:
    """Evaluate the sensor on an instance on which every asset was materialized once, or none."""
    with DagsterInstance.ephemeral() as instance:
        for key in defs.resolve_asset_graph().materializable_asset_keys if materialized else ():
            instance.report_runless_asset_event(AssetMaterialization(key))
        context = build_sensor_context(instance=instance, cursor=cursor, definitions=defs)
        result = sensors.landing_sensor(context)
        assert isinstance(result, RunRequest | SkipReason)
        return result, context.cursor


def settled_cursor(installation: Installation) -> str:
    """Return the cursor of an installation whose rules are loaded and which has seen no files."""
    _, cursor = tick()
    memory = Memory.read(cursor)
    memory.retry_at = 0
    return memory.write()


def test_changed_rules_request_a_run(installation: Installation) -> None:
    request, cursor = tick()
    assert isinstance(request, RunRequest)
    assert {"risk_rules", "v_student_risk_monitor"} <= {key.to_user_string() for key in request.asset_selection or []}
    again, _ = tick(cursor)
    assert isinstance(again, SkipReason)


def test_only_edited_rules_are_requested_again(
    installation: Installation, load: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    load({"students_2026-01-01.csv": "Student_ID,Full_Name,Date_of_Birth,Grade_Level,Emergency_Contact\nS1,A,,3,\n"})
    cursor = settled_cursor(installation)
    rules = installation.root / "reference"
    shutil.copytree(load_settings().reference_dir, rules)
    with (rules / "dim_attendance_codes.csv").open("a") as file:
        file.write("zoom,PRESENT,0,0,Online\n")
    monkeypatch.setenv("STUDENT360_REFERENCE_DIR", str(rules))
    request, _ = tick(cursor)
    assert isinstance(request, RunRequest)
    names = {key.to_user_string() for key in request.asset_selection or []}
    assert {name for name in names if not name.startswith(("v_", "student_"))} == {"dim_attendance_codes"}
    assert {"student_month", "v_student_risk_monitor"} <= names


def test_a_file_requests_one_run_with_only_the_assets_it_affects(installation: Installation) -> None:
    cursor = settled_cursor(installation)
    installation.drop("attendance_2026-01-05.csv", ATTENDANCE)
    request, cursor_after = tick(cursor)
    assert isinstance(request, RunRequest)
    names = {key.to_user_string() for key in request.asset_selection or []}
    assert {"raw_attendance", "stg_attendance", "fact_attendance", "student_month", "v_student_risk_monitor"} <= names
    assert not {"raw_students", "dim_students", "fact_homework", "agg_risk_tiers", "landing_files"} & names
    assert "attendance_2026" not in json.dumps(request.run_config) + json.dumps(request.tags)
    again, _ = tick(cursor_after)
    assert isinstance(again, SkipReason)
    assert "waiting before the next attempt" in str(again.skip_message)


@pytest.mark.fault("F19")
def test_a_file_that_was_not_loaded_is_requested_again_with_a_new_run_key(installation: Installation) -> None:
    installation.drop("attendance_2026-01-05.csv", ATTENDANCE)
    first, cursor = tick(settled_cursor(installation))
    memory = Memory.read(cursor)
    memory.retry_at = 0
    second, _ = tick(memory.write())
    assert isinstance(first, RunRequest)
    assert isinstance(second, RunRequest)
    assert first.run_key != second.run_key


def test_a_file_with_the_same_name_and_different_content_is_a_new_batch(installation: Installation) -> None:
    installation.drop("attendance_2026-01-05.csv", ATTENDANCE)
    first, cursor = tick(settled_cursor(installation))
    installation.drop("attendance_2026-01-05.csv", ATTENDANCE + b"S2,2026-01-05,A\n")
    second, _ = tick(cursor)
    assert isinstance(first, RunRequest)
    assert isinstance(second, RunRequest)
    assert first.run_key != second.run_key


@pytest.mark.fault("F44")
def test_files_left_in_the_work_folder_request_a_run(installation: Installation) -> None:
    cursor = settled_cursor(installation)
    (installation.data / "work" / "0123@attendance.csv").write_bytes(ATTENDANCE)
    request, _ = tick(cursor)
    assert isinstance(request, RunRequest)


@pytest.mark.fault("F17", "F44")
def test_a_lost_or_invalid_cursor_is_read_as_an_empty_one(installation: Installation) -> None:
    for cursor in (None, "", "garbage", '{"other": 1}'):
        assert Memory.read(cursor) == Memory()


@pytest.mark.fault("F20")
def test_a_growing_file_is_not_ready_before_the_settle_time_has_passed() -> None:
    memory = Memory()
    growing = [LandedFile(Path("a.csv"), (size, size, 1)) for size in (1, 2, 2)]
    assert memory.settled(growing[:1], 0.0, 2.0) == []
    assert memory.settled(growing[1:2], 1.9, 2.0) == []
    assert memory.settled(growing[2:], 3.8, 2.0) == []
    assert memory.settled(growing[2:], 4.0, 2.0) == growing[2:]


def test_a_batch_is_limited_by_number_and_size_of_files(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDENT360_BATCH_FILES", "3")
    monkeypatch.setenv("STUDENT360_BATCH_MEGABYTES", "1")
    settings = load_settings()
    small = [LandedFile(Path(f"{n}.csv"), (10, 0, 0)) for n in range(5)]
    huge = [LandedFile(Path(f"{n}.csv"), (2**21, 0, 0)) for n in range(5)]
    assert len(micro_batch(small, settings)) == 3
    assert len(micro_batch(huge, settings)) == 1


def test_an_asset_that_was_never_materialized_is_requested_with_the_next_run(installation: Installation) -> None:
    """Dagster searches the event log for each input of a step that was never materialized, in every run."""
    request, _ = tick(materialized=False)
    assert isinstance(request, RunRequest)
    requested = {key.to_user_string() for key in request.asset_selection or []}
    assert {"raw_groups", "stg_groups", "fact_student_groups", "student_id_change"} <= requested
    assert "agg_risk_tiers" not in requested
    assert set(request.run_config["ops"]) == {name for name in requested if name.startswith("raw_")}
