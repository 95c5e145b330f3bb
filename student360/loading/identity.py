"""Declared changes of student ids: one student under two ids becomes one, with all facts and versions.

Belongs here: in which order the statements run. Does not belong here: the statements
(`sql/core/student_id_change.sql`, `sql/merge/rekey.sql`).
"""

import pandas as pd

from student360.warehouse.ledger import LedgerFile
from student360.warehouse.scripts import Script, merged_rows, rekey_facts, scripts
from student360.warehouse.transaction import Transaction


def merge_id_changes(tx: Transaction, script: Script, due: list[LedgerFile]) -> None:
    """Carry out all declared changes whose old id is known; the others wait. Leaves their outcomes in `incoming`.

    Changes that share a student are carried out one after the other (A to B, then B to C), in passes over all
    students at once.
    """
    tx.create_temporary("due", pd.DataFrame({"file_id": [file.file_id for file in due]}))
    tx.execute("DROP TABLE IF EXISTS incoming")
    tx.execute(
        "CREATE TEMP TABLE incoming (file_id INTEGER, line_no INTEGER, feed TEXT, student_durable_key INTEGER,"
        " day_key INTEGER, outcome TEXT)"
    )
    while True:
        tx.run(script, "pending")
        if not tx.value("SELECT COUNT(*) FROM pending"):
            break
        tx.run(script, "merge")
        for fact in (s for s in scripts().values() if s.is_fact):
            tx.run(rekey_facts(), "move", _fragments(fact))
        tx.execute("DROP TABLE rekey")
        tx.execute("DROP TABLE pending")
    tx.execute("DROP TABLE pending")
    tx.run(merged_rows(), "count")
    tx.run(scripts()["ingest_file"], "after_merge")


def _fragments(fact: Script) -> dict[str, str]:
    """What stands for each name in braces of sql/merge/rekey.sql for one fact table."""
    key = fact.primary_key
    others = [name for name in key if name != "student_durable_key"]
    return {
        "table": fact.name,
        "key": ", ".join(key),
        "day": fact.day_column,
        "key_but_student": ", ".join(f"f.{name}" for name in others),
        "same_but_student": " AND ".join(f"t.{name} = f.{name}" for name in others),
        "same_as_twofold": " AND ".join(f"t.{name} = w.{name}" for name in others),
        "key_of_loser": ", ".join("loser" if name == "student_durable_key" else name for name in key),
        "said_before": fact.sections["said"].strip().replace("{row}", "t"),
    }
