"""Jobs, and their automation except the landing sensor (see `sensors.py`): Spark after loads, nightly table checks."""

from dagster import (
    AssetSelection,
    AutomationCondition,
    AutomationConditionSensorDefinition,
    DefaultScheduleStatus,
    DefaultSensorStatus,
    ScheduleDefinition,
    define_asset_job,
)

from student360.orchestration.checks import load_check_keys, table_checks

# AutomationCondition.eager() never fires here, because some partition of landing_files is always missing upstream.
AFTER_EACH_LOAD = (
    AutomationCondition.any_deps_updated()
    & ~AutomationCondition.any_deps_in_progress()
    & ~AutomationCondition.in_progress()
)

# Files that arrive within minutes of each other cause one Spark run, which would otherwise delay the next file's load.
SPARK_AT_MOST_EVERY_SECONDS = 120

spark_automation = AutomationConditionSensorDefinition(
    "spark_automation",
    target=AssetSelection.groups("spark"),
    default_status=DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=SPARK_AT_MOST_EVERY_SECONDS,
)

INGEST_GROUPS = ("raw", "staging", "core", "marts")

ingest = define_asset_job(
    "ingest",
    selection=AssetSelection.groups(*INGEST_GROUPS).without_checks() | AssetSelection.checks(*load_check_keys()),
    description="Loads new files from the landing folder up to the risk monitor. Does nothing if there are none.",
)

aggregates = define_asset_job(
    "aggregates",
    selection=AssetSelection.groups("spark").without_checks(),
    description="Computes the Spark aggregates immediately, without waiting for their automation.",
)

backtest = define_asset_job(
    "backtest",
    selection=AssetSelection.groups("analysis").without_checks(),
    description="Compares the risk list of a past school year with the outcomes: precision, recall and lead time.",
)

quality = define_asset_job(
    "quality",
    selection=AssetSelection.checks(*table_checks()),
    description="Runs the checks that read whole tables.",
)

nightly_quality = ScheduleDefinition(
    name="nightly_quality", job=quality, cron_schedule="30 4 * * *", default_status=DefaultScheduleStatus.RUNNING
)
