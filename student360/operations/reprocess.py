"""Reload archived files after a change of rules, settings or code, and apply withdrawals that an operator allows.

Implements `python -m student360 reprocess` and `withdraw`. Each command is one transaction: readers see the old rows
until it commits, and a process that is killed leaves the warehouse unchanged.
"""

import getpass
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from student360.contracts import contracts
from student360.ingest.files import now, put_back
from student360.ingest.problems import BadFile
from student360.loading.fact_names import fact_names
from student360.loading.merge import sweep
from student360.loading.pipeline import load_received
from student360.loading.receive import archive_finished, prepare_folders, recognised_feed
from student360.operations.verify import lost_files
from student360.settings import Settings
from student360.warehouse import ledger
from student360.warehouse.scripts import Script, scripts, sql_file
from student360.warehouse.warehouse import Transaction, Warehouse

RUN_ID = "by hand"


class OperatorProblem(Exception):
    """The requested operation is not possible. The message says why and what to do. Nothing was changed."""


@dataclass(frozen=True)
class Again:
    """A reloaded file: its id, its name when it was dropped, and its outcome before and after."""

    file_id: int
    name: str
    before: str
    after: str


def reprocess(warehouse: Warehouse, settings: Settings, wanted: Iterable[str], everything: bool = False) -> list[Again]:
    """Load files again from the archive as if they were new. Returns the outcome of each.

    wanted: file names when dropped, prefixes of content hashes, or names of feeds. If rows of a file are in the
    warehouse, all files of its feed are reloaded, because only the files contain the values that it overwrote. Raises
    OperatorProblem if a file is unknown or no longer in the archive.
    """
    prepare_folders(settings)
    with warehouse.transaction() as tx:
        known = tx.frame(
            "SELECT f.file_id, f.sha256, f.first_name, f.feed, f.status, f.rows_loaded + f.rows_updated"
            " + f.rows_unchanged + f.rows_waiting AS rows_in, d.archived_path FROM ingest_file AS f JOIN file_drop AS d"
            " ON d.file_id = f.file_id AND d.outcome = 'first' ORDER BY f.file_id"
        )
        if known.empty:
            return []
        feeds, files = _scope(known, set(wanted), everything)
        _check_bytes(files, settings)
        for feed in sorted(feeds):
            _forget_feed(tx, feed)
        tx.create_temporary("again", files[["file_id"]].reset_index(drop=True))
        tx.run(sql_file("operations", "forget_file"), "any")
        _recognise_again(tx, files, settings)
        ledger.note_action(tx, getpass.getuser(), "reprocess", _about(feeds, files), now().isoformat())
        load_received(warehouse, settings, RUN_ID)
        after = tx.frame("SELECT file_id, status FROM ingest_file")
    archive_finished(warehouse, settings)
    outcomes = files.merge(after, on="file_id", suffixes=("", "_after"))
    return [
        Again(row["file_id"], row["first_name"], row["status"], row["status_after"])
        for row in outcomes.to_dict("records")
    ]


def drop_lost_files_again(warehouse: Warehouse, settings: Settings) -> int:
    """Move archived files that are not in the ledger back into the landing folder. Returns their number.

    This brings a restored backup up to date. Files without the name format of the archive are ignored.
    """
    prepare_folders(settings)
    with warehouse.reading() as tx:
        lost = [path for path in lost_files(tx, settings) if path.name.count("__") >= 2]
    for path in lost:
        put_back(path, settings.landing)
    if lost:
        with warehouse.transaction() as tx:
            ledger.note_action(tx, getpass.getuser(), "reprocess", f"{len(lost)} lost", now().isoformat())
    return len(lost)


def allow_withdrawals(warehouse: Warehouse, settings: Settings, wanted: str) -> int:
    """Apply the held-back withdrawals of a snapshot or window file. Returns the number of withdrawn rows.

    Raises OperatorProblem unless exactly one file with held-back withdrawals matches.
    """
    with warehouse.transaction() as tx:
        held = tx.frame("SELECT file_id, sha256, first_name, feed FROM ingest_file WHERE sweep = 'held'")
        files = held if held.empty else held[_matches(held, {wanted})]
        if len(files) != 1:
            raise OperatorProblem(
                f"{len(files)} files with held-back withdrawals match '{wanted}', but exactly one must match."
            )
        contract = contracts()[files["feed"].iloc[0]]
        withdrawn = _withdraw(tx, scripts()[contract.loads], int(files["file_id"].iloc[0]))
        ledger.note_action(tx, getpass.getuser(), "withdraw", files["sha256"].iloc[0][:8], now().isoformat())
        load_received(warehouse, settings, RUN_ID)
    return withdrawn


def _withdraw(tx: Transaction, script: Script, file_id: int) -> int:
    if "slices" in script.sections:
        slice_ = tx.frame("SELECT file_id, effective_date_key FROM ingest_file WHERE file_id = ?", (file_id,))
        tx.create_temporary("slice", slice_)
        tx.run(script, "scope")
        return sweep(tx, script, {})
    names = fact_names(script)
    snapshot = sql_file("merge", "snapshot")
    tx.create_temporary("due", pd.DataFrame({"file_id": [file_id]}))
    tx.run(snapshot, "scope", {**names, "is_loaded": True})
    return sweep(tx, snapshot, names)


def _matches(known: pd.DataFrame, wanted: set[str]) -> pd.Series:
    by_hash = known["sha256"].map(lambda sha256: any(len(start) >= 6 and sha256.startswith(start) for start in wanted))
    return known["first_name"].isin(wanted) | known["feed"].isin(wanted) | by_hash


def _scope(known: pd.DataFrame, wanted: set[str], everything: bool) -> tuple[set[str], pd.DataFrame]:
    """Return the feeds that are reloaded completely, and all files that are reloaded."""
    for name in wanted:
        if not _matches(known, {name}).any():
            raise OperatorProblem(f"No file or feed '{name}' is in the ledger. `make status` lists the files.")
    chosen = known if everything else known[_matches(known, wanted)]
    feeds = set(chosen.loc[chosen["rows_in"] > 0, "feed"])
    return feeds, known[known["file_id"].isin(chosen["file_id"]) | known["feed"].isin(feeds)]


def _check_bytes(files: pd.DataFrame, settings: Settings) -> None:
    missing = [
        row["first_name"]
        for row in files.to_dict("records")
        if not row["archived_path"] or not (settings.data_dir / row["archived_path"]).is_file()
    ]
    if missing:
        raise OperatorProblem(
            f"{len(missing)} of {len(files)} files are no longer in the archive (e.g. {missing[0]}): their rows would "
            "be lost. Restore them from a backup first."
        )


def _recognise_again(tx: Transaction, files: pd.DataFrame, settings: Settings) -> None:
    """Recognize the feed of unknown files again, and apply the current load mode to all files."""
    for row in files[files["feed"].isna()].to_dict("records"):
        feed = recognised_feed(settings.data_dir / row["archived_path"], row["first_name"])
        if feed is None:
            ledger.quarantine(tx, row["file_id"], BadFile("unknown_dataset"), now().isoformat(), RUN_ID)
        else:
            tx.execute("UPDATE ingest_file SET feed = ? WHERE file_id = ?", (feed, row["file_id"]))
    for feed, mode in settings.load_mode.items():
        tx.execute(
            "UPDATE ingest_file SET load_mode = ? WHERE feed = ? AND file_id IN (SELECT file_id FROM again)",
            (mode.value, feed),
        )


def _forget_feed(tx: Transaction, feed: str) -> None:
    contract = contracts()[feed]
    fragments = {"table": contract.loads, "feed": feed, "staging": contract.staging_table}
    kind = {"dim_students": "students", "student_id_change": "ids"}.get(contract.loads, "fact")
    tx.run(sql_file("operations", "forget_feed"), kind, fragments)
    tx.run(sql_file("operations", "forget_feed"), "any", fragments)


def _about(feeds: set[str], files: pd.DataFrame) -> str:
    single = files[~files["feed"].isin(feeds)]
    return " ".join([*sorted(feeds), *single["sha256"].str[:8]])
