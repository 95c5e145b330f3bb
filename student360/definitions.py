"""The Dagster definitions: all assets, checks, jobs, schedules, sensors and resources.

landing_files -> raw_* -> stg_* -> dim_*, fact_* -> student_month, student_course -> v_* -> agg_*, risk_backtest
    (raw)        (raw)   (staging)     (core)                    (marts)                (spark, analysis)
"""

import gc
import os
from collections.abc import Mapping
from typing import Any

from dagster import Definitions, in_process_executor

from student360.contracts import contracts
from student360.loading.refresh import refresh_marts, refresh_reference_tables
from student360.orchestration.assets.analysis import backtest_asset
from student360.orchestration.assets.common import landing_files
from student360.orchestration.assets.raw import raw_asset
from student360.orchestration.assets.spark import spark_asset
from student360.orchestration.assets.sql import feed_asset, group_asset, view_spec
from student360.orchestration.assets.staging import staging_asset
from student360.orchestration.automation import aggregates, backtest, ingest, nightly_quality, quality, spark_automation
from student360.orchestration.checks import load_checks, table_checks
from student360.orchestration.io_managers import ClaimedFilesIOManager, WarehouseIOManager
from student360.orchestration.sensors import landing_sensor
from student360.settings import load_settings
from student360.spark.session import Spark
from student360.warehouse.scripts import in_order, scripts
from student360.warehouse.warehouse import Warehouse

PRIVATE_UMASK = 0o077
# The only view that is materialized: its last materialization shows when the list was last refreshed.
RISK_MONITOR = "v_student_risk_monitor"


def build_defs(overrides: Mapping[str, Any] | None = None) -> Definitions:
    """Return all definitions. `overrides` replaces resources by name, for tests and district-specific setups."""
    settings = load_settings()
    warehouse = Warehouse(url=settings.warehouse_url)
    spark = Spark(master=settings.spark_master)
    feeds = contracts().values()
    loaded = {contract.loads for contract in feeds}
    rules = [script for script in in_order("core") if script.name not in loaded]
    views = [script for script in in_order("marts") if script.is_view and script.name != RISK_MONITOR]
    tables = [script for script in in_order("marts") if script not in views]
    return Definitions(
        assets=[
            landing_files,
            *(raw_asset(contract) for contract in feeds),
            *(staging_asset(contract) for contract in feeds),
            group_asset("rules", rules, refresh_reference_tables),
            *(feed_asset(scripts()[contract.loads], contract) for contract in feeds),
            group_asset("marts", tables, refresh_marts),
            *(view_spec(view) for view in views),
            *(spark_asset(script) for script in scripts().values() if script.layer == "spark"),
            backtest_asset(scripts()["risk_backtest"]),
        ],
        asset_checks=[*(load_checks(contract) for contract in feeds), *table_checks()],
        jobs=[ingest, aggregates, backtest, quality],
        schedules=[nightly_quality],
        sensors=[landing_sensor, spark_automation],
        executor=in_process_executor,
        resources={
            "warehouse": warehouse,
            "spark": spark,
            "warehouse_io_manager": WarehouseIOManager(warehouse=warehouse, spark=spark),
            "claimed_files_io_manager": ClaimedFilesIOManager(warehouse=warehouse),
            **(overrides or {}),
        },
    )


os.umask(PRIVATE_UMASK)
# Exclude imported modules from garbage collection, which would take 0.15 s while the definitions are built.
gc.freeze()
defs = build_defs()
# Exclude the definitions too: a collection takes 0.15 s, a tenth of a run without files.
gc.freeze()
