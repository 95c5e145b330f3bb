"""Declared changes of student ids: one student under two ids becomes one, with all facts and versions.

Belongs here: in which order the statements run. Does not belong here: the statements
(`sql/core/student_id_change.sql`, `sql/merge/rekey.sql`).
"""

import pandas as pd

from student360.loading.fact_names import fact_names
from student360.warehouse.ledger import LedgerFile
from student360.warehouse.scripts import Script, scripts, sql_file
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
            tx.run(sql_file("merge", "rekey"), "move", fact_names(fact))
        tx.execute("DROP TABLE rekey")
        tx.execute("DROP TABLE pending")
    tx.execute("DROP TABLE pending")
    tx.run(sql_file("merge", "merged"), "count")
    tx.run(scripts()["ingest_file"], "after_merge")
