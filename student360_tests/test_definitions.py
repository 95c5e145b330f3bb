"""The Dagster definitions, and the commands of the README."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dagster import AssetKey, AssetSpec

from student360.cli.sample import District, write_district
from student360.contracts import contracts
from student360.definitions import defs
from student360.settings import PROJECT
from student360.warehouse.scripts import scripts, upstream
from student360_tests.conftest import ENGINES, ON_SQLITE_ONLY, NewInstallation
from student360_tests.support.installation import Installation

DAGSTER_YAMLS = ("dagster.yaml", "dagster.postgres.yaml")
GROUPS = {"raw", "staging", "core", "marts", "spark", "analysis"}


def specs() -> list[AssetSpec]:
    return list(defs.resolve_all_asset_specs())


def run(installation: Installation, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the Python environment of the tests on an installation."""
    program = Path(sys.executable).parent / command[0]
    environment = installation.environment | {"STUDENT360_SETTLE_SECONDS": "0", "COLUMNS": "160"}
    return subprocess.run(
        [program, *command[1:]], capture_output=True, text=True, env=environment, cwd=PROJECT, check=False
    )


def test_every_asset_has_a_group_description_owner_kind_and_privacy_tag() -> None:
    for spec in specs():
        assert spec.group_name in GROUPS, spec.key
        assert spec.description, spec.key
        assert spec.owners, spec.key
        assert spec.kinds, spec.key
        if spec.key != AssetKey("landing_files"):
            assert spec.tags["student360/privacy"] in ("pii", "sensitive", "public"), spec.key
            assert spec.metadata["dagster/table_name"], spec.key
            if spec.group_name != "raw":
                assert spec.metadata["dagster/column_schema"].columns, spec.key


def test_every_feed_has_its_assets_and_every_sql_file_is_an_asset() -> None:
    keys = {spec.key.to_user_string() for spec in specs()}
    for contract in contracts().values():
        assert {contract.raw_asset, contract.staging_table, contract.loads} <= keys
    assert {s.name for s in scripts().values() if s.layer != "ledger"} <= keys


def test_facts_depend_on_dim_students() -> None:
    graph = defs.resolve_asset_graph()
    for contract in contracts().values():
        if contract.loads.startswith("fact_"):
            assert AssetKey("dim_students") in graph.get(AssetKey(contract.loads)).parent_keys


def tables_read(name: str) -> set[str]:
    """The tables that the SQL of a table or view reads, directly or through views."""
    read = [scripts()[other] for other in upstream(scripts()[name])]
    return {s.name for s in read if not s.is_view}.union(*(tables_read(s.name) for s in read if s.is_view))


def test_steps_depend_on_tables_alone_and_on_those_that_their_views_read() -> None:
    """Views, except for the risk monitor, are external assets. Dagster searches the event log for each of them that is
    an input, and a dependency on a view would not order the steps."""
    graph = defs.resolve_asset_graph()
    for key in graph.materializable_asset_keys:
        parents = graph.get(key).parent_keys
        assert parents <= graph.materializable_asset_keys | {AssetKey("landing_files")}, key
        name = key.to_user_string()
        if name in scripts() and scripts()[name].layer in ("core", "marts"):
            assert {AssetKey(table) for table in tables_read(name)} - {key} == parents, key
    views = {s.name for s in scripts().values() if s.is_view and s.layer == "marts"}
    assert {key.to_user_string() for key in graph.materializable_asset_keys} & views == {"v_student_risk_monitor"}


def test_no_asset_uses_the_default_pickle_io_manager() -> None:
    for definition in defs.assets or []:
        for output in getattr(getattr(definition, "op", None), "output_defs", []):
            has_io_manager = output.io_manager_key in ("warehouse_io_manager", "claimed_files_io_manager")
            assert has_io_manager or output.dagster_type.display_name in ("Any", "Nothing")


@ON_SQLITE_ONLY
def test_the_workspace_file_is_valid(installation: Installation) -> None:
    result = run(installation, "dagster", "definitions", "validate", "-w", "workspace.yaml")
    assert result.returncode == 0, result.stdout + result.stderr


@ON_SQLITE_ONLY
@pytest.mark.xdist_group("spark")
def test_materializing_everything_a_second_time_changes_nothing(installation: Installation, java: Path) -> None:
    write_district(installation.data / "landing", District(students=40, days=25))
    command = ("dagster", "asset", "materialize", "--select", "*", "-m", "student360.definitions")
    first = run(installation, *command)
    assert first.returncode == 0, first.stderr[-3000:]
    assert installation.warehouse.row_count("v_student_risk_monitor") == 40
    assert installation.warehouse.row_count("agg_attendance_trend") > 0
    files = installation.warehouse.frame("SELECT * FROM ingest_file ORDER BY file_id")
    versions = installation.warehouse.frame("SELECT * FROM dim_students ORDER BY student_key")
    second = run(installation, *command)
    assert second.returncode == 0, second.stderr[-3000:]
    assert files.equals(installation.warehouse.frame("SELECT * FROM ingest_file ORDER BY file_id"))
    assert versions.equals(installation.warehouse.frame("SELECT * FROM dim_students ORDER BY student_key"))
    assert "Asset check" in second.stderr
    assert " failed" not in "".join(line for line in second.stderr.splitlines() if "equals_facts" in line)


@pytest.mark.xdist_group("spark")
def test_the_demo_gives_the_same_result_on_both_engines_and_a_rerun_changes_nothing(
    new_installation: NewInstallation, java: Path
) -> None:
    command = ("python", "-m", "student360", "demo", "--students", "40", "--days", "25")
    reports = []
    for engine in ENGINES:
        installation = new_installation(engine)
        first = run(installation, *command)
        assert first.returncode == 0, first.stdout + first.stderr
        assert "Nothing changed" not in first.stdout
        reports.append(first.stdout.partition("Report")[2].partition("Next")[0])
    for expected in ("attendance_2025-10-03.csv", "Students per risk tier", "highest-risk", "(Spark)"):
        assert expected in reports[0]
    assert reports[0] == reports[1]
    second = run(installation, *command)
    assert "Nothing changed" in second.stdout
    installation.drop("students.csv", b"Student_ID,Full_Name\n")
    third = run(installation, *command)
    assert third.returncode == 1
    assert "does not mix" in third.stdout


def test_status_works_on_an_empty_warehouse(installation: Installation) -> None:
    result = run(installation, "python", "-m", "student360", "status")
    assert result.returncode == 0, result.stderr


def test_the_lock_names_no_host_and_hashes_everything() -> None:
    lock = (PROJECT / "requirements.lock").read_text()
    assert "://" not in lock
    pinned = [line for line in lock.splitlines() if "==" in line and not line.lstrip().startswith("#")]
    assert len(pinned) > 50
    assert all(line.rstrip().endswith("\\") for line in pinned)


def test_the_two_dagster_yaml_files_differ_only_in_storage() -> None:
    embedded, production = (yaml.safe_load((PROJECT / name).read_text()) for name in DAGSTER_YAMLS)
    assert production.pop("storage")["postgres"]["postgres_db"]["scheme"] == "postgresql+psycopg2"
    assert production == embedded
    assert embedded["telemetry"] == {"enabled": False}
    assert embedded["run_monitoring"]["enabled"]
    assert embedded["run_retries"]["enabled"]
    assert embedded["retention"]


def test_loading_the_settings_creates_no_folders(tmp_path: Path) -> None:
    code = "import student360.settings; student360.settings.load_settings()"
    environment = {**os.environ, "STUDENT360_DATA_DIR": str(tmp_path / "none")}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert not (tmp_path / "none").exists()
