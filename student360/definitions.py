"""The whole house: every asset, check, job, sensor and resource meets here, and nowhere else.

    landing_files -> raw_* -> stg_* -> dim_*, fact_* -> student_month, student_course -> v_* -> agg_*, risk_backtest
        (raw)        (raw)   (staging)     (core)                    (marts)                (spark, analysis)

Belongs here: putting things together. Does not belong here: anything that can be said elsewhere.
"""

import gc
import os
from collections.abc import Mapping
from typing import Any

from dagster import Definitions, in_process_executor

from student360.contracts import contracts
from student360.orchestration.assets.analysis import backtest_asset
from student360.orchestration.assets.common import landing_files
from student360.orchestration.assets.raw import raw_asset
from student360.orchestration.assets.spark import spark_asset
from student360.orchestration.assets.sql import feed_asset, group_asset
from student360.orchestration.assets.staging import staging_asset
from student360.orchestration.automation import aggregates, backtest, ingest, nightly_quality, quality, spark_automation
from student360.orchestration.checks import table_checks
from student360.orchestration.io_managers import ClaimedFilesIOManager, WarehouseIOManager
from student360.orchestration.sensors import landing_sensor
from student360.settings import load_settings
from student360.spark.session import Spark
from student360.warehouse.scripts import in_order, scripts
from student360.warehouse.warehouse import Warehouse

PRIVATE_UMASK = 0o077


def build_defs(overrides: Mapping[str, Any] | None = None) -> Definitions:
    """All definitions; `overrides` replaces resources by name, for tests and for districts with needs of their own."""
    settings = load_settings()
    warehouse = Warehouse(url=settings.warehouse_url)
    spark = Spark(master=settings.spark_master)
    feeds = contracts().values()
    loaded = {contract.loads for contract in feeds}
    rules = [script for script in in_order("core") if script.name not in loaded]
    return Definitions(
        assets=[
            landing_files,
            *(raw_asset(contract) for contract in feeds),
            *(staging_asset(contract) for contract in feeds),
            group_asset("rules", rules),
            *(feed_asset(scripts()[contract.loads], contract) for contract in feeds),
            group_asset("marts", in_order("marts")),
            *(spark_asset(script) for script in scripts().values() if script.layer == "spark"),
            backtest_asset(scripts()["risk_backtest"]),
        ],
        asset_checks=list(table_checks()),
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
# What is imported stays: building the definitions would search all of it for garbage, which takes 0.15 s.
gc.freeze()
defs = build_defs()
# What is loaded by now stays: to look through it for garbage once in a run takes 0.15 s, a tenth of one without files.
gc.freeze()
