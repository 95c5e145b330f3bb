"""The IO manager stores pandas frames, iterators of frames and Spark frames in the table named after the asset."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from dagster import AssetIn, AssetKey, asset, build_input_context, build_output_context, materialize

from student360.orchestration.io_managers import WarehouseIOManager
from student360.spark.session import Spark
from student360_tests.support.installation import Installation

ROWS = pd.DataFrame({"grade_level": ["Grade 1", "Grade 2"], "risk_tier": ["HIGH", "WATCH"], "students": [3, 4]})
TABLE = AssetKey("agg_risk_tiers")


@pytest.fixture
def manager(installation: Installation) -> WarehouseIOManager:
    return WarehouseIOManager(warehouse=installation.warehouse, spark=Spark(master="local[2]"))


def stored(installation: Installation) -> list[list[Any]]:
    return installation.warehouse.frame("SELECT * FROM agg_risk_tiers ORDER BY 1").to_numpy().tolist()


def test_a_frame_replaces_the_contents_of_the_table(installation: Installation, manager: WarehouseIOManager) -> None:
    manager.handle_output(build_output_context(asset_key=TABLE), ROWS)
    manager.handle_output(build_output_context(asset_key=TABLE), ROWS.head(1))
    assert stored(installation) == [["Grade 1", "HIGH", 3]]


@pytest.mark.fault("F42")
def test_an_iterator_of_frames_is_written_in_one_transaction(
    installation: Installation, manager: WarehouseIOManager
) -> None:
    def pieces(fail: bool) -> Iterator[pd.DataFrame]:
        yield ROWS.head(1)
        if fail:
            raise RuntimeError
        yield ROWS.tail(1)

    manager.handle_output(build_output_context(asset_key=TABLE), pieces(fail=False))
    assert len(stored(installation)) == 2
    with pytest.raises(RuntimeError):
        manager.handle_output(build_output_context(asset_key=TABLE), pieces(fail=True))
    assert len(stored(installation)) == 2


def test_append_mode_adds_rows(installation: Installation, manager: WarehouseIOManager) -> None:
    manager.handle_output(build_output_context(asset_key=TABLE), ROWS.head(1))
    append = build_output_context(asset_key=TABLE, definition_metadata={"write_mode": "append"})
    manager.handle_output(append, ROWS.tail(1))
    assert len(stored(installation)) == 2


def test_rows_are_loaded_as_one_pandas_frame_or_in_batches(
    installation: Installation, manager: WarehouseIOManager
) -> None:
    manager.handle_output(build_output_context(asset_key=TABLE), ROWS)
    frame = manager.load_input(build_input_context(asset_key=TABLE))
    pd.testing.assert_frame_equal(frame, ROWS)
    batches = build_input_context(asset_key=TABLE, definition_metadata={"load_as": "pandas_batches"})
    pd.testing.assert_frame_equal(pd.concat(manager.load_input(batches)), ROWS)


def test_a_column_that_starts_with_nulls_keeps_its_type(
    installation: Installation, manager: WarehouseIOManager
) -> None:
    with installation.warehouse.transaction() as tx:
        for code in range(3_000):
            letter = "late" if code == 2_999 else None
            tx.execute(
                "INSERT INTO dim_attendance_codes (attendance_code_key, code, category, description)"
                " VALUES (?, ?, 'UNMAPPED', ?)",
                (code, f"c{code:04}", letter),
            )
    frame = manager.load_input(build_input_context(asset_key=AssetKey("dim_attendance_codes")))
    assert frame["description"].iloc[-1] == "late"
    assert frame["description"].iloc[0] is None


@pytest.mark.xdist_group("spark")
def test_spark_frames_are_stored_and_loaded(
    installation: Installation, manager: WarehouseIOManager, java: Path
) -> None:
    manager.handle_output(build_output_context(asset_key=TABLE), ROWS)

    @asset(
        name="agg_score_trend",
        io_manager_key="io_manager",
        ins={"rows": AssetIn("agg_risk_tiers", metadata={"load_as": "spark"})},
    )
    def through_spark(rows: Any) -> Any:
        return rows.selectExpr(
            "2026 AS school_year",
            "202601 AS month_key",
            "grade_level",
            "risk_tier AS subject",
            "students AS scores",
            "students * 2 AS score_bp_sum",
            "students / 2.0D AS average_score",
        )

    @asset(name="agg_risk_tiers", io_manager_key="io_manager")
    def tiers() -> pd.DataFrame:
        return ROWS

    assert materialize([tiers, through_spark], resources={"io_manager": manager}).success
    found = installation.warehouse.frame("SELECT grade_level, scores, average_score FROM agg_score_trend ORDER BY 1")
    assert found.to_numpy().tolist() == [["Grade 1", 3, 1.5], ["Grade 2", 4, 2.0]]
