"""The Spark layer: aggregates computed from the warehouse and written back to it. The queries are in sql/spark."""

from typing import Any

from dagster import AssetIn, AssetsDefinition, asset

from student360.orchestration.assets.common import OWNERS, engine_kind, privacy_tags, table_metadata
from student360.orchestration.automation import AFTER_EACH_LOAD
from student360.spark.aggregates import aggregate, tables_read
from student360.warehouse.scripts import Script


def spark_asset(script: Script) -> AssetsDefinition:
    """Return the asset of an aggregate. Its inputs are the tables that its query reads."""
    inputs = {
        table: AssetIn(
            table, input_manager_key="warehouse_io_manager", metadata={"load_as": "spark", "columns": columns}
        )
        for table, columns in tables_read(script).items()
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
        return aggregate(script, tables)

    return _aggregate
