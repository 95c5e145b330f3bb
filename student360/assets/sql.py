"""The core and marts layers: one asset per SQL file.

Belongs here: the factory that turns a file of sql/core or sql/marts into an asset. Does not belong here: what the
file says, or how a feed is merged (`loading/merge.py`).
"""

from dataclasses import asdict
from typing import Any

from dagster import AssetCheckResult, AssetExecutionContext, AssetsDefinition, DataVersion, MaterializeResult, asset

from student360.assets.common import (
    OWNERS,
    engine_kind,
    files_metadata,
    privacy_tags,
    report_files,
    table_metadata,
    upstream,
)
from student360.checks import load_check_specs, load_checks, rules_check_specs, rules_checks
from student360.contracts import Contract, contracts
from student360.loading.merge import merge_feed
from student360.loading.receive import archive_finished
from student360.loading.rules import merge_rules
from student360.reference import reference_digest
from student360.settings import Settings, load_settings
from student360.warehouse.scripts import Script
from student360.warehouse.warehouse import Transaction, Warehouse


def sql_asset(script: Script) -> AssetsDefinition:
    """The asset of a SQL file. A table that a feed loads merges what is due; another merges its reference rules;
    a view is defined anew when its text changed."""
    contract = next((c for c in contracts().values() if c.loads == script.name), None)

    @asset(
        name=script.name,
        group_name=script.layer,
        description=script.description,
        deps=upstream(script),
        owners=OWNERS,
        kinds={"sql", engine_kind(), "view" if script.is_view else "table"},
        tags=privacy_tags(script),
        metadata=table_metadata(script.name),
        check_specs=load_check_specs(contract) if contract else rules_check_specs(script),
    )
    def _sql(context: AssetExecutionContext, warehouse: Warehouse) -> MaterializeResult:
        settings = load_settings()
        metadata: dict[str, Any] = {}
        checks: list[AssetCheckResult] = []
        if contract is not None:
            metadata |= _load_feed(context, warehouse, settings, contract)
            metadata |= files_metadata(warehouse, contract.feed)
            checks = load_checks(warehouse, contract)
        else:
            metadata |= merge_rules(warehouse, script, settings)
            checks = rules_checks(warehouse, script)
        with warehouse.reading() as tx:
            figures = _figures(tx, script)
            version = _data_version(tx, script, contract, settings)
        return MaterializeResult(metadata=metadata | figures, check_results=checks, data_version=version)

    return _sql


def _load_feed(
    context: AssetExecutionContext, warehouse: Warehouse, settings: Settings, contract: Contract
) -> dict[str, int]:
    """Merge what is due of a feed. Returns how many rows were added, changed and withdrawn."""
    changed = merge_feed(warehouse, contract, settings, context.run_id)
    archive_finished(warehouse, settings)
    report_files(context, warehouse, contract.feed)
    told = asdict(changed)
    context.log.info(f"{contract.feed}: {', '.join(f'{name} {number}' for name, number in told.items())}")
    return told


def _data_version(tx: Transaction, script: Script, contract: Contract | None, settings: Settings) -> DataVersion | None:
    """What Dagster compares to tell whether something downstream is out of date; cheap, from ledger and rules."""
    if contract is not None:
        seen = tx.query(
            "SELECT COUNT(*) AS files, SUM(rows_loaded) AS loaded, SUM(rows_updated) AS updated FROM ingest_file"
            " WHERE feed = ? AND status IN ('loaded', 'waiting')",
            (contract.feed,),
        )[0]
        return DataVersion("-".join(str(seen[name] or 0) for name in ("files", "loaded", "updated")))
    if script.layer == "core":
        return DataVersion(f"{reference_digest(script, settings)[:12]}-{tx.value(script.row_count_query)}")
    return None


def _figures(tx: Transaction, script: Script) -> dict[str, Any]:
    if script.name == "student_risk_tier":
        tiers = tx.query(
            f"SELECT risk_tier, COUNT(*) AS students FROM {script.name}"
            " WHERE is_current = 1 AND risk_tier IS NOT NULL GROUP BY risk_tier"
        )
        figures = {row["risk_tier"].lower(): row["students"] for row in tiers}
        return {"dagster/row_count": sum(figures.values()), **figures}
    rows = tx.value(script.row_count_query)
    return {} if rows is None else {"dagster/row_count": int(rows)}
