"""Apply declared changes of student ids: all facts and versions of both ids are merged into one student.

Contains the order of the statements; not the statements (see `sql/core/student_id_change.sql`, `sql/merge/rekey.sql`).
"""

import pandas as pd

from student360.loading.fact_names import fact_names
from student360.warehouse.ledger import LedgerFile
from student360.warehouse.scripts import Script, scripts, sql_file
from student360.warehouse.transaction import Transaction


def merge_id_changes(tx: Transaction, script: Script, due: list[LedgerFile]) -> None:
    """Apply all declared changes with a known old id; the others wait. Writes the outcomes to `incoming`.

    Changes that share a student are applied one after the other (A to B, then B to C), in passes over all students.
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
