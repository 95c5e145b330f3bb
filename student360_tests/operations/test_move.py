"""Moving a warehouse to the other engine: everything is copied and compared, and an interrupted move is resumed."""

import io
from collections.abc import Callable

import pandas as pd
import pyarrow as pa
import pytest
from rich.console import Console

from student360.cli.sample import District, write_district
from student360.operations import move as moving
from student360.operations.move import Content, MoveProblem, content_of, move, tables
from student360.settings import load_settings
from student360.warehouse.errors import WarehouseError
from student360.warehouse.transaction import Transaction
from student360.warehouse.warehouse import Warehouse
from student360_tests.conftest import NewInstallation, run_pipeline
from student360_tests.support.installation import Installation
from student360_tests.test_definitions import run

ROUTES = pytest.mark.parametrize(("old", "new"), [("sqlite", "postgres"), ("postgres", "sqlite")])
LoadedInstallation = Callable[[str], Installation]


@pytest.fixture
def loaded_installation(new_installation: NewInstallation) -> LoadedInstallation:
    """A function that creates an installation with a small district loaded."""

    def _loaded_installation(engine: str) -> Installation:
        installation = new_installation(engine)
        write_district(installation.data / "landing", District(students=40, days=20))
        run_pipeline(installation, load_settings())
        return installation

    return _loaded_installation


def contents(warehouse: Warehouse) -> dict[str, Content]:
    with warehouse.reading() as tx:
        return {table.name: content_of(tx, table.name) for table in tables()}


@ROUTES
def test_a_move_copies_everything_and_the_next_file_loads_into_the_target(
    loaded_installation: LoadedInstallation, new_installation: NewInstallation, old: str, new: str
) -> None:
    before = loaded_installation(old)
    old_contents = contents(before.warehouse)
    after = new_installation(new)
    if old == "postgres":
        done = move_in_process(before.warehouse, after.warehouse)
    else:
        result = run(after, "python", "-m", "student360", "move", before.warehouse.url)
        assert result.returncode == 0, result.stdout + result.stderr
        done = result.stdout
    assert "all identical by row count and content hash" in done
    assert contents(after.warehouse) == old_contents
    risk = "SELECT * FROM v_student_risk_monitor ORDER BY student_id"
    pd.testing.assert_frame_equal(before.warehouse.frame(risk), after.warehouse.frame(risk))
    with pytest.raises(WarehouseError, match=r"(?i)constraint"), after.warehouse.transaction() as tx:
        tx.execute("INSERT INTO fact_attendance SELECT * FROM fact_attendance")
    after.drop(
        "students_2026-06-01.csv", b"Student_ID,Full_Name,Date_of_Birth,Grade_Level,Emergency_Contact\nX1,A,,3,\n"
    )
    run_pipeline(after, load_settings())
    assert after.warehouse.row_count("v_student_risk_monitor") == 41


def move_in_process(source: Warehouse, target: Warehouse) -> str:
    output = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moving, "warehouse_url", lambda url: url)
        move(source.url, target, Console(file=output, width=200))
    return output.getvalue()


class PowerCut(BaseException):
    """Simulates the end of the process."""


@ROUTES
def test_an_interrupted_move_is_resumed_and_an_incomplete_target_cannot_be_used(
    loaded_installation: LoadedInstallation,
    new_installation: NewInstallation,
    monkeypatch: pytest.MonkeyPatch,
    old: str,
    new: str,
) -> None:
    before, after = loaded_installation(old), new_installation(new)
    real = Transaction.append
    for table in (t.name for t in tables() if t.name in ("dim_dates", "student_month", "fact_attendance")):

        def append_and_stop(self: Transaction, name: str, rows: pa.Table, table: str = table) -> int:
            written = real(self, name, rows)
            if name == table:
                raise PowerCut
            return written

        with monkeypatch.context() as patch:
            patch.setattr(Transaction, "append", append_and_stop)
            with pytest.raises(PowerCut):
                move_in_process(before.warehouse, after.warehouse)
        with pytest.raises(WarehouseError, match="not finished"):
            after.warehouse.row_count("dim_students")
    output = move_in_process(before.warehouse, after.warehouse)
    assert "already present, identical" in output
    assert "copied, identical" in output
    assert contents(after.warehouse) == contents(before.warehouse)


@ROUTES
def test_rows_that_arrive_damaged_are_detected_and_discarded(
    loaded_installation: LoadedInstallation,
    new_installation: NewInstallation,
    monkeypatch: pytest.MonkeyPatch,
    old: str,
    new: str,
) -> None:
    before, after = loaded_installation(old), new_installation(new)
    real = Transaction.append

    def damaging(self: Transaction, name: str, rows: pa.Table) -> int:
        if name == "dim_schools":
            changed = pa.array([text.upper() + "!" for text in rows["school_id"].to_pylist()])
            rows = rows.set_column(rows.column_names.index("school_id"), "school_id", changed)
        return real(self, name, rows)

    with monkeypatch.context() as patch:
        patch.setattr(Transaction, "append", damaging)
        with pytest.raises(MoveProblem, match=r"dim_schools: .* were sent, .* arrived"):
            move_in_process(before.warehouse, after.warehouse)
    move_in_process(before.warehouse, after.warehouse)
    assert contents(after.warehouse) == contents(before.warehouse)


def test_a_warehouse_that_is_not_empty_is_never_overwritten(loaded_installation: LoadedInstallation) -> None:
    first, second = loaded_installation("sqlite"), loaded_installation("postgres")
    with pytest.raises(MoveProblem, match="not empty"):
        move_in_process(first.warehouse, second.warehouse)
    with pytest.raises(MoveProblem, match="same warehouse"):
        move_in_process(second.warehouse, second.warehouse)
    assert second.warehouse.row_count("dim_students") > 0


def test_a_missing_source_is_reported_and_not_created(new_installation: NewInstallation) -> None:
    installation = new_installation("postgres")
    result = run(installation, "python", "-m", "student360", "move", f"sqlite:///{installation.root}/nothing.db")
    assert result.returncode == 1
    assert "There is no warehouse at" in result.stdout
    assert not (installation.root / "nothing.db").exists()


def test_the_hash_distinguishes_null_from_blank_and_shifted_cells() -> None:
    def content(*rows: tuple[str | None, str | None]) -> Content:
        columns = [pa.array(cells, pa.string()) for cells in zip(*rows, strict=True)]
        return Content().with_rows(pa.record_batch(columns, names=["a", "b"]))

    assert content(("x", None), ("y", "z")) == content(("y", "z"), ("x", None))
    different = [((None, "x"),), (("", "x"),), (("x", None),), (("x", ""),), (("", "x"), ("", "x"))]
    assert len({content(*rows) for rows in different}) == 5
