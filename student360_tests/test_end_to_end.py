"""End to end with the real daemon and sensor: dropped files reach the risk view, and no personal data leaks."""

from pathlib import Path

import pytest
import yaml
from dagster import AssetKey, DagsterRunStatus

from student360.cli.sample import District, write_district
from student360.spark.java import find_java
from student360_tests.conftest import SQLITE_AND_POSTGRES_IN_FULL, assert_every_row_is_accounted_for
from student360_tests.support.canaries import CANARIES, assert_no_canary_outside_data
from student360_tests.support.installation import Installation, wait_until
from student360_tests.support.postgres import OwnServer, run_sql

ROSTER = (
    "Student_ID,Full_Name,Date_of_Birth,Grade_Level,Emergency_Contact\n"
    + "".join(f"S{n:06},Student {n},2014-01-0{n % 9 + 1},Grade 3,555\n" for n in range(1, 51))
    + f"S900000,{CANARIES[0]},{CANARIES[2]},Grade 3,{CANARIES[1]}\n"
)
BAD_ROSTER = f"Student_ID,Full_Name,Date_of_Birth,Grade_Level\nS1,{CANARIES[0]},{CANARIES[2]},Grade 3\n"
BROKEN_ROSTER = ROSTER.replace("S900000,", f"{CANARIES[0]} {CANARIES[1]},")


@pytest.mark.fault("F16")
@pytest.mark.xdist_group("daemon")
def test_files_dropped_before_and_after_start_reach_the_risk_view(installation: Installation) -> None:
    drop_files_until_they_are_in_the_risk_view(installation)


@pytest.mark.xdist_group("daemon")
@pytest.mark.parametrize("engine", SQLITE_AND_POSTGRES_IN_FULL, indirect=True)
def test_files_reach_the_risk_view_with_a_stock_dagster_yaml(installation: Installation) -> None:
    """Without anything of student360.instance: no run launcher, no retries, no sensor threads."""
    path = installation.dagster_home / "dagster.yaml"
    ours = yaml.safe_load(path.read_text())
    stock = {name: ours[name] for name in ("storage", "telemetry") if name in ours}
    path.write_text(yaml.safe_dump(stock))
    assert "student360" not in path.read_text()
    drop_files_until_they_are_in_the_risk_view(installation)


def drop_files_until_they_are_in_the_risk_view(installation: Installation) -> None:
    """Drop facts before the daemon starts, then their roster and files that are quarantined, and check the result."""
    sample = installation.root / "sample"
    files = {path.name.split("_")[0]: path for path in write_district(sample, District(students=50, days=20))}
    installation.drop(files["attendance"].name, files["attendance"].read_bytes())
    warehouse = installation.warehouse

    def status(name: str) -> str | None:
        rows = warehouse.frame("SELECT status FROM ingest_file WHERE first_name = ?", (name,))
        return rows["status"][0] if len(rows) else None

    with installation.daemon():
        wait_until(lambda: status(files["attendance"].name) == "waiting", 90, "early facts with the status waiting")
        for feed in ("performance", "homework", "communication"):
            installation.drop(files[feed].name, files[feed].read_bytes())
        installation.drop("roster_2025-09-30.csv", BAD_ROSTER.encode())
        wait_until(lambda: status("roster_2025-09-30.csv") == "quarantined", 90, "the bad roster in quarantine")
        installation.drop("roster_2025-10-01.csv", ROSTER.encode())
        wait_until(lambda: status("roster_2025-10-01.csv") == "loaded", 90, "the roster loaded")
        installation.drop("roster_2025-10-02.csv", BROKEN_ROSTER.encode())
        wait_until(lambda: status("roster_2025-10-02.csv") is not None, 90, "the broken roster")
        wait_until(
            lambda: warehouse.frame("SELECT SUM(rows_waiting) AS n FROM ingest_file")["n"][0] <= 20,
            90,
            "the waiting facts merged",
        )
        wait_until(lambda: not list((installation.data / "work").iterdir()), 60, "the work folder empty")
        view = "SELECT COUNT(*) AS n FROM v_student_risk_monitor WHERE days_recorded > 0"
        wait_until(lambda: int(warehouse.frame(view)["n"][0]) == 50, 60, "the risk view")
        if has_java():
            spark = "SELECT COUNT(*) AS n FROM agg_attendance_trend"
            wait_until(
                lambda: int(warehouse.frame(spark)["n"][0]) > 0,
                240,
                "the Spark aggregates, by their automation condition",
            )
    assert_runs_succeeded(installation)
    assert_files_are_shown(installation)
    assert_no_canary_outside_data(installation)


@pytest.mark.fault("F31")
@pytest.mark.xdist_group("own_server")
def test_a_database_restart_under_the_daemon_causes_only_a_retry(own_server: OwnServer, tmp_path: Path) -> None:
    """Both the warehouse and Dagster's storage are on the server that is restarted during a load."""
    installation = Installation(tmp_path, own_server.url, "under_daemon")
    installation.prepare()
    run_sql(f"CREATE SCHEMA {installation.dagster_schema}", own_server.url)
    files = write_district(tmp_path / "sample", District(students=2_000, days=60))
    warehouse = installation.warehouse
    loading = (
        "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = 'student360' AND backend_xid IS NOT NULL"
        " AND clock_timestamp() - xact_start > INTERVAL '0.2 seconds'"
    )

    def finished() -> bool:
        outcomes = warehouse.frame("SELECT status FROM ingest_file")
        statuses = set(outcomes.get("status", []))
        return len(outcomes) == len(files) and statuses <= {"loaded", "waiting"}

    with installation.daemon():
        wait_until(lambda: log_contains(installation, "daemon"), 60, "the daemon", every=0.5)
        for path in files:
            installation.drop(path.name, path.read_bytes())
        wait_until(lambda: run_sql(loading, own_server.url)[0][0] > 0, 120, "a load in progress", every=0.01)
        own_server.control("restart", "-m", "immediate")
        wait_until(finished, 240, "everything loaded after the restart", every=1)
        wait_until(lambda: not list((installation.data / "work").iterdir()), 60, "the work folder empty")
        wait_until(lambda: warehouse.row_count("v_student_risk_monitor") == 2_000, 60, "the risk monitor", every=1)
    ledger = warehouse.frame("SELECT * FROM ingest_file")
    assert_every_row_is_accounted_for(ledger)
    attendance = ledger.loc[ledger["feed"] == "attendance", "rows_loaded"].sum()
    assert warehouse.row_count("fact_attendance") == attendance > 100_000


def log_contains(installation: Installation, word: str) -> bool:
    return installation.log.exists() and word in installation.log.read_text(errors="replace")


def has_java() -> bool:
    try:
        return bool(find_java())
    except Exception:
        return False


def assert_runs_succeeded(installation: Installation) -> None:
    with installation.instance() as instance:
        runs = [run for run in instance.get_runs() if run.job_name == "ingest"]
        assert runs
        assert {run.status for run in runs} == {DagsterRunStatus.SUCCESS}


def assert_files_are_shown(installation: Installation) -> None:
    """Assert that each file is a partition of landing_files, and that a quarantined file has a reason."""
    with installation.instance() as instance:
        partitions = instance.get_dynamic_partitions("landing_files")
        records = instance.fetch_materializations(AssetKey("landing_files"), limit=100).records
    shown = [record.asset_materialization for record in records if record.asset_materialization]
    assert {event.partition for event in shown} == set(partitions)
    assert len(partitions) == 7
    quarantined = [event for event in shown if event.metadata["outcome"].value == "quarantined"]
    assert any("emergency_contact" in str(event.metadata["reason"].value) for event in quarantined)
