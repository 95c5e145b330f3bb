"""The core and marts layers: one asset per file of sql/core and sql/marts. Feeds are merged in `loading/merge.py`.

Each table that a feed loads is a separate step. All tables of rules form one step, and so do all marts. Each of these
two steps is one transaction, so that readers never see monthly figures without the risk computed from them, and a run
writes dozens fewer events.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    AssetSpec,
    DataVersion,
    MaterializeResult,
    asset,
    multi_asset,
)

from student360.contracts import Contract
from student360.loading.merge import merge_feed
from student360.loading.receive import archive_finished
from student360.orchestration.assets.common import (
    OWNERS,
    engine_kind,
    files_metadata,
    privacy_tags,
    report_files,
    table_metadata,
)
from student360.orchestration.checks import rules_check_specs, rules_checks
from student360.rules.reference import reference_digest
from student360.settings import Settings, load_settings
from student360.warehouse.scripts import Script, upstream, upstream_tables
from student360.warehouse.warehouse import Transaction, Warehouse

Refresh = Callable[[Warehouse, Sequence[Script], Settings], dict[str, dict[str, int]]]


def feed_asset(script: Script, contract: Contract) -> AssetsDefinition:
    """Return the asset of a table that a feed loads. It merges the staged files."""

    @asset(
        name=script.name,
        group_name=script.layer,
        description=script.description,
        deps=upstream_tables(script),
        owners=OWNERS,
        kinds={"sql", engine_kind(), "table"},
        tags=privacy_tags(script),
        metadata=table_metadata(script.name),
    )
    def _feed(context: AssetExecutionContext, warehouse: Warehouse) -> MaterializeResult:
        settings = load_settings()
        counts = asdict(merge_feed(warehouse, contract, settings, context.run.run_id))
        archive_finished(warehouse, settings)
        report_files(context, warehouse, contract.feed)
        context.log.info(f"{contract.feed}: {', '.join(f'{name} {number}' for name, number in counts.items())}")
        with warehouse.reading() as tx:
            metadata = {**counts, **files_metadata(tx, contract.feed), **_figures(tx, script)}
            version = _version_of_feed(tx, contract)
        return MaterializeResult(metadata=metadata, data_version=version)

    return _feed


def view_spec(script: Script) -> AssetSpec:
    """Return the spec of a view as an external asset: the database computes it when it is read, no step does."""
    return _spec(script, upstream(script))


def _spec(script: Script, deps: Sequence[str]) -> AssetSpec:
    return AssetSpec(
        script.name,
        group_name=script.layer,
        description=script.description,
        deps=deps,
        owners=OWNERS,
        kinds={"sql", engine_kind(), "view" if script.is_view else "table"},
        tags=privacy_tags(script),
        metadata=table_metadata(script.name),
    )


def group_asset(name: str, scripts: Sequence[Script], refresh_all: Refresh) -> AssetsDefinition:
    """Return one step for tables that no feed loads. It refreshes them in one transaction in the order given.

    Checks are yielded last, because Dagster reads the asset's record for each of them.
    """
    specs = [_spec(script, upstream_tables(script)) for script in scripts]
    check_specs = [spec for script in scripts for spec in rules_check_specs(script)]

    @multi_asset(name=name, specs=specs, check_specs=check_specs, can_subset=True)
    def _group(context: AssetExecutionContext, warehouse: Warehouse) -> Iterator[MaterializeResult | AssetCheckResult]:
        settings = load_settings()
        chosen = [script for script in scripts if AssetKey(script.name) in context.selected_asset_keys]
        changed = refresh_all(warehouse, chosen, settings)
        with warehouse.reading() as tx:
            tables: list[MaterializeResult] = [
                MaterializeResult(
                    asset_key=script.name,
                    metadata={**changed[script.name], **_figures(tx, script)},
                    data_version=_version_of_rules(tx, script, settings),
                )
                for script in chosen
            ]
            checks = [check for script in chosen if _is_checked(context, script) for check in rules_checks(tx, script)]
        yield from tables
        yield from checks

    return _group


def _is_checked(context: AssetExecutionContext, script: Script) -> bool:
    return any(spec.key in context.selected_asset_check_keys for spec in rules_check_specs(script))


def _version_of_feed(tx: Transaction, contract: Contract) -> DataVersion:
    """Return the data version by which Dagster detects stale downstream assets, cheaply computed from the ledger."""
    seen = tx.query(
        "SELECT COUNT(*) AS files, SUM(rows_loaded) AS loaded, SUM(rows_updated) AS updated FROM ingest_file"
        " WHERE feed = ? AND status IN ('loaded', 'waiting')",
        (contract.feed,),
    )[0]
    return DataVersion("-".join(str(seen[name] or 0) for name in ("files", "loaded", "updated")))


def _version_of_rules(tx: Transaction, script: Script, settings: Settings) -> DataVersion | None:
    if script.layer != "core":
        return None
    return DataVersion(f"{reference_digest(script, settings)[:12]}-{tx.value(script.row_count_query)}")


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
