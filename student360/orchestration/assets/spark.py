"""The Spark layer: one asset per aggregate of the warehouse, written back to it (see `spark/aggregates.py`)."""

import inspect
from collections.abc import Callable
from typing import Any

from dagster import AssetIn, AssetsDefinition, asset

from student360.orchestration.assets.common import OWNERS, engine_kind, privacy_tags, table_metadata
from student360.orchestration.automation import AFTER_EACH_LOAD
from student360.spark import aggregates
from student360.warehouse.scripts import Script

AGGREGATES: dict[str, Callable[..., Any]] = {
    "agg_attendance_trend": aggregates.attendance_trend,
    "agg_score_trend": aggregates.score_trend,
    "agg_risk_tiers": aggregates.risk_tiers,
    "agg_top_performers": aggregates.top_performers,
}


def spark_asset(script: Script) -> AssetsDefinition:
    """Return the asset of an aggregate. Its inputs are the tables named by the parameters of its function."""
    aggregate = AGGREGATES[script.name]
    inputs = {
        table: AssetIn(
            table,
            input_manager_key="warehouse_io_manager",
            metadata={"load_as": "spark", "columns": list(aggregates.READ.get(table, ()))},
        )
        for table in inspect.signature(aggregate).parameters
    }

    @asset(
        name=script.name,
        group_name="spark",
        description=script.description,
        ins=inputs,
        owners=OWNERS,
        kinds={"spark", engine_kind()},
        tags=privacy_tags(script),
        metadata=table_metadata(script.name),
        io_manager_key="warehouse_io_manager",
        automation_condition=AFTER_EACH_LOAD,
    )
    def _aggregate(**tables) -> Any:  # type: ignore[no-untyped-def]
        return aggregate(**tables)

    return _aggregate
