"""PostgreSQL for operators: clear error messages, no passwords in the output, recovery from restarts."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from dagster import DagsterInstance

from student360.cli.sample import District, write_district
from student360.definitions import build_defs
from student360.settings import load_settings, warehouse_url
from student360.warehouse import postgres
from student360.warehouse.errors import WarehouseError, WarehouseUnavailable
from student360.warehouse.scripts import NO_NAMES, Script, scripts
from student360.warehouse.transaction import Transaction
from student360.warehouse.warehouse import Warehouse
from student360_tests.conftest import ON_POSTGRES_ONLY, assert_every_row_is_accounted_for
from student360_tests.support.installation import Installation
from student360_tests.support.postgres import PASSWORD, OwnServer, run_sql

QUOTED = "s3cret%2Fp%40ss%20word"


pytestmark = pytest.mark.xdist_group("own_server")


@pytest.mark.parametrize(
    ("user", "password", "database", "words"),
    [
        ("district", f"{QUOTED}wrong", "student360", "wrong password"),
        ("nobody", "", "student360", "wrong password|no such database user"),
        ("district", QUOTED, "nowhere", "no such database. Create it"),
        ("visitor", "visitor", "student360", "may not do this. Grant it CREATE"),
        ("district", QUOTED, "western", "encoding is LATIN1; names need UTF8"),
    ],
)
def test_each_connection_problem_is_explained_without_the_password(
    own_server: OwnServer, monkeypatch: pytest.MonkeyPatch, user: str, password: str, database: str, words: str
) -> None:
    url = own_server.as_user(user, password, database)
    monkeypatch.setenv("STUDENT360_WAREHOUSE_URL", url)
    with pytest.raises(WarehouseError, match=words) as caught:
        Warehouse(url=load_settings().warehouse_url).prepare()
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_unreachable_server_is_named_in_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "PATIENCE_SECONDS", 0.0)
    with pytest.raises(WarehouseUnavailable, match=r"district@127.0.0.1:1/student360: the server is down"):
        Warehouse(url=warehouse_url("postgresql://district@127.0.0.1:1/student360")).prepare()


def test_a_server_that_is_too_old_is_refused(own_server: OwnServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "OLDEST_VERSION", 99)
    monkeypatch.setenv("STUDENT360_WAREHOUSE_SCHEMA", "older")
    with pytest.raises(WarehouseError, match="too old: 99 or newer is needed"):
        Warehouse(url=warehouse_url(own_server.url)).prepare()


def test_a_schema_name_with_special_characters_is_refused() -> None:
    url = warehouse_url("postgresql:///x", {"STUDENT360_WAREHOUSE_SCHEMA": "a; DROP"})
    with pytest.raises(WarehouseError, match="STUDENT360_WAREHOUSE_SCHEMA"):
        Warehouse(url=url).prepare()


@pytest.mark.parametrize("means", ["in the URL", "as a parameter", "PGPASSWORD", "a password file"])
def test_the_password_is_used_and_never_shown(
    own_server: OwnServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, means: str
) -> None:
    urls = {
        "in the URL": own_server.as_user("district", QUOTED),
        "as a parameter": f"{own_server.as_user('district')}&password={QUOTED}",
    }
    monkeypatch.setenv("STUDENT360_WAREHOUSE_URL", urls.get(means, own_server.as_user("district")))
    if means == "PGPASSWORD":
        monkeypatch.setenv("PGPASSWORD", PASSWORD)
    if means == "a password file":
        (tmp_path / "pgpass").write_text(f"*:*:*:district:{PASSWORD}\n")
        (tmp_path / "pgpass").chmod(0o600)
        monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pgpass"))
    resources = build_defs().resources or {}
    warehouse = resources["warehouse"]
    assert warehouse.row_count("setting") >= 0
    for shown in (repr(resources), warehouse.url, repr(load_settings()), warehouse.model_dump_json()):
        assert "s3cret" not in shown
    with pytest.raises(WarehouseError) as caught:
        warehouse.frame("SELECT no_such_column FROM setting")
    assert "s3cret" not in repr(caught.value)
    assert "no_such_column" in str(caught.value)


@ON_POSTGRES_ONLY
def test_errors_name_the_constraint_and_never_the_row(installation: Installation) -> None:
    student = {"student_durable_key": 1, "student_id": "Zyx-Canary", "confirmed_on_key": 0}
    for rows in (pd.DataFrame([student, student]), pd.DataFrame([student | {"student_id": None}])):
        with pytest.raises(WarehouseError) as caught, installation.warehouse.transaction() as tx:
            tx.append("student_identity", rows)
        assert "Canary" not in str(caught.value)
        assert "student_identity" in str(caught.value)
    with pytest.raises(WarehouseError) as cast, installation.warehouse.transaction() as tx:
        tx.query("SELECT CAST(? AS INTEGER) AS n", ("Zyx-Canary",))
    assert "Canary" not in str(cast.value)
    assert "a value does not fit" in str(cast.value)


@ON_POSTGRES_ONLY
def test_every_table_view_and_column_is_described_in_the_catalog(installation: Installation) -> None:
    installation.warehouse.prepare()
    described = run_sql(
        "SELECT c.relname::text, COALESCE(a.attname::text, ''), d.description FROM pg_description AS d"
        " JOIN pg_class AS c ON c.oid = d.objoid LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid"
        f" AND a.attnum = d.objsubid AND d.objsubid > 0 WHERE c.relnamespace = '{installation.schema}'::regnamespace"
    )
    comments = {(table, column): text for table, column, text in described}
    for script in scripts().values():
        assert comments[script.name, ""] == script.description
        for column in script.columns:
            assert comments[script.name, column.name] == f"{column.description} [{column.privacy}]"


@ON_POSTGRES_ONLY
def test_planner_statistics_are_current_after_a_large_load(
    installation: Installation, load: Callable[..., None]
) -> None:
    rows = "".join(f"S{n % 300},2025-{n % 12 + 1:02}-{n % 28 + 1:02},Present\n" for n in range(20_000))
    roster = "".join(f"S{n},A {n},2014-01-01,3,\n" for n in range(300))
    load(
        {
            "students_2025-01-01.csv": f"Student_ID,Full_Name,Date_of_Birth,Grade_Level,Emergency_Contact\n{roster}",
            "attendance_2026-01-01.csv": f"Student_ID,Date,Attendance_Status\n{rows}",
        }
    )
    table = f"'{installation.schema}.fact_attendance'::regclass"
    (estimate,) = run_sql(f"SELECT reltuples::bigint FROM pg_class WHERE oid = {table}")[0]
    assert estimate == installation.warehouse.row_count("fact_attendance") > 1_000


@pytest.mark.fault("F31")
def test_a_server_restart_during_a_load_causes_only_a_retry(
    own_server: OwnServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is killed during a step of the ingest job, in each run but the last."""
    installation = Installation(tmp_path, own_server.url, "restarted")
    installation.prepare()
    for name, value in installation.environment.items():
        if name.startswith("STUDENT360_"):
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("STUDENT360_SETTLE_SECONDS", "0")
    files = write_district(installation.data / "landing", District(students=60, days=20, seed=5))
    installation.warehouse.prepare()
    job = build_defs().resolve_job_def("ingest")
    target = [""]

    def restart_if_target(name: str) -> None:
        if name == target[0]:
            own_server.control("restart", "-m", "immediate")

    real_append, real_run = Transaction.append, Transaction.run

    def append(self: Transaction, table: str, rows: Any) -> int:
        restart_if_target(table)
        return real_append(self, table, rows)

    def run(self: Transaction, script: Script, section: str, names: Mapping[str, Any] = NO_NAMES) -> None:
        restart_if_target(names.get("table", script.name))
        real_run(self, script, section, names)

    monkeypatch.setattr(Transaction, "append", append)
    monkeypatch.setattr(Transaction, "run", run)
    for target[0] in ("stg_attendance", "fact_homework", "student_month", ""):
        with DagsterInstance.ephemeral() as instance:
            result = job.execute_in_process(instance=instance, raise_on_error=False)
        errors = [str(event.step_failure_data.error) for event in result.get_step_failure_events()]
        assert bool(errors) == bool(target[0])
        assert all("connection was lost" in message for message in errors)
    assert result.success
    ledger = installation.warehouse.frame("SELECT * FROM ingest_file")
    assert len(ledger) == len(files)
    assert_every_row_is_accounted_for(ledger)
    assert len(list((installation.data / "processed").rglob("*.csv"))) == len(files)
    assert installation.warehouse.row_count("v_student_risk_monitor") == 60
