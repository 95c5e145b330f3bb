"""The core step: staged rows into their dimension or fact table, counted, in one transaction.

Belongs here: what is the same for every feed around the merge of its SQL file. Does not belong here: the merges
themselves (`sql/core`).
"""

import pandas as pd

from student360.contracts import Contract
from student360.ingest.files import now
from student360.warehouse import ledger
from student360.warehouse.ledger import LedgerFile
from student360.warehouse.scripts import Script, scripts
from student360.warehouse.warehouse import Transaction, Warehouse

BIG_LOAD_ROWS = 1_000
BIG_LOAD_SHARE = 0.05


def merge_feed(warehouse: Warehouse, contract: Contract, run_id: str) -> bool:
    """Merge all staged and waiting rows of a feed. Returns whether there was anything to do.

    Each row ends as loaded, updated, unchanged or waiting (its student is not known yet), and the file's counts
    say so. A waiting row stays in staging and is merged when its student arrives.
    """
    script = scripts()[contract.loads]
    with warehouse.transaction() as tx:
        due = ledger.files(tx, contract.feed, "staged", "waiting")
        if not due:
            return False
        slices = tx.query(script.sections["slices"].strip().rstrip(";")) if "slices" in script.sections else [None]
        for slice_ in slices:
            if slice_ is not None:
                tx.create_temporary("slice", pd.DataFrame([slice_]))
            _merge(tx, script, contract)
        _settle(tx, contract, run_id)
        if _is_big(tx, script, contract, due):
            tx.refresh_statistics(script.name)
    return True


def _is_big(tx: Transaction, script: Script, contract: Contract, merged: list[LedgerFile]) -> bool:
    """Whether so much of a table is new that the planner's picture of it is wrong."""
    rows = tx.value(
        "SELECT COALESCE(SUM(rows_loaded + rows_updated), 0) FROM ingest_file WHERE feed = ? AND file_id >= ?",
        (contract.feed, merged[0].file_id),
    )
    return int(rows) >= max(BIG_LOAD_ROWS, BIG_LOAD_SHARE * int(tx.value(script.row_count_query)))


def _merge(tx: Transaction, script: Script, contract: Contract) -> None:
    tx.run(script, "merge")
    tx.run(scripts()["ingest_file"], "after_merge")
    if script.name.startswith("fact_"):
        tx.run(scripts()["touched_student_month"], "after_merge")
        tx.run(scripts()["data_extent"], "after_merge")
        tx.execute(
            f"DELETE FROM {contract.staging_table} WHERE file_id IN (SELECT file_id FROM ingest_file"
            " WHERE feed = ? AND rows_read > rows_loaded + rows_updated + rows_unchanged + rows_rejected)"
            " AND (file_id, line_no) IN (SELECT file_id, line_no FROM incoming)",
            (contract.feed,),
        )
    tx.execute("DROP TABLE incoming")


def _settle(tx: Transaction, contract: Contract, run_id: str) -> None:
    """Write the outcome of each file whose rows found their place or begin to wait; leave the others alone."""
    waiting = "rows_read - rows_loaded - rows_updated - rows_unchanged - rows_rejected"
    tx.execute(
        f"UPDATE ingest_file SET rows_waiting = {waiting},"
        f" status = CASE WHEN {waiting} = 0 THEN 'loaded' ELSE 'waiting' END, run_id = ?, committed_at = ?"
        f" WHERE feed = ? AND (status = 'staged' OR (status = 'waiting' AND rows_waiting <> {waiting}))",
        (run_id, now().isoformat(), contract.feed),
    )
