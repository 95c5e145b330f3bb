"""Spark computes exactly the same aggregates as SQL."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from dagster import DagsterInstance

from student360.cli.sample import District, write_district
from student360.definitions import build_defs
from student360.spark import java as java_module
from student360.spark.java import JavaMissing, find_java
from student360.spark.session import Spark
from student360.spark.source import WarehouseReader
from student360.warehouse.scripts import check_query, scripts
from student360_tests.conftest import ON_SQLITE_ONLY
from student360_tests.support.installation import Installation

Load = Callable[..., None]
AGGREGATES = [script.name for script in scripts().values() if script.layer == "spark"]


@ON_SQLITE_ONLY
@pytest.mark.xdist_group("spark")
def test_every_spark_aggregate_equals_the_same_query_in_sql(installation: Installation, load: Load, java: Path) -> None:
    write_district(installation.data / "landing", District(students=150, days=45))
    load()
    with DagsterInstance.ephemeral() as instance:
        assert build_defs().resolve_job_def("aggregates").execute_in_process(instance=instance).success
    for name in AGGREGATES:
        columns = [column.name for column in scripts()[name].columns]
        spark = installation.warehouse.frame(f"SELECT * FROM {name}")[columns]
        sql = installation.warehouse.frame(check_query(name))[columns]
        assert len(spark) > 10
        pd.testing.assert_frame_equal(
            spark.sort_values(columns, ignore_index=True), sql.sort_values(columns, ignore_index=True), obj=name
        )


@pytest.fixture
def small_installation(installation: Installation, load: Load) -> Installation:
    write_district(installation.data / "landing", District(students=30, days=30, mess=False))
    load()
    return installation


def rows_by_range(installation: Installation, table: str, columns: list[str]) -> list[int]:
    reader = WarehouseReader(installation.warehouse.url, table, columns)
    return [sum(batch.num_rows for batch in reader.read(part)) for part in reader.partitions()]


@pytest.mark.xdist_group("spark")
def test_a_large_table_is_read_in_key_ranges_that_cover_each_row_once(
    small_installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("student360.spark.source.ROWS_PER_PARTITION", 100)
    rows = rows_by_range(small_installation, "fact_attendance", ["date_key", "school_key"])
    assert len(rows) > 3
    assert sum(rows) == small_installation.warehouse.row_count("fact_attendance")
    assert max(rows) < sum(rows)


@pytest.mark.xdist_group("spark")
def test_a_table_without_a_row_count_query_is_read_completely(
    small_installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("student360.spark.source.ROWS_PER_PARTITION", 10)
    rows = rows_by_range(small_installation, "student_month", ["month_key", "contacts"])
    assert len(rows) > 3
    assert sum(rows) == small_installation.warehouse.row_count("student_month")


@pytest.mark.fault("F41")
def test_without_java_the_error_describes_what_to_install(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setattr(java_module, "java_version", lambda _: 0)
    with pytest.raises(JavaMissing, match="install it"):
        find_java()
    with pytest.raises(JavaMissing, match="JAVA_HOME"):
        Spark(master="local[2]").session()
