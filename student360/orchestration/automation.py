"""What runs by itself beside the landing sensor: Spark after loads, the slow checks every night.

Belongs here: conditions and schedules. Does not belong here: what reacts to files (`sensors.py`).
"""

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

# eager() would never fire: landing_files has partitions, and one of them is always "missing" for somebody.
AFTER_EACH_LOAD = (
    AutomationCondition.any_deps_updated()
    & ~AutomationCondition.any_deps_in_progress()
    & ~AutomationCondition.in_progress()
)

spark_automation = AutomationConditionSensorDefinition(
    "spark_automation",
    target=AssetSelection.groups("spark"),
    default_status=DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
)

INGEST_GROUPS = ("raw", "staging", "core", "marts")

ingest = define_asset_job(
    "ingest",
    selection=AssetSelection.groups(*INGEST_GROUPS).without_checks() | AssetSelection.checks(*load_check_keys()),
    description="From the landing folder to the risk monitor: takes in what is due, does nothing when nothing is.",
)

aggregates = define_asset_job(
    "aggregates",
    selection=AssetSelection.groups("spark").without_checks(),
    description="The Spark aggregates, without waiting for their automation.",
)

backtest = define_asset_job(
    "backtest",
    selection=AssetSelection.groups("analysis").without_checks(),
    description="Looks back over a school year: did the risk list find those it should, and how early?",
)

quality = define_asset_job(
    "quality",
    selection=AssetSelection.checks(*table_checks()),
    description="The checks that read whole tables.",
)

nightly_quality = ScheduleDefinition(
    name="nightly_quality", job=quality, cron_schedule="30 4 * * *", default_status=DefaultScheduleStatus.RUNNING
)
