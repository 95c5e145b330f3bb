"""`student360 sql` prints the statements that the product runs, with all names filled in."""

import re
from collections.abc import Sequence
from typing import Any

import pytest

from student360.cli.sample import District, write_district
from student360.cli.sql import ENGINES, computed_by, statements_of
from student360.loading import bulk_attendance, bulk_risk
from student360.settings import load_settings
from student360.warehouse.scripts import scripts
from student360.warehouse.transaction import Transaction
from student360_tests.conftest import run_pipeline
from student360_tests.support.installation import Installation
from student360_tests.test_definitions import run

ROSTER = "Student_ID,Full_Name,Date_of_Birth,Grade_Level,Emergency_Contact\n"
AT_RUN_TIME = (
    (r"(\w+\.\w+) BETWEEN \d{8} AND \d{8}", r"\1 BETWEEN :first_day AND :last_day"),
    (r"(DELETE FROM stg_\w+) WHERE file_id IN \([\d, ]+\)", r"\1 WHERE file_id IN (:files)"),
)


def printed(engine: str) -> str:
    return "\n".join(statements_of(name, engine) for name in scripts())


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The executed statements of SQL files, as sent to the database."""
    sent: list[str] = []
    depth = [0]
    real_run, real_execute = Transaction.run, Transaction.execute

    def run_file(self: Transaction, *arguments: Any) -> None:
        depth[0] += 1
        real_run(self, *arguments)
        depth[0] -= 1

    def execute(self: Transaction, statement: str, parameters: Sequence[Any] = ()) -> None:
        if depth[0]:
            sent.append(statement)
        real_execute(self, statement, parameters)

    monkeypatch.setattr(Transaction, "run", run_file)
    monkeypatch.setattr(Transaction, "execute", execute)
    return sent


def test_the_printed_statements_are_those_that_run(installation: Installation, executed: list[str]) -> None:
    write_district(installation.data / "landing", District(students=30, days=25))
    run_pipeline(installation, load_settings())
    day = "Student_ID,Date,Attendance_Status\nS000001,2025-09-02,Absent\nX1,2025-09-02,Absent\n"
    installation.drop("attendance_2025-12-01.csv", day.encode())
    installation.drop("student_id_changes.csv", b"Old_Student_ID,New_Student_ID\nS000002,N2\n")
    run_pipeline(installation, load_settings())
    known = printed(installation.engine)
    assert len(set(executed)) > 150
    for statement in sorted(set(executed)):
        shown = statement
        for pattern, name in AT_RUN_TIME:
            shown = re.sub(pattern, name, shown)
        if installation.schema:
            shown = shown.replace(installation.schema, "student360")
        assert shown in known, statement


def test_the_statements_that_duckdb_runs_are_printed(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[str] = []
    for module in (bulk_attendance, bulk_risk):
        real = module.computed_by_duckdb

        def spied(statements: Sequence[str], *more: Any, real: Any = real) -> Any:
            computed.extend(statements)
            return real(statements, *more)

        monkeypatch.setattr(module, "computed_by_duckdb", spied)
    monkeypatch.setattr(bulk_attendance, "MANY_MONTHS", 1)
    monkeypatch.setattr(bulk_risk, "MANY_STUDENTS", 1)
    write_district(installation.data / "landing", District(students=30, days=25))
    run_pipeline(installation, load_settings())
    known = statements_of("student_attendance_month", "duckdb") + statements_of("student_risk", "duckdb")
    assert len(set(computed)) == 3
    assert all(statement in known for statement in computed)


def test_each_table_and_view_has_statements_for_every_engine_that_computes_it() -> None:
    computed = {engine: set(computed_by(engine)) for engine in ENGINES}
    for engine, names in computed.items():
        assert not any("{{" in statements_of(name, engine) for name in names)
    assert computed["sqlite"] == computed["postgres"] == set(scripts())
    assert computed["spark"] == {name for name, script in scripts().items() if script.layer == "spark"}
    assert {"student_risk", "student_attendance_month", "fact_attendance"} <= computed["duckdb"] < set(scripts())


def test_the_command_prints_the_statements_of_a_table_and_reports_unknown_names(installation: Installation) -> None:
    shown = run(installation, "student360", "sql", "student_risk")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.strip() == statements_of("student_risk", installation.engine).strip()
    everything = run(installation, "student360", "sql", "--engine", "spark", "--to", str(installation.root / "sql"))
    assert everything.returncode == 0, everything.stderr
    assert {path.stem for path in (installation.root / "sql").iterdir()} == set(computed_by("spark"))
    missing = run(installation, "python", "-m", "student360", "sql", "student_risks")
    assert (missing.returncode, missing.stdout) == (1, "There is no table or view 'student_risks'.\n")
