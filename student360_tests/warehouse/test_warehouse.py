"""The warehouse: transactions, concurrent access, errors without row values, file permissions and descriptions."""

import json
import stat
import threading
from pathlib import Path

import pandas as pd
import pytest
from dagster import build_resources

from student360.settings import load_settings
from student360.warehouse.errors import WarehouseError
from student360.warehouse.scripts import Script, scripts
from student360.warehouse.warehouse import Transaction, Warehouse, _fingerprint
from student360_tests.conftest import ON_POSTGRES_ONLY, NewInstallation
from student360_tests.support.installation import Installation
from student360_tests.support.postgres import run_sql

REJECT = {"file_id": 1, "line_no": 1, "column_name": "x", "reason_code": "r", "value": "Zyx-Canary", "reason": "r"}


def fill(warehouse: Warehouse, rows: int = 3) -> None:
    with warehouse.transaction() as tx:
        tx.execute(
            "INSERT INTO ingest_file (file_id, sha256, first_name, bytes, received_at, effective_date_key,"
            " effective_from, status) VALUES (1, 'x', 'x', 0, 'x', 20260101, 'arrival', 'staged')"
        )
        tx.append("row_reject", pd.DataFrame([REJECT | {"line_no": n} for n in range(rows)]))


def test_a_failed_transaction_leaves_nothing_behind(installation: Installation) -> None:
    with pytest.raises(RuntimeError), installation.warehouse.transaction() as tx:
        tx.execute("INSERT INTO setting (name, value) VALUES ('a', 'b')")
        raise RuntimeError
    assert installation.warehouse.row_count("setting") == 0


def test_a_bulk_load_that_fails_half_way_leaves_nothing_behind(installation: Installation) -> None:
    fill(installation.warehouse)
    with pytest.raises(WarehouseError), installation.warehouse.transaction() as tx:
        tx.append("row_reject", pd.DataFrame([REJECT | {"line_no": n} for n in (10, 11, 2)]))
    assert installation.warehouse.row_count("row_reject") == 3


def test_a_nested_transaction_joins_the_outer_one_even_through_a_copy_of_the_resource(
    installation: Installation,
) -> None:
    with pytest.raises(RuntimeError), installation.warehouse.transaction():
        with installation.warehouse.transaction() as inner:
            inner.execute("INSERT INTO setting (name, value) VALUES ('a', 'b')")
        raise RuntimeError
    assert installation.warehouse.row_count("setting") == 0


def test_concurrent_writers_wait_for_each_other(installation: Installation) -> None:
    installation.warehouse.prepare()

    def write(writer: int) -> None:
        for number in range(20):
            with installation.warehouse.transaction() as tx:
                tx.execute("INSERT INTO setting (name, value) VALUES (?, 'x')", (f"{writer}-{number}",))

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert installation.warehouse.row_count("setting") == 80


def test_a_reader_sees_a_consistent_snapshot_while_a_writer_commits(installation: Installation) -> None:
    fill(installation.warehouse)
    with installation.warehouse.reading() as reader:
        before = reader.value("SELECT COUNT(*) FROM row_reject")
        with installation.warehouse.transaction() as writer:
            writer.execute("DELETE FROM row_reject")
        assert reader.value("SELECT COUNT(*) FROM row_reject") == before == 3
    assert installation.warehouse.row_count("row_reject") == 0


def test_transactions_of_a_run_share_only_the_connection(installation: Installation) -> None:
    with build_resources({"warehouse": installation.warehouse}) as resources:
        warehouse: Warehouse = resources.warehouse
        for _ in range(2):
            with warehouse.transaction() as tx:
                tx.execute("CREATE TEMP TABLE scratch AS SELECT 1 AS one")
                tx.execute("INSERT INTO setting (name, value) VALUES ('a', 'b') ON CONFLICT (name) DO NOTHING")
            assert warehouse.row_count("setting") == 1
        with pytest.raises(RuntimeError), warehouse.transaction() as tx:
            tx.execute("DELETE FROM setting")
            raise RuntimeError
        assert warehouse.row_count("setting") == 1


@ON_POSTGRES_ONLY
def test_a_connection_closed_by_the_server_during_a_run_is_reopened(installation: Installation) -> None:
    def backend_pid(tx: Transaction) -> int:
        return tx.count("SELECT pg_backend_pid()")

    with build_resources({"warehouse": installation.warehouse}) as resources:
        warehouse: Warehouse = resources.warehouse
        with warehouse.transaction() as tx:
            first = backend_pid(tx)
        with warehouse.transaction() as tx:
            assert backend_pid(tx) == first
        assert run_sql(f"SELECT pg_terminate_backend({first})") == [(True,)]
        with warehouse.transaction() as tx:
            assert backend_pid(tx) != first


def test_errors_never_quote_a_row(installation: Installation) -> None:
    fill(installation.warehouse)
    with pytest.raises(WarehouseError) as caught, installation.warehouse.transaction() as tx:
        tx.append("row_reject", pd.DataFrame([REJECT]))
        tx.append("row_reject", pd.DataFrame([REJECT]))
    assert "Canary" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_the_database_file_is_private(new_installation: NewInstallation) -> None:
    installation = new_installation("sqlite")
    fill(installation.warehouse)
    for path in installation.data.glob("student360.db*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_an_unknown_database_raises_an_error_that_names_the_setting() -> None:
    with pytest.raises(ValueError, match="STUDENT360_WAREHOUSE_URL"):
        Warehouse(url="mysql://x").row_count("setting")


@pytest.mark.parametrize("script", scripts().values(), ids=lambda script: script.name)
def test_every_table_view_and_column_is_described(installation: Installation, script: Script) -> None:
    assert len(script.description) > 20
    with installation.warehouse.reading() as tx:
        actual = list(tx.columns(script.name))
    assert [column.name for column in script.columns] == actual
    assert all(
        column.description and column.storage in ("text", "integer", "bigint", "real", "date")
        for column in script.columns
    )
    if script.name == "v_student_risk_monitor":
        assert {c.name for c in script.columns if c.privacy.value == "pii"} == {"full_name"}


def test_the_tables_of_the_last_release_are_defined_as_they_were() -> None:
    """A warehouse refuses to open when the definition of one of its tables changed: such a change needs an upgrade."""
    released = json.loads((Path(__file__).parent / "tables_0_2_0.json").read_text())
    now = {name: _fingerprint(script) for name, script in scripts().items() if not script.is_view}
    assert {name: now.get(name) for name in released} == released


@pytest.mark.fault("F44")
def test_changed_tables_are_refused_and_changed_views_are_recreated(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation.warehouse.prepare()
    with installation.warehouse.transaction() as tx:
        tx.execute("UPDATE schema_object SET fingerprint = 'old' WHERE name = 'v_as_of'")
    monkeypatch.setattr("student360.warehouse.warehouse._PREPARED", set())
    installation.warehouse.prepare()
    with installation.warehouse.transaction() as tx:
        tx.execute("UPDATE schema_object SET fingerprint = 'old' WHERE name = 'fact_homework'")
    monkeypatch.setattr("student360.warehouse.warehouse._PREPARED", set())
    with pytest.raises(WarehouseError, match="fact_homework"):
        installation.warehouse.prepare()


def test_an_invalid_setting_raises_an_error_that_names_the_variable(tmp_path: Path) -> None:
    assert load_settings({"STUDENT360_DATA_DIR": str(tmp_path)}).landing == tmp_path / "landing"
    with pytest.raises(ValueError, match="STUDENT360_SETTLE_SECONDS"):
        load_settings({"STUDENT360_SETTLE_SECONDS": "soon"})
    with pytest.raises(ValueError, match="STUDENT360_DATE_ORDER_HOMEWORK"):
        load_settings({"STUDENT360_DATE_ORDER_HOMEWORK": "american"})
    with pytest.raises(ValueError, match="STUDENT360_DAY_RULE must be share, half or any"):
        load_settings({"STUDENT360_DAY_RULE": "most"})
