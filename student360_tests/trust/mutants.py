"""Mutants: the load protocol with one rule broken. The harness (`kills.py`) must detect each of them."""

# mypy: disable-error-code="attr-defined"
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import student360.ingest.files as files_module
import student360.loading.merge as merge_module
import student360.loading.pipeline as pipeline_module
import student360.loading.receive as receive_module
import student360.loading.stage as stage_module
from student360.contracts import Contract
from student360.crash_points import CrashPoint, passing
from student360.ingest.files import claim_id, make_private
from student360.ingest.staging import Staged
from student360.loading.merge import Changed
from student360.settings import Settings
from student360.warehouse import ledger
from student360.warehouse.ledger import LedgerFile
from student360.warehouse.postgres import PostgresEngine
from student360.warehouse.scripts import Script
from student360.warehouse.sqlite import SqliteEngine
from student360.warehouse.warehouse import Transaction, Warehouse


def archive_before_commit() -> None:
    """M1: a file is moved to the archive before its rows are committed."""
    place = stage_module._place

    def archiving(settings: Settings, file: LedgerFile) -> Path:
        path = place(settings, file)
        if path.parent == settings.work:
            path = files_module.archive(path, settings.processed, file.sha256, file.received_at)
        return path

    stage_module._place = archiving


def ledger_in_a_second_transaction() -> None:
    """M2: the rows are committed first, their outcome in the ledger in a second transaction."""
    write_outcomes, merge_feed = merge_module._write_outcomes, merge_module.merge_feed

    def late(warehouse: Warehouse, contract: Contract, settings: Settings, run_id: str) -> Changed:
        merge_module._write_outcomes = lambda *_: None
        merged = merge_feed(warehouse, contract, settings, run_id)
        merge_module._write_outcomes = write_outcomes
        passing(CrashPoint.BEFORE_LEDGER)
        with warehouse.transaction() as tx:
            if files := ledger.files(tx, contract.feed, "staged", "waiting"):
                write_outcomes(tx, files, run_id)
        return merged

    pipeline_module.merge_feed = late


def no_order_guard() -> None:
    """M3: the file loaded last counts, even if it is older."""
    real = merge_module.sql_file
    guard = re.compile(r"        WHEN \(k\.effective_date_key, k\.file_id\) > [^\n]*\n")

    def without_guard(folder: str, name: str) -> Script:
        script = real(folder, name)
        return Script(script.name, script.layer, guard.sub("", script.text))

    merge_module.sql_file = without_guard  # type: ignore[assignment]


def no_ledger_lookup() -> None:
    """M4: known content is entered into the ledger again."""
    number = iter(range(1, 1_000_000))
    real = ledger._insert

    def insert(tx: Transaction, file_id: int, arrival: ledger.Arrival, run_id: str) -> None:
        known = tx.count("SELECT COUNT(*) FROM ingest_file WHERE sha256 = ?", (arrival.sha256,))
        changed = replace(arrival, effective_date_key=arrival.effective_date_key + (next(number) if known else 0))
        real(tx, file_id, changed, run_id)

    ledger._newest_of_content = lambda *_: None
    ledger._insert = insert


def archive_in_two_steps() -> None:
    """M5: on its way to the archive a file has a name that recovery does not search for."""

    def archive(claimed: Path, folder: Path, sha256: str, received: datetime) -> Path:
        hidden = claimed.parent.parent / f".{uuid.uuid4().hex}"
        make_private(folder)
        claimed.rename(hidden)
        passing(CrashPoint.AROUND_RENAME)
        target = folder / f"{sha256}__{claim_id(claimed)}__file"
        hidden.rename(target)
        return target

    receive_module.archive = archive


def no_recovery() -> None:
    """M6: files left in the work folder by an earlier run are ignored."""
    receive_module._unentered = lambda *_: []


def one_rejected_row_not_recorded() -> None:
    """M7: the last rejected row of a chunk is not recorded."""
    real = stage_module.stage_chunk

    def incomplete(*arguments: Any) -> Staged:
        staged = real(*arguments)
        staged.rejects = staged.rejects.iloc[:-1]
        return staged

    stage_module.stage_chunk = incomplete  # type: ignore[assignment]


def archive_names_without_claim() -> None:
    """M8: two drops of the same content have the same name in the archive."""

    def archive(claimed: Path, folder: Path, sha256: str, received: datetime) -> Path:
        make_private(folder)
        target = folder / f"{sha256}__same__file.csv"
        claimed.rename(target)
        return target

    receive_module.archive = archive


def no_lock() -> None:
    """M9: concurrent writers do not wait for each other."""

    def begin_in_sqlite(self: SqliteEngine, cursor: Any, waiting: Callable[[], None]) -> None:
        cursor.execute("BEGIN")

    def begin_in_postgres(self: PostgresEngine, cursor: Any, waiting: Callable[[], None]) -> None:
        cursor.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
        cursor.execute(f"SELECT set_config('search_path', '{self.schema}', true)")
        cursor.fetchall()

    SqliteEngine.begin_writing = begin_in_sqlite  # type: ignore[method-assign]
    PostgresEngine.begin_writing = begin_in_postgres  # type: ignore[method-assign]


def duplicates_by_name() -> None:
    """M10: duplicates are detected by file name instead of content."""

    real = ledger.enter

    def enter(tx: Transaction, arrival: ledger.Arrival, run_id: str) -> bool:
        known = tx.query("SELECT sha256 FROM ingest_file WHERE first_name = ? LIMIT 1", (arrival.name,))
        return real(tx, replace(arrival, sha256=known[0]["sha256"]) if known else arrival, run_id)

    ledger.enter = enter


@dataclass(frozen=True)
class Mutant:
    """A broken rule, and the crash point that reveals it; None: any crash point."""

    break_rule: Callable[[], None]
    aim: CrashPoint | None = None


MUTANTS = {
    "M1 archive before commit": Mutant(archive_before_commit, CrashPoint.AROUND_RENAME),
    "M2 ledger in a second transaction": Mutant(ledger_in_a_second_transaction, CrashPoint.BEFORE_LEDGER),
    "M3 no order guard": Mutant(no_order_guard),
    "M4 no lookup in the ledger": Mutant(no_ledger_lookup),
    "M5 archive in two steps": Mutant(archive_in_two_steps, CrashPoint.AROUND_RENAME),
    "M6 no recovery": Mutant(no_recovery),
    "M7 one rejected row not recorded": Mutant(one_rejected_row_not_recorded),
    "M8 archive names without the claim": Mutant(archive_names_without_claim),
    "M9 no lock": Mutant(no_lock),
    "M10 duplicates by name": Mutant(duplicates_by_name),
}
