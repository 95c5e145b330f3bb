"""Refresh the tables that no feed loads: dimensions of reference data, and the marts.

Contains when such a table is refreshed; not the reading of reference files (`rules/reference.py`) nor the SQL (`sql/`).
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict

import pandas as pd

from student360.crash_points import CrashPoint, passing
from student360.loading.bulk_attendance import refresh_months
from student360.loading.bulk_risk import refresh_risk
from student360.rules.reference import check_reference, reference_digest, reference_rows, reference_text
from student360.rules.reference_checks import Mistake, ReferenceProblem
from student360.settings import Settings
from student360.warehouse import ledger
from student360.warehouse.scripts import Script, sql_file
from student360.warehouse.warehouse import Transaction, Warehouse

# Computed by the database, or by DuckDB where there is much to compute.
CHOOSES_ENGINE = {"student_attendance_month": refresh_months, "student_risk": refresh_risk}


def refresh_reference_tables(
    warehouse: Warehouse, tables: Iterable[Script], settings: Settings
) -> dict[str, dict[str, int]]:
    """Refresh the tables of reference data in one transaction, in the order given.

    Return the figures of `refresh` by table. Raises ReferenceProblem.
    """
    with warehouse.transaction() as tx:
        return {table.name: refresh(tx, table, settings) for table in tables}


def refresh_marts(warehouse: Warehouse, marts: Iterable[Script], settings: Settings) -> dict[str, dict[str, int]]:
    """Refresh the tables of the marts in one transaction, in the order given. Views need no refresh.

    One transaction, so that readers never see monthly figures without the risk computed from them. Return the figures
    of `refresh` by table.
    """
    with warehouse.transaction() as tx:
        _store_settings(tx, settings)
        return {mart.name: {} if mart.is_view else refresh(tx, mart, settings) for mart in marts}


def refresh(tx: Transaction, table: Script, settings: Settings) -> dict[str, int]:
    """Refresh one table that no feed loads.

    A table that is computed only from its reference file is skipped while file and SQL are unchanged. A reference file
    with mistakes is rejected as a whole, and the rules accepted before stay in force (`refused_rules`). Return the
    figures that the section `changed` of the SQL file selects (name: number). Raises ReferenceProblem if no rules were
    accepted before.
    """
    if table.name == "student_risk":
        ledger.setting_changed(tx, "rules_now", _rules_in_force(tx))
    changed = ledger.setting_changed(tx, f"rules:{table.name}", reference_digest(table, settings))
    if table.is_rules_alone and not changed:
        return {}
    rules = _accepted_rules(tx, table, settings) if table.has_rules else None
    if rules is not None:
        tx.create_temporary("reference", rules)
    if any(tx.value(query) == 0 for query in table.statements("due")):
        return {}
    passing(CrashPoint.MID_LOAD)
    if table.name in CHOOSES_ENGINE:
        CHOOSES_ENGINE[table.name](tx, table, settings)
    else:
        tx.run(table, "merge")
    figures = [row for query in table.statements("changed") for row in tx.query(query)]
    tx.run(table, "tidy_up")
    return {row["name"]: row["number"] for row in figures}


def _accepted_rules(tx: Transaction, script: Script, settings: Settings) -> pd.DataFrame | None:
    """Return the rows of a table's reference file, or of its last accepted version if it has mistakes."""
    accepted = f"accepted:{script.name}"
    try:
        text = reference_text(script.name, settings)
        check_reference(script.name, text, settings)
    except ReferenceProblem as problem:
        before = ledger.setting(tx, accepted)
        if before is None:
            raise
        text = before
        ledger.setting_changed(tx, f"refused:{script.name}", json.dumps([asdict(m) for m in problem.mistakes]))
    else:
        ledger.setting_changed(tx, f"refused:{script.name}", "[]")
    ledger.setting_changed(tx, accepted, text)
    return reference_rows(script.name, text)


def _rules_in_force(tx: Transaction) -> str:
    """Return a hash of everything except the data that figures, tiers and their reasons depend on."""
    known = ledger.settings(tx)
    rules = {name: value for name, value in known.items() if name.startswith("accepted:")}
    rules |= {name: known.get(name, "") for name in ("rule_set", "language", "day_rule", "attendance_sent")}
    return hashlib.sha256(repr(sorted(rules.items())).encode()).hexdigest()[:16]


def refused_rules(tx: Transaction, script: Script) -> list[Mistake]:
    """Return the mistakes for which the current reference file of a table was rejected; empty if it is in force."""
    stored = ledger.setting(tx, f"refused:{script.name}")
    return [Mistake(**mistake) for mistake in json.loads(stored or "[]")]


def _store_settings(tx: Transaction, settings: Settings) -> None:
    """Store the settings that views read. If one that figures depend on changed, mark all figures for recomputation."""
    before = ledger.settings(tx)
    if tx.count("SELECT COUNT(*) FROM risk_rules WHERE rule_set = ?", (settings.rule_set,)):
        ledger.setting_changed(tx, "rule_set", settings.rule_set)
    ledger.setting_changed(tx, "language", settings.language)
    counting = {"day_rule": settings.day_rule, "attendance_sent": settings.attendance_sent}
    changed = [name for name, value in counting.items() if ledger.setting_changed(tx, name, value) and name in before]
    if changed:
        tx.run(sql_file("operations", "recompute"), "everything")
