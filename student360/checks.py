"""Asset checks: what must hold, and what to do when it does not.

Belongs here: checks of a load (part of the load's own step, cheap) and of whole tables (run nightly, on demand and
by `dagster asset materialize`). Does not belong here: what stops bad rows (`ingest/`).
"""

from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Any

from dagster import (
    AssetCheckKey,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetCheckSpec,
    asset_check,
)

from student360.contracts import Contract, contracts
from student360.ingest.files import now
from student360.warehouse.scripts import Script, check_query, scripts
from student360.warehouse.warehouse import Transaction, Warehouse

CODE_TABLES = {
    "attendance": "dim_attendance_codes",
    "homework": "dim_homework_statuses",
    "communication": "dim_message_types",
}
REJECTS_WARN_SHARE = 0.01
FIXES = {
    "rows_conserved": "Do not load anything more; run `python -m student360 status` and report what it prints.",
    "rejects_share": "See the view v_rejected_rows for line, column and reason; correct the rows and drop them again.",
    "unmapped_codes": "Add the codes to data/reference/{table}.csv and run the ingest job: history is healed.",
    "rows_match_ledger": "The table was changed by hand, or is damaged. Restore the warehouse from its backup.",
    "keys_unique": "Rebuild the table; its primary key was dropped or the file is damaged.",
    "no_orphans": "A dimension lost rows. Restore the warehouse from its backup.",
    "fresh": "Ask the school for the export of this feed, or look into the quarantine folder.",
    "equals_facts": "Materialize the asset again; if it still differs, report it.",
}


def load_check_specs(contract: Contract) -> list[AssetCheckSpec]:
    """The checks that each load of a feed makes in its own step."""
    names = ["rows_conserved", "rejects_share"]
    if contract.feed in CODE_TABLES:
        names.append("unmapped_codes")
    return [AssetCheckSpec(name, asset=contract.loads, description=_fix(name, contract)) for name in names]


def load_check_keys() -> list[AssetCheckKey]:
    """The load checks of all feeds."""
    return [spec.key for contract in contracts().values() for spec in load_check_specs(contract)]


def load_checks(warehouse: Warehouse, contract: Contract) -> list[AssetCheckResult]:
    """Results of the load checks of a feed, from the ledger: their cost does not grow with the facts."""
    with warehouse.reading() as tx:
        results = [_rows_conserved(tx, contract), _rejects_share(tx, contract)]
        if contract.feed in CODE_TABLES:
            results.append(_unmapped_codes(tx, contract))
    return results


def _rows_conserved(tx: Transaction, contract: Contract) -> AssetCheckResult:
    lost = tx.value(
        "SELECT COUNT(*) FROM ingest_file WHERE feed = ? AND status IN ('loaded', 'waiting', 'quarantined')"
        " AND rows_read <> rows_loaded + rows_updated + rows_unchanged + rows_rejected + rows_waiting",
        (contract.feed,),
    )
    waiting = tx.value("SELECT COALESCE(SUM(rows_waiting), 0) FROM ingest_file WHERE feed = ?", (contract.feed,))
    in_staging = tx.value(
        f"SELECT COUNT(*) FROM {contract.staging_table} AS s JOIN ingest_file AS f ON f.file_id = s.file_id"
        " WHERE f.status = 'waiting'"
    )
    return _result(
        "rows_conserved",
        contract,
        lost == 0 and waiting == in_staging,
        AssetCheckSeverity.ERROR,
        files_with_lost_rows=lost,
        rows_waiting=waiting,
    )


def _rejects_share(tx: Transaction, contract: Contract) -> AssetCheckResult:
    newest = tx.query(
        "SELECT rows_read, rows_rejected FROM ingest_file WHERE feed = ? AND status IN ('loaded', 'waiting',"
        " 'quarantined') ORDER BY file_id DESC LIMIT 1",
        (contract.feed,),
    )
    read = newest[0]["rows_read"] if newest else 0
    rejected = newest[0]["rows_rejected"] if newest else 0
    passed = rejected <= REJECTS_WARN_SHARE * read
    return _result("rejects_share", contract, passed, AssetCheckSeverity.WARN, rows_read=read, rows_rejected=rejected)


def _unmapped_codes(tx: Transaction, contract: Contract) -> AssetCheckResult:
    table = CODE_TABLES[contract.feed]
    codes = tx.value(f"SELECT COUNT(*) FROM {table} WHERE category = 'UNMAPPED'")
    return _result("unmapped_codes", contract, codes == 0, AssetCheckSeverity.WARN, unmapped_codes=codes)


def _fix(name: str, contract: Contract | None = None) -> str:
    table = CODE_TABLES.get(contract.feed, "") if contract else ""
    return f"How to fix: {FIXES[name]}".replace("{table}", table)


def _result(
    name: str, contract: Contract, passed: bool, severity: AssetCheckSeverity, **metadata: Any
) -> AssetCheckResult:
    return AssetCheckResult(
        asset_key=contract.loads,
        check_name=name,
        passed=passed,
        severity=severity,
        metadata=metadata,
        description="" if passed else _fix(name, contract),
    )


@cache
def table_checks() -> tuple[AssetChecksDefinition, ...]:
    """All checks that read whole tables."""
    return tuple(_table_checks())


def _table_checks() -> Iterable[AssetChecksDefinition]:
    """The checks that read whole tables, one set per table and feed."""
    for script in scripts().values():
        if script.layer in ("core", "spark") and script.primary_key:
            yield _keys_unique(script)
        if script.name.startswith("fact_"):
            yield _no_orphans(script)
            yield _rows_match_ledger(script)
        if script.layer == "spark":
            yield _equals_facts(script)
    for contract in contracts().values():
        yield _fresh(contract)


def _keys_unique(script: Script) -> AssetChecksDefinition:
    key = ", ".join(script.primary_key)

    @asset_check(asset=script.name, name="keys_unique", description=_fix("keys_unique"))
    def _check(warehouse: Warehouse) -> AssetCheckResult:
        with warehouse.reading() as tx:
            repeated = tx.value(
                f"SELECT COUNT(*) FROM (SELECT 1 FROM {script.name} GROUP BY {key} HAVING COUNT(*) > 1) AS r"
            )
        return AssetCheckResult(passed=repeated == 0, metadata={"repeated_keys": repeated})

    return _check


def _no_orphans(script: Script) -> AssetChecksDefinition:
    @asset_check(asset=script.name, name="no_orphans", description=_fix("no_orphans"))
    def _check(warehouse: Warehouse) -> AssetCheckResult:
        with warehouse.reading() as tx:
            orphans = tx.value(
                f"SELECT COUNT(*) FROM {script.name} AS f LEFT JOIN dim_students AS s"
                " ON s.student_durable_key = f.student_durable_key"
                " WHERE s.student_key IS NULL"
            )
        return AssetCheckResult(passed=orphans == 0, metadata={"orphans": orphans})

    return _check


def _rows_match_ledger(script: Script) -> AssetChecksDefinition:
    @asset_check(asset=script.name, name="rows_match_ledger", description=_fix("rows_match_ledger"))
    def _check(warehouse: Warehouse) -> AssetCheckResult:
        with warehouse.reading() as tx:
            counted = tx.value(f"SELECT COUNT(*) FROM {script.name}")
            expected = tx.value(script.row_count_query)
        return AssetCheckResult(passed=counted == expected, metadata={"rows": counted, "in_the_ledger": expected})

    return _check


def _equals_facts(script: Script) -> AssetChecksDefinition:
    columns = ", ".join(column.name for column in script.columns)

    @asset_check(asset=script.name, name="equals_facts", description=_fix("equals_facts"))
    def _check(warehouse: Warehouse) -> AssetCheckResult:
        expected = check_query(script.name)
        with warehouse.reading() as tx:
            different = tx.value(
                f"SELECT COUNT(*) FROM (SELECT * FROM (SELECT {columns} FROM {script.name} EXCEPT {expected}) AS a"
                f" UNION ALL SELECT * FROM ({expected} EXCEPT SELECT {columns} FROM {script.name}) AS b) AS d"
            )
        return AssetCheckResult(passed=different == 0, metadata={"rows_that_differ": different})

    return _check


def _fresh(contract: Contract) -> AssetChecksDefinition:
    @asset_check(asset=contract.raw_asset, name="fresh", description=_fix("fresh"))
    def _check(warehouse: Warehouse) -> AssetCheckResult:
        with warehouse.reading() as tx:
            newest = tx.value(
                "SELECT MAX(received_at) FROM ingest_file WHERE feed = ? AND status IN ('loaded', 'waiting')",
                (contract.feed,),
            )
        return freshness(newest, contract)

    return _check


def freshness(newest: str | None, contract: Contract) -> AssetCheckResult:
    """Whether the newest good file of a feed (ISO time or None) came within the days that its contract allows."""
    days = (now() - datetime.fromisoformat(newest)).days if newest else None
    passed = days is not None and days <= contract.fresh_within_days
    return AssetCheckResult(
        passed=passed,
        severity=AssetCheckSeverity.WARN,
        metadata={"newest_file": newest or "none yet", "allowed_days": contract.fresh_within_days},
        description="" if passed else _fix("fresh"),
    )
