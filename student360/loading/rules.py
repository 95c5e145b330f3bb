"""Tables that no feed loads, and views: brought up to date with their rules and with what they are computed from.

Belongs here: when such a table is merged. Does not belong here: reading the rules (`reference.py`), the merges
(`sql/`).
"""

from student360.crash_points import CrashPoint, passing
from student360.reference import reference_digest, reference_frame, rules_digest
from student360.settings import Settings
from student360.warehouse import ledger
from student360.warehouse.scripts import Script
from student360.warehouse.warehouse import Warehouse


def merge_rules(warehouse: Warehouse, script: Script, settings: Settings) -> dict[str, int]:
    """Bring a table that no feed loads up to date; a view needs no more than the settings that it reads.

    A table of rules alone is left as it is while its file and its merge are what they were. Returns what the merge
    did, in figures that its file asks for (section `changed`: name and number).
    """
    with warehouse.transaction() as tx:
        if script.name == "v_as_of":
            ledger.setting_changed(tx, "rule_set", settings.rule_set)
            ledger.setting_changed(tx, "as_of_date_key", settings.as_of_date.replace("-", ""))
            ledger.setting_changed(tx, "rules_now", rules_digest(settings))
        if script.is_view:
            return {}
        changed = ledger.setting_changed(tx, f"rules:{script.name}", reference_digest(script, settings))
        if script.is_rules_alone and not changed:
            return {}
        rules = reference_frame(script.name, settings)
        if rules is not None:
            tx.create_temporary("reference", rules)
        passing(CrashPoint.MID_LOAD)
        tx.run(script, "merge")
        figures = [row for query in script.statements("changed", {}) for row in tx.query(query)]
        tx.run(script, "tidy_up")
    return {row["name"]: row["number"] for row in figures}
