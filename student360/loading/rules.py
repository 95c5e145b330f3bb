"""Tables that no feed loads, and views: brought up to date with their rules and with what they are computed from.

Belongs here: when such a table is merged. Does not belong here: reading the rules (`reference.py`), the merges
(`sql/`).
"""

import hashlib
import json
from dataclasses import asdict

import pandas as pd

from student360.crash_points import CrashPoint, passing
from student360.loading.many_months import merge_months
from student360.loading.many_students import judge
from student360.rules.reference import check_reference, reference_digest, reference_rows, reference_text
from student360.rules.reference_checks import Mistake, ReferenceProblem
from student360.settings import Settings
from student360.warehouse import ledger
from student360.warehouse.scripts import Script, operation, queries
from student360.warehouse.warehouse import Transaction, Warehouse

OF_VERY_MANY = {"student_attendance_month": merge_months, "student_risk": judge}


def merge_rules(warehouse: Warehouse, script: Script, settings: Settings) -> dict[str, int]:
    """Bring a table that no feed loads up to date; a view needs no more than the settings that it reads.

    A table of rules alone is left as it is while its file and its merge are what they were. A file with mistakes is
    refused as a whole: the rules that were accepted before stay in force (`refused_rules`). Raises ReferenceProblem
    where none were. Returns what the merge did, in figures that its file asks for (section `changed`: name and number).
    """
    with warehouse.transaction() as tx:
        if script.name == "v_as_of":
            _note_settings(tx, settings)
        if script.name == "student_risk":
            ledger.setting_changed(tx, "rules_now", _rules_in_force(tx))
        if script.is_view:
            return {}
        changed = ledger.setting_changed(tx, f"rules:{script.name}", reference_digest(script, settings))
        if script.is_rules_alone and not changed:
            return {}
        rules = _accepted_rules(tx, script, settings) if script.has_rules else None
        if rules is not None:
            tx.create_temporary("reference", rules)
        if any(tx.value(query) == 0 for query in script.statements("due", {})):
            return {}
        passing(CrashPoint.MID_LOAD)
        if script.name in OF_VERY_MANY:
            OF_VERY_MANY[script.name](tx, script, settings)
        else:
            tx.run(script, "merge", queries())
        figures = [row for query in script.statements("changed", {}) for row in tx.query(query)]
        tx.run(script, "tidy_up")
    return {row["name"]: row["number"] for row in figures}


def _accepted_rules(tx: Transaction, script: Script, settings: Settings) -> pd.DataFrame | None:
    """The rows of a table's reference file, or of the one that was accepted last."""
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
    """A hash of everything that figures, tiers and their reasons depend on beside the data."""
    known = ledger.settings(tx)
    told = {name: value for name, value in known.items() if name.startswith("accepted:")}
    told |= {name: known.get(name, "") for name in ("rule_set", "language", "day_rule", "attendance_sent")}
    return hashlib.sha256(repr(sorted(told.items())).encode()).hexdigest()[:16]


def refused_rules(tx: Transaction, script: Script) -> list[Mistake]:
    """Why the reference file of a table, as it is now, was refused; empty if it is in force."""
    told = ledger.setting(tx, f"refused:{script.name}")
    return [Mistake(**mistake) for mistake in json.loads(told or "[]")]


def _note_settings(tx: Transaction, settings: Settings) -> None:
    """Tell the views their settings; figures that were computed under another one are computed again."""
    before = ledger.settings(tx)
    if tx.count("SELECT COUNT(*) FROM risk_rules WHERE rule_set = ?", (settings.rule_set,)):
        ledger.setting_changed(tx, "rule_set", settings.rule_set)
    ledger.setting_changed(tx, "language", settings.language)
    counting = {"day_rule": settings.day_rule, "attendance_sent": settings.attendance_sent}
    changed = [name for name, value in counting.items() if ledger.setting_changed(tx, name, value) and name in before]
    if changed:
        tx.run(operation("recompute"), "everything")
