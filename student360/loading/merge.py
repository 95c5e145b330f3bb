"""The core step: merge staged rows into their dimension or fact table and count the outcomes, in one transaction.

Contains what all feeds share: which files are merged together, the counts, and the withdrawal of rows that a snapshot
or window no longer contains; not the statements (see `sql/core`, `sql/merge`).
"""

from dataclasses import astuple, dataclass

import pandas as pd

from student360.contracts import Contract, LoadMode
from student360.crash_points import CrashPoint, passing
from student360.ingest.files import now
from student360.loading.fact_names import fact_names
from student360.loading.identity import merge_id_changes
from student360.loading.large_files import add_facts, has_staged_rows, into_staging_table
from student360.settings import Settings
from student360.warehouse import ledger
from student360.warehouse.ledger import LedgerFile
from student360.warehouse.scripts import Script, scripts, sql_file
from student360.warehouse.templates import Names
from student360.warehouse.warehouse import Transaction, Warehouse

BIG_LOAD_ROWS = 1_000
BIG_LOAD_SHARE = 0.05


@dataclass(frozen=True)
class Changed:
    """The numbers of rows that a merge added, changed and withdrew in its table."""

    rows_added: int = 0
    rows_changed: int = 0
    rows_withdrawn: int = 0

    def __add__(self, other: "Changed") -> "Changed":
        both = zip(astuple(self), astuple(other), strict=True)
        return Changed(*(one + another for one, another in both))


def merge_feed(warehouse: Warehouse, contract: Contract, settings: Settings, run_id: str) -> Changed:
    """Merge all staged and waiting rows of a feed. Return the numbers of changed rows.

    Each row ends as loaded, updated, unchanged or waiting (its student is not known yet), and is counted as such for
    its file. A waiting row stays in staging and is merged when its student arrives.
    """
    script = scripts()[contract.loads]
    large = _merge_large_files(warehouse, script, contract, settings, run_id)
    with warehouse.transaction() as tx:
        due = _due(tx, contract, script)
        if not due:
            return large
        before = _counted(tx, due)
        if script.is_fact:
            _merge_facts(tx, script, contract, settings, due)
        elif "slices" in script.sections:
            _merge_slices(tx, script, settings)
        else:
            merge_id_changes(tx, script, due)
            tx.run(script, "waiting")
            _keep_only_waiting_rows(tx, contract)
            _drop(tx, "incoming", "merged", "waiting")
        return large + _finish(tx, script, due, before, run_id)


def _merge_large_files(
    warehouse: Warehouse, script: Script, contract: Contract, settings: Settings, run_id: str
) -> Changed:
    """Insert the rows of large files into their fact table, newest file first, in a separate transaction.

    Foreign keys are checked in bulk instead of by the database row by row. A file with days for which there are facts
    already is moved to the staging table, to be merged like a small file.
    """
    if not script.is_fact or not has_staged_rows(settings):
        return Changed()
    names = fact_names(script)
    with warehouse.transaction(references_by_row=False) as tx:
        large = [file for file in ledger.files(tx, contract.feed, "staged") if file.parquet_name]
        if not large:
            return Changed()
        before = _counted(tx, large)
        for file in sorted(large, key=LedgerFile.age, reverse=True):
            names["near"] = _make_due(tx, script, [file])
            if _may_meet(tx, names):
                into_staging_table(tx, contract, file, settings)
                large.remove(file)
            else:
                add_facts(tx, script, contract, file, names, settings)
                tx.enforce_key(script)
                _record_merged(tx, script)
                _drop(tx, "merged")
        return _finish(tx, script, large, before, run_id)


def _finish(tx: Transaction, script: Script, files: list[LedgerFile], before: dict[str, int], run_id: str) -> Changed:
    """Write the outcomes of merged files, add foreign keys and update statistics. Return what the merge changed."""
    if not files:
        return Changed()
    passing(CrashPoint.BEFORE_LEDGER)
    _write_outcomes(tx, files, run_id)
    after = _counted(tx, files)
    changed = Changed(**{name: after[name] - before[name] for name in after})
    if changed.rows_added:
        tx.enforce_references(script)
    if _is_big(tx, script, changed):
        tx.refresh_statistics(script.name)
    return changed


def _due(tx: Transaction, contract: Contract, script: Script) -> list[LedgerFile]:
    """Return the new files, and of the files with waiting rows those for which a student has become known."""
    files = ledger.files(tx, contract.feed, "staged", "waiting")
    if not script.is_fact or all(file.status == "staged" for file in files):
        return files
    ready = tx.numbers(sql_file("merge", "fact").statements("files_ready_again", fact_names(script))[0])
    return [file for file in files if file.status == "staged" or file.file_id in ready]


def _counted(tx: Transaction, due: list[LedgerFile]) -> dict[str, int]:
    """Return the counts in the ledger of the feed's files from the first of `due` on."""
    return tx.query(
        "SELECT COALESCE(SUM(rows_loaded), 0) AS rows_added, COALESCE(SUM(rows_updated), 0) AS rows_changed,"
        " COALESCE(SUM(rows_withdrawn), 0) AS rows_withdrawn FROM ingest_file WHERE feed = ? AND file_id >= ?",
        (due[0].feed, due[0].file_id),
    )[0]


def _is_big(tx: Transaction, script: Script, changed: Changed) -> bool:
    """Return whether so many rows of a table changed that the planner's statistics must be updated."""
    rows = changed.rows_added + changed.rows_changed
    return rows >= max(BIG_LOAD_ROWS, BIG_LOAD_SHARE * int(tx.value(script.row_count_query)))


def _merge_facts(
    tx: Transaction, script: Script, contract: Contract, settings: Settings, due: list[LedgerFile]
) -> None:
    """Merge the delta files together, then each snapshot and window file separately, in order of effective day."""
    tx.enforce_key(script)
    names = fact_names(script)
    merge, bulk, snapshot = sql_file("merge", "fact"), sql_file("bulk", "fact"), sql_file("merge", "snapshot")
    adding = [file for file in due if file.load_mode is LoadMode.DELTA or file.status == "waiting"]
    whole = [file for file in due if file not in adding]
    for files in ([adding] if adding else []) + [[file] for file in sorted(whole, key=LedgerFile.age)]:
        names["near"] = _make_due(tx, script, files)
        tx.run(merge, "waiting", names)
        if _may_meet(tx, names):
            tx.run(merge, "incoming", names)
            passing(CrashPoint.MID_LOAD)
            tx.run(merge, "upsert", names)
            tx.run(sql_file("merge", "merged"), "count")
            _drop(tx, "incoming")
        else:
            tx.run(bulk, "add", names)
        passing(CrashPoint.MID_LOAD)
        _record_merged(tx, script)
        if files[0].load_mode is not LoadMode.DELTA and files[0].status == "staged":
            _sweep_unless_suspicious(tx, snapshot, names, files[0], settings)
        _keep_only_waiting_rows(tx, contract)
        _drop(tx, "merged", "waiting")


def _make_due(tx: Transaction, script: Script, files: list[LedgerFile]) -> str:
    """Write the files to merge next to the table `due`. Return the condition for facts that they may update."""
    tx.create_temporary("due", pd.DataFrame({"file_id": [file.file_id for file in files]}))
    tx.refresh_statistics("due")
    return _near(tx, script)


def _may_meet(tx: Transaction, names: Names) -> bool:
    """Return whether there are facts that the files in `due` may update, or that newer files withdrew."""
    return bool(tx.count(sql_file("bulk", "fact").statements("may_meet", names)[0]))


def _near(tx: Transaction, script: Script) -> str:
    """Return a SQL condition for the facts t that the staged rows may update.

    It selects the days of the files in `due` if the key begins with the day, and all facts otherwise. The days are
    literals, so that the planner of PostgreSQL knows that it does not need to read years of facts.
    """
    if script.primary_key[0] != script.day_column:
        return "1 = 1"
    span = tx.query(sql_file("bulk", "fact").statements("span")[0])[0]
    return f"t.{script.day_column} BETWEEN {span['first_day'] or 'NULL'} AND {span['last_day'] or 'NULL'}"


def _merge_slices(tx: Transaction, script: Script, settings: Settings) -> None:
    """Merge the roster, one effective day of one file at a time."""
    files = {file.file_id: file for file in ledger.files(tx, "students", "staged")}
    for slice_ in tx.query(script.statements("slices")[0]):
        tx.create_temporary("slice", pd.DataFrame([slice_]))
        tx.run(script, "merge")
        tx.run(sql_file("merge", "merged"), "count")
        passing(CrashPoint.MID_LOAD)
        _record_merged(tx, script)
        if files[slice_["file_id"]].load_mode is LoadMode.SNAPSHOT:
            _sweep_unless_suspicious(tx, script, {}, files[slice_["file_id"]], settings)
        _drop(tx, "incoming", "merged")


def _record_merged(tx: Transaction, script: Script) -> None:
    tx.run(scripts()["ingest_file"], "after_merge")
    tx.run(scripts()["touched_student"], "after_merge")
    if script.is_fact:
        tx.run(scripts()["touched_student_month"], "after_merge")
        tx.run(scripts()["data_extent"], "after_merge")


def _keep_only_waiting_rows(tx: Transaction, contract: Contract) -> None:
    """Delete the merged rows of files with waiting rows from staging, so that only the waiting rows are merged again.

    The file ids are literals, because with a subquery in a DELETE SQLite collects all rows first, 24 bytes per row.
    """
    files = tx.numbers("SELECT DISTINCT file_id FROM waiting")
    if not files:
        return
    these = f"file_id IN ({', '.join(map(str, files))})"
    staged = tx.query(
        f"SELECT SUM(CASE WHEN {these} THEN rows_read ELSE 0 END) AS leaving,"
        f" SUM(CASE WHEN {these} THEN 0 ELSE 1 END) AS other_files"
        " FROM ingest_file WHERE feed = ? AND status IN ('staged', 'waiting')",
        (contract.feed,),
    )[0]
    leave = f"DELETE FROM {contract.staging_table} WHERE {these}"
    if not staged["other_files"]:
        leave = tx.emptying(contract.staging_table, staged["leaving"])
    names = {"staging": contract.staging_table, "empty_staging": leave}
    tx.run(sql_file("merge", "fact"), "keep_waiting", names)


def sweep(tx: Transaction, script: Script, names: Names) -> int:
    """Withdraw the rows that a snapshot or window no longer contains. Return their number. Needs the table `scope`."""
    withdrawn, _ = _find_vanished(tx, script, names)
    _withdraw(tx, script, names)
    return withdrawn


def _sweep_unless_suspicious(
    tx: Transaction, script: Script, names: Names, file: LedgerFile, settings: Settings
) -> None:
    """Withdraw the rows that the file no longer contains, or hold the withdrawal until an operator allows it.

    It is held if more rows would be withdrawn than the settings allow, or if a rejected row of the file has no student
    id, because that row may belong to a student who seems to be missing. Students with rejected rows are left out.
    """
    tx.run(script, "scope", names)
    vanished, covered = _find_vanished(tx, script, names)
    if vanished and (_is_suspicious(vanished, covered, settings) or _has_nameless_rejects(tx, file)):
        tx.execute("UPDATE ingest_file SET sweep = 'held' WHERE file_id IN (SELECT file_id FROM scope)")
        _drop(tx, "vanished", "scope")
    else:
        _withdraw(tx, script, names)


def _find_vanished(tx: Transaction, script: Script, names: Names) -> tuple[int, int]:
    """Return how many rows in the scope of a file are missing from it, and how many rows are in its scope."""
    tx.run(script, "vanished", names)
    vanished = int(tx.value("SELECT COUNT(*) FROM vanished"))
    return vanished, int(tx.value(script.statements("covered", names)[0]))


def _withdraw(tx: Transaction, script: Script, names: Names) -> None:
    tx.run(script, "withdraw", names)
    tx.run(script, "shrink_extent", names)
    _drop(tx, "vanished", "scope")


def _drop(tx: Transaction, *temporaries: str) -> None:
    for table in temporaries:
        tx.execute(f"DROP TABLE {table}")


def _is_suspicious(vanished: int, covered: int, settings: Settings) -> bool:
    return vanished > settings.max_withdrawals and vanished > settings.max_withdraw_share * covered


def _has_nameless_rejects(tx: Transaction, file: LedgerFile) -> bool:
    nameless = "student_id IS NULL AND reason_code <> 'repeated_header'"
    return tx.count(f"SELECT COUNT(*) FROM row_reject WHERE file_id = ? AND {nameless}", (file.file_id,)) > 0


def _write_outcomes(tx: Transaction, files: list[LedgerFile], run_id: str) -> None:
    """Write the outcome of each file that was merged or whose number of waiting rows changed."""
    waiting = "rows_read - rows_loaded - rows_updated - rows_unchanged - rows_rejected"
    tx.execute(
        f"UPDATE ingest_file SET rows_waiting = {waiting},"
        f" status = CASE WHEN {waiting} = 0 THEN 'loaded' ELSE 'waiting' END, run_id = ?, committed_at = ?"
        f" WHERE file_id IN ({', '.join(str(file.file_id) for file in files)})"
        f" AND (status = 'staged' OR (status = 'waiting' AND rows_waiting <> {waiting}))",
        (run_id, now().isoformat()),
    )
