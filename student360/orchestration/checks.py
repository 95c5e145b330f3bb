"""Asset checks, and how to fix what they report.

Load checks are cheap and run at the end of each load's run. Table checks read whole tables and run nightly, on demand
and by `dagster asset materialize`. Bad rows are rejected in `ingest/`, not here.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from datetime import datetime
from functools import cache
from typing import Any

from dagster import (
    AssetCheckKey,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetCheckSpec,
    MetadataValue,
    TableRecord,
    asset_check,
    multi_asset_check,
)

from student360.contracts import Contract, contracts
from student360.ingest.files import left_alone, now
from student360.ingest.problems import CELL_REASONS
from student360.loading.refresh import refused_rules
from student360.rules.reference import reference_file
from student360.settings import load_settings
from student360.warehouse import ledger
from student360.warehouse.ledger import partition_name
from student360.warehouse.scripts import Script, check_query, scripts
from student360.warehouse.warehouse import Transaction, Warehouse

CODE_TABLES = {
    "attendance": "dim_attendance_codes",
    "homework": "dim_homework_statuses",
    "communication": "dim_message_types",
}
LANDING = "landing_files"
ATTENDANCE = "attendance"
REJECTS_WARN_SHARE = 0.01
AFTER_OTHER_STEPS = {"dagster/priority": "-1"}
FIXES = {
    "rows_conserved": "Do not load any more files; run `python -m student360 status` and report its output.",
    "rejects_share": "Correct the rows in data/quarantine/to_correct and drop that file. v_rejected_rows has them too.",
    "files_accepted": "Open the file in data/quarantine, correct what the reason describes, and drop it again.",
    "nothing_odd": "The rows are loaded. Discuss the warning with the people who create the export.",
    "withdrawals_allowed": "Check the file. If it is correct, run `python -m student360 withdraw FILE`.",
    "identities_clear": "Ask the school who the student is; see 'Identity' in docs/how-to/send-files.md.",
    "presence_sent": (
        "The newest rows contain only absences. If this is true of all files, set "
        "STUDENT360_ATTENDANCE_SENT=absences_only."
    ),
    "rules_valid": "Correct the lines in data/reference/{file}. Until then the last valid version of the file applies.",
    "unmapped_codes": (
        "Add the codes to data/reference/{table}.csv and run the ingest job. This also corrects rows loaded earlier."
    ),
    "rows_match_ledger": "The table was changed manually or is damaged. Restore the warehouse from its backup.",
    "keys_unique": "Rebuild the table: its primary key was dropped, or the database file is damaged.",
    "no_orphans": "A dimension lost rows. Restore the warehouse from its backup.",
    "every_file_known": "`make status` lists the files. Rename each file after its feed, or correct its header.",
    "nothing_left_alone": "`make status` lists the entries of the landing folder that are not picked up, and why.",
    "fresh": "Ask the school for the export of this feed, and check the quarantine folder.",
    "equals_facts": "Materialize the asset again. If it still differs, report it.",
}


def load_checks(contract: Contract) -> AssetChecksDefinition:
    """Return the checks of a feed's load as one step. It runs last, so that the risk list does not wait for it."""

    @multi_asset_check(
        name=f"{contract.loads}_load_checks", specs=load_check_specs(contract), op_tags=AFTER_OTHER_STEPS
    )
    def _checks(warehouse: Warehouse) -> Iterator[AssetCheckResult]:
        with warehouse.reading() as tx:
            results = [check(tx, contract) for check in _load_checks_of(contract).values()]
        yield from results

    return _checks


def load_check_specs(contract: Contract) -> list[AssetCheckSpec]:
    """Return the specs of the checks that run with each load of a feed."""
    names = _load_checks_of(contract)
    return [AssetCheckSpec(name, asset=contract.loads, description=_fix(name, contract)) for name in names]


def rules_check_specs(script: Script) -> list[AssetCheckSpec]:
    """Return the spec of the check that runs when a reference file is merged; none for a table without one."""
    if not script.has_rules:
        return []
    return [AssetCheckSpec("rules_valid", asset=script.name, description=_fix_rules(script))]


def rules_checks(tx: Transaction, script: Script) -> list[AssetCheckResult]:
    """Check whether a table's reference file was accepted, and list its mistakes otherwise."""
    if not script.has_rules:
        return []
    mistakes = refused_rules(tx, script)
    metadata: dict[str, Any] = {"mistakes": len(mistakes)}
    if mistakes:
        metadata["where"] = _shown([asdict(mistake) for mistake in mistakes[:50]])
    return [
        AssetCheckResult(
            asset_key=script.name,
            check_name="rules_valid",
            passed=not mistakes,
            severity=AssetCheckSeverity.ERROR,
            metadata=metadata,
            description=_fix_rules(script) if mistakes else "",
        )
    ]


def _fix_rules(script: Script) -> str:
    return f"How to fix: {FIXES['rules_valid']}".replace("{file}", f"{reference_file(script.name)}.csv")


def load_check_keys() -> list[AssetCheckKey]:
    """Return the keys of all checks that run with loads and with merges of rules."""
    loads = [spec.key for contract in contracts().values() for spec in load_check_specs(contract)]
    return loads + rules_check_keys()


def rules_check_keys() -> list[AssetCheckKey]:
    """The checks of reference files. Their result cannot change before the file does."""
    return [spec.key for script in scripts().values() for spec in rules_check_specs(script)]


def _rows_conserved(tx: Transaction, contract: Contract) -> AssetCheckResult:
    lost = tx.value(
        "SELECT COUNT(*) FROM ingest_file WHERE feed = ? AND status IN ('loaded', 'waiting', 'quarantined')"
        " AND rows_read <> rows_loaded + rows_updated + rows_unchanged + rows_rejected + rows_waiting",
        (contract.feed,),
    )
    waiting = tx.value("SELECT COALESCE(SUM(rows_waiting), 0) FROM ingest_file WHERE feed = ?", (contract.feed,))
    return _result(
        "rows_conserved",
        contract,
        lost == 0 and waiting == ledger.waiting_in_staging(tx, contract.feed, contract.staging_table),
        AssetCheckSeverity.ERROR,
        files_with_lost_rows=lost,
        rows_waiting=waiting,
    )


def _rejects_share(tx: Transaction, contract: Contract) -> AssetCheckResult:
    newest = tx.query(
        "SELECT file_id, rows_read, rows_rejected FROM ingest_file WHERE feed = ? AND status IN ('loaded', 'waiting',"
        " 'quarantined') ORDER BY file_id DESC LIMIT 1",
        (contract.feed,),
    )
    read, rejected = (newest[0]["rows_read"], newest[0]["rows_rejected"]) if newest else (0, 0)
    metadata: dict[str, Any] = {"rows_read": read, "rows_rejected": rejected}
    if rejected:
        reasons = tx.query(
            "SELECT column_name, reason_code, COUNT(*) AS row_count, MIN(line_no) AS first_line FROM row_reject"
            " WHERE file_id = ? GROUP BY column_name, reason_code ORDER BY 3 DESC, 1, 2",
            (newest[0]["file_id"],),
        )
        metadata["reasons"] = _shown([row | {"reason": CELL_REASONS[row["reason_code"]]} for row in reasons])
    passed = rejected <= REJECTS_WARN_SHARE * read
    return _result("rejects_share", contract, passed, AssetCheckSeverity.WARN, **metadata)


def _files_accepted(tx: Transaction, contract: Contract) -> AssetCheckResult:
    """Check that no file of the feed was quarantined since its last loaded file."""
    refused = tx.query(
        "SELECT sha256, effective_date_key, reason_code, reason FROM ingest_file WHERE feed = ?"
        " AND status = 'quarantined' AND file_id > (SELECT COALESCE(MAX(file_id), 0) FROM ingest_file WHERE feed = ?"
        " AND status IN ('loaded', 'waiting')) ORDER BY file_id DESC LIMIT 50",
        (contract.feed, contract.feed),
    )
    return _about_files("files_accepted", contract, refused, "files_refused")


def _nothing_odd(tx: Transaction, contract: Contract) -> AssetCheckResult:
    newest = tx.query(
        "SELECT sha256, effective_date_key, warnings FROM ingest_file WHERE feed = ?"
        " AND status IN ('loaded', 'waiting') ORDER BY file_id DESC LIMIT 1",
        (contract.feed,),
    )
    return _about_files("nothing_odd", contract, [file for file in newest if file["warnings"]], "files_with_warnings")


def _withdrawals_allowed(tx: Transaction, contract: Contract) -> AssetCheckResult:
    held = tx.query(
        "SELECT sha256, effective_date_key FROM ingest_file WHERE feed = ? AND sweep = 'held' ORDER BY file_id DESC"
        " LIMIT 50",
        (contract.feed,),
    )
    return _about_files("withdrawals_allowed", contract, held, "files_held_back")


def _about_files(name: str, contract: Contract, files: list[dict[str, Any]], count: str) -> AssetCheckResult:
    """Return a warning about files, which are named by their partitions, because file names may contain names."""
    keys = [partition_name(contract.feed, file.pop("effective_date_key"), file.pop("sha256")) for file in files]
    metadata: dict[str, Any] = {count: len(files)}
    if files:
        metadata["files"] = _shown([{"file": key} | file for key, file in zip(keys, files, strict=True)])
    return _result(name, contract, not files, AssetCheckSeverity.WARN, **metadata)


def _shown(rows: list[dict[str, Any]]) -> MetadataValue:
    return MetadataValue.table([TableRecord(row) for row in rows])


def _identities_clear(tx: Transaction, contract: Contract) -> AssetCheckResult:
    unclear = tx.count("SELECT COUNT(*) FROM identity_warning WHERE settled_by_file_id IS NULL")
    return _result(
        "identities_clear", contract, unclear == 0, AssetCheckSeverity.WARN, students_that_may_be_two=unclear
    )


def _presence_sent(tx: Transaction, contract: Contract) -> AssetCheckResult:
    """Check that the newest rows contain attended days, unless days without a row count as attended."""
    codes = f"FROM {contract.staging_table} AS s JOIN dim_attendance_codes AS c ON c.code = s.attendance_status"
    absent = tx.value(f"SELECT 1 {codes} WHERE c.absent_share_pct > 0 LIMIT 1")
    present = tx.value(f"SELECT 1 {codes} WHERE c.absent_share_pct = 0 LIMIT 1")
    sent = load_settings().attendance_sent
    passed = bool(present) or not absent or sent == "absences_only"
    return _result("presence_sent", contract, passed, AssetCheckSeverity.WARN, attendance_sent=sent)


def _unmapped_codes(tx: Transaction, contract: Contract) -> AssetCheckResult:
    table = CODE_TABLES[contract.feed]
    codes = tx.value(f"SELECT COUNT(*) FROM {table} WHERE category = 'UNMAPPED'")
    return _result("unmapped_codes", contract, codes == 0, AssetCheckSeverity.WARN, unmapped_codes=codes)


def _load_checks_of(contract: Contract) -> dict[str, Callable[[Transaction, Contract], AssetCheckResult]]:
    """Return the load checks of a feed. They use the ledger, so their cost does not grow with the facts."""
    checks = [_rows_conserved, _rejects_share, _files_accepted, _nothing_odd, _withdrawals_allowed]
    if contract.feed in CODE_TABLES:
        checks.append(_unmapped_codes)
    if contract.feed == ATTENDANCE:
        checks.append(_presence_sent)
    if contract.loads == "dim_students":
        checks.append(_identities_clear)
    return {check.__name__.removeprefix("_"): check for check in checks}


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
    """Return all checks that read whole tables."""
    return tuple(_table_checks())


def _table_checks() -> Iterable[AssetChecksDefinition]:
    for script in scripts().values():
        if script.layer in ("core", "spark") and script.primary_key:
            yield _keys_unique(script)
        if script.is_fact:
            yield _no_orphans(script)
            yield _rows_match_ledger(script)
        if script.layer == "spark":
            yield _equals_facts(script)
    for contract in contracts().values():
        yield _fresh(contract)
    unknown = "SELECT COUNT(*) FROM ingest_file WHERE feed IS NULL"
    yield _none_found(LANDING, "every_file_known", "files_of_no_feed", unknown, AssetCheckSeverity.WARN)
    yield _nothing_left_alone()


def _none_found(
    asset: str, name: str, found: str, query: str, severity: AssetCheckSeverity = AssetCheckSeverity.ERROR
) -> AssetChecksDefinition:
    """Return a check that passes if a query counts nothing. found: the name of the count in the metadata."""

    @asset_check(asset=asset, name=name, description=_fix(name))
    def _check(warehouse: Warehouse) -> AssetCheckResult:
        with warehouse.reading() as tx:
            number = tx.count(query)
        return AssetCheckResult(passed=number == 0, severity=severity, metadata={found: number})

    return _check


def _keys_unique(script: Script) -> AssetChecksDefinition:
    key = ", ".join(script.primary_key)
    repeated = f"SELECT 1 FROM {script.name} GROUP BY {key} HAVING COUNT(*) > 1"
    return _none_found(script.name, "keys_unique", "repeated_keys", f"SELECT COUNT(*) FROM ({repeated}) AS r")


def _no_orphans(script: Script) -> AssetChecksDefinition:
    orphans = (
        f"SELECT COUNT(*) FROM {script.name} AS f LEFT JOIN dim_students AS s"
        " ON s.student_durable_key = f.student_durable_key WHERE s.student_key IS NULL"
    )
    return _none_found(script.name, "no_orphans", "orphans", orphans)


def _rows_match_ledger(script: Script) -> AssetChecksDefinition:
    @asset_check(asset=script.name, name="rows_match_ledger", description=_fix("rows_match_ledger"))
    def _check(warehouse: Warehouse) -> AssetCheckResult:
        with warehouse.reading() as tx:
            counted = tx.value(f"SELECT COUNT(*) FROM {script.name}")
            expected = tx.value(script.row_count_query)
        return AssetCheckResult(passed=counted == expected, metadata={"rows": counted, "in_the_ledger": expected})

    return _check


def _equals_facts(script: Script) -> AssetChecksDefinition:
    columns, expected = ", ".join(column.name for column in script.columns), check_query(script.name)
    different = (
        f"SELECT COUNT(*) FROM (SELECT * FROM (SELECT {columns} FROM {script.name} EXCEPT {expected}) AS a"
        f" UNION ALL SELECT * FROM ({expected} EXCEPT SELECT {columns} FROM {script.name}) AS b) AS d"
    )
    return _none_found(script.name, "equals_facts", "rows_that_differ", different)


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


def _nothing_left_alone() -> AssetChecksDefinition:
    @asset_check(asset=LANDING, name="nothing_left_alone", description=_fix("nothing_left_alone"))
    def _check() -> AssetCheckResult:
        left = Counter(each.why for each in left_alone(load_settings().landing))
        return AssetCheckResult(passed=not left, severity=AssetCheckSeverity.WARN, metadata=dict(left))

    return _check


def freshness(newest: str | None, contract: Contract) -> AssetCheckResult:
    """Check that a feed's newest loaded file (ISO time or None) arrived within the contract's fresh_within_days."""
    days = (now() - datetime.fromisoformat(newest)).days if newest else None
    passed = contract.optional if days is None else days <= contract.fresh_within_days
    return AssetCheckResult(
        passed=passed,
        severity=AssetCheckSeverity.WARN,
        metadata={"newest_file": newest or "none yet", "allowed_days": contract.fresh_within_days},
        description="" if passed else _fix("fresh"),
    )
