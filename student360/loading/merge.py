"""The core step: staged rows into their dimension or fact table, counted, in one transaction.

Belongs here: what is the same for every feed around its SQL file: which files are merged together, the counts, the
rows that a snapshot or window no longer holds. Does not belong here: the statements (`sql/core`, `sql/merge`).
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
    """What a merge did to its table: rows added, changed and withdrawn."""

    rows_added: int = 0
    rows_changed: int = 0
    rows_withdrawn: int = 0

    def __add__(self, other: "Changed") -> "Changed":
        both = zip(astuple(self), astuple(other), strict=True)
        return Changed(*(one + another for one, another in both))


def merge_feed(warehouse: Warehouse, contract: Contract, settings: Settings, run_id: str) -> Changed:
    """Merge all staged and waiting rows of a feed. Returns what that changed.

    Each row ends as loaded, updated, unchanged or waiting (its student is not known yet), and the file's counts
    say so. A waiting row stays in staging and is merged when its student arrives.
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
        return large + _settled(tx, script, due, before, run_id)


def _merge_large_files(
    warehouse: Warehouse, script: Script, contract: Contract, settings: Settings, run_id: str
) -> Changed:
    """Add the rows of large files to the facts, the newest first, in a transaction of their own: their references are
    checked all together, not by the database row by row. One that may meet facts is left to be merged like any other.
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
                _note_what_was_merged(tx, script)
                _drop(tx, "merged")
        return _settled(tx, script, large, before, run_id)


def _settled(tx: Transaction, script: Script, files: list[LedgerFile], before: dict[str, int], run_id: str) -> Changed:
    """Write the outcome of files that were merged, and what follows from it. Returns it too."""
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
    """New files, and those with a waiting row whose student is known by now: the others need not be looked at."""
    files = ledger.files(tx, contract.feed, "staged", "waiting")
    if not script.is_fact or all(file.status == "staged" for file in files):
        return files
    ready = tx.numbers(sql_file("merge", "fact").statements("files_ready_again", fact_names(script))[0])
    return [file for file in files if file.status == "staged" or file.file_id in ready]


def _counted(tx: Transaction, due: list[LedgerFile]) -> dict[str, int]:
    """What the ledger counts so far of the files that are merged, and of those after them."""
    return tx.query(
        "SELECT COALESCE(SUM(rows_loaded), 0) AS rows_added, COALESCE(SUM(rows_updated), 0) AS rows_changed,"
        " COALESCE(SUM(rows_withdrawn), 0) AS rows_withdrawn FROM ingest_file WHERE feed = ? AND file_id >= ?",
        (due[0].feed, due[0].file_id),
    )[0]


def _is_big(tx: Transaction, script: Script, changed: Changed) -> bool:
    """Whether so much of a table is new that the planner's picture of it is wrong."""
    rows = changed.rows_added + changed.rows_changed
    return rows >= max(BIG_LOAD_ROWS, BIG_LOAD_SHARE * int(tx.value(script.row_count_query)))


def _merge_facts(
    tx: Transaction, script: Script, contract: Contract, settings: Settings, due: list[LedgerFile]
) -> None:
    """Files that only add are merged together; each that is the whole truth of something after them, on its own."""
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
        _note_what_was_merged(tx, script)
        if files[0].load_mode is not LoadMode.DELTA and files[0].status == "staged":
            _sweep_unless_suspicious(tx, snapshot, names, files[0], settings)
        _keep_only_waiting_rows(tx, contract)
        _drop(tx, "merged", "waiting")


def _make_due(tx: Transaction, script: Script, files: list[LedgerFile]) -> str:
    """Name the files that are merged next in the table `due`. Returns which facts they may be about."""
    tx.create_temporary("due", pd.DataFrame({"file_id": [file.file_id for file in files]}))
    tx.refresh_statistics("due")
    return _near(tx, script)


def _may_meet(tx: Transaction, names: Names) -> bool:
    """Whether facts are there that the rows of the files in `due` may be about, or were withdrawn by newer files."""
    return bool(tx.count(sql_file("bulk", "fact").statements("may_meet", names)[0]))


def _near(tx: Transaction, script: Script) -> str:
    """Which facts t a staged row may be about: those of its file's days where the key finds them by day, else all.

    The days stand in the statement: from numbers the planner of PostgreSQL sees that it need not read years of facts.
    """
    if script.primary_key[0] != script.day_column:
        return "1 = 1"
    span = tx.query(sql_file("bulk", "fact").statements("span")[0])[0]
    return f"t.{script.day_column} BETWEEN {span['first_day'] or 'NULL'} AND {span['last_day'] or 'NULL'}"


def _merge_slices(tx: Transaction, script: Script, settings: Settings) -> None:
    """The roster: one effective day of one file after the other."""
    files = {file.file_id: file for file in ledger.files(tx, "students", "staged")}
    for slice_ in tx.query(script.statements("slices")[0]):
        tx.create_temporary("slice", pd.DataFrame([slice_]))
        tx.run(script, "merge")
        tx.run(sql_file("merge", "merged"), "count")
        passing(CrashPoint.MID_LOAD)
        _note_what_was_merged(tx, script)
        if files[slice_["file_id"]].load_mode is LoadMode.SNAPSHOT:
            _sweep_unless_suspicious(tx, script, {}, files[slice_["file_id"]], settings)
        _drop(tx, "incoming", "merged")


def _note_what_was_merged(tx: Transaction, script: Script) -> None:
    tx.run(scripts()["ingest_file"], "after_merge")
    tx.run(scripts()["touched_student"], "after_merge")
    if script.is_fact:
        tx.run(scripts()["touched_student_month"], "after_merge")
        tx.run(scripts()["data_extent"], "after_merge")


def _keep_only_waiting_rows(tx: Transaction, contract: Contract) -> None:
    """Rows of a file with waiting rows leave staging once they are merged: only the waiting ones are due again.

    The files are named one by one: a query in a DELETE makes SQLite remember each row first, 24 bytes of memory a row.
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
    """Withdraw the rows that a snapshot or window no longer holds. Returns how many. Needs the table `scope`."""
    withdrawn, _ = _look_for_vanished(tx, script, names)
    _withdraw(tx, script, names)
    return withdrawn


def _sweep_unless_suspicious(
    tx: Transaction, script: Script, names: Names, file: LedgerFile, settings: Settings
) -> None:
    """Withdraw what vanished, or hold it back until an operator allows it and leave the old rows as they are.

    Held back when more would vanish than the settings allow, or when a refused row of the file does not say which
    student it is about: it may be one of those that seem to be missing. Students with refused rows are left out.
    """
    tx.run(script, "scope", names)
    vanished, covered = _look_for_vanished(tx, script, names)
    if vanished and (_is_suspicious(vanished, covered, settings) or _has_nameless_rejects(tx, file)):
        tx.execute("UPDATE ingest_file SET sweep = 'held' WHERE file_id IN (SELECT file_id FROM scope)")
        _drop(tx, "vanished", "scope")
    else:
        _withdraw(tx, script, names)


def _look_for_vanished(tx: Transaction, script: Script, names: Names) -> tuple[int, int]:
    """How many rows the file does not hold, of how many that it speaks about."""
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
    """Write the outcome of each file whose rows found their place or begin to wait; leave the others alone."""
    waiting = "rows_read - rows_loaded - rows_updated - rows_unchanged - rows_rejected"
    tx.execute(
        f"UPDATE ingest_file SET rows_waiting = {waiting},"
        f" status = CASE WHEN {waiting} = 0 THEN 'loaded' ELSE 'waiting' END, run_id = ?, committed_at = ?"
        f" WHERE file_id IN ({', '.join(str(file.file_id) for file in files)})"
        f" AND (status = 'staged' OR (status = 'waiting' AND rows_waiting <> {waiting}))",
        (run_id, now().isoformat()),
    )
