"""The staging step: turns claimed files into typed rows, rejects and counts, file by file.

Contains the processing of a file from opening it to its update in the ledger; not the cleaning of cells (see `ingest/`)
nor the merge into fact tables (see `merge.py`).
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from student360.contracts import Contract, Kind
from student360.crash_points import CrashPoint, passing
from student360.ingest.clean import Reading
from student360.ingest.dates import DateOrder, Evidence, evidence
from student360.ingest.files import content_hash, now, open_regular
from student360.ingest.problems import CELL_REASONS, BadFile, warning
from student360.ingest.reader import BLOCK_BYTES, Chunk, StrictCsv
from student360.ingest.repeats import Repeats
from student360.ingest.staging import Staged, stage_chunk
from student360.ingest.threads import ahead
from student360.loading.large_files import ParquetRows, examples, is_large, receive_again_what_is_missing
from student360.loading.memory import give_back, share_reserves
from student360.loading.receive import naming_no_file
from student360.settings import Settings
from student360.warehouse import ledger
from student360.warehouse.ledger import LedgerFile
from student360.warehouse.scripts import scripts
from student360.warehouse.transaction import EMPTY_AT_ONCE_ROWS, Transaction
from student360.warehouse.warehouse import Warehouse

MANY_ROWS = 500_000


@dataclass
class Progress:
    """The counts and warnings of a file so far."""

    read: int = 0
    blank: int = 0
    rejected: int = 0
    first_day: int | None = None
    last_day: int | None = None
    columns_found: str = ""
    corrects: bool = False
    odd: dict[str, set[str]] = field(default_factory=dict)

    def warn(self, code: str, names: Iterable[str] = ()) -> None:
        """Record a warning (a key of problems.WARNINGS) about some columns."""
        self.odd.setdefault(code, set()).update(names)

    def spans(self, days: pd.Series) -> None:
        """Extend the range of days by those of some rows (yyyymmdd, Int64)."""
        known = days.dropna()
        if len(known):
            first, last = int(known.min()), int(known.max())
            self.first_day = min(first, self.first_day or first)
            self.last_day = max(last, self.last_day or last)

    @property
    def warnings(self) -> str:
        return " ".join(warning(code, sorted(names)) for code, names in sorted(self.odd.items()))


class OrderDisproved(Exception):
    """A date contradicts the order of day and month that earlier dates of the file proved."""


class DateOrders:
    """The order of day and month in each date column of a file: from the feed's setting, or else proved by the file.

    At the first date that is not ISO (most files have none) the file is scanned until a date proves the order. For 5
    million rows this takes 0.2 s; a scan of the whole file takes 1.2 s. Later dates may disprove the order.
    """

    def __init__(self, contract: Contract, settings: Settings, path: Path) -> None:
        self._contract = contract
        self._path = path
        self._dates = [column.name for column in contract.columns if column.kind in (Kind.DAY, Kind.DATE)]
        self._fixed = settings.date_order[contract.feed]
        self._found = dict.fromkeys(self._dates, Evidence())
        self._returned: dict[str, DateOrder] = {}
        self._is_whole_file_seen = path.stat().st_size <= BLOCK_BYTES

    def of(self, chunk: Chunk) -> Mapping[str, DateOrder]:
        """Return the orders for a chunk of the file, by column. Columns without dates that need one may be left out.

        Raises OrderDisproved if another order was returned for earlier chunks. Call `ask_the_whole_file` then.
        """
        if self._fixed is not DateOrder.UNKNOWN:
            return dict.fromkeys(self._dates, self._fixed)
        self._note(chunk)
        if not self._is_whole_file_seen and DateOrder.UNKNOWN in self._orders().values():
            self._scan(until_proven=True)
        orders = self._orders()
        if any(orders[name] is not order for name, order in self._returned.items()):
            raise OrderDisproved
        self._returned = orders
        return orders

    def ask_the_whole_file(self) -> None:
        """Scan the whole file, and allow the chunks to be read again from the first."""
        self._returned = {}
        self._scan(until_proven=False)

    def _orders(self) -> dict[str, DateOrder]:
        return {name: found.order for name, found in self._found.items() if found.is_needed}

    def _scan(self, until_proven: bool) -> None:
        with open_regular(self._path) as stream:
            for chunk in StrictCsv(stream, self._contract, only=self._dates):
                self._note(chunk)
                if until_proven and DateOrder.UNKNOWN not in self._orders().values():
                    return
        self._is_whole_file_seen = True

    def _note(self, chunk: Chunk) -> None:
        for name in self._dates:
            if name in chunk.cells:
                texts = pd.Series(chunk.cells[name].cat.categories, dtype="object")
                self._found[name] |= evidence(texts)


@dataclass(frozen=True)
class ClaimedFiles:
    """The files of a feed that are in the ledger and not yet staged: the output of a raw asset."""

    contract: Contract
    warehouse: Warehouse
    settings: Settings
    run_id: str

    def __iter__(self) -> Iterator[pd.DataFrame]:
        """Yield staging rows in chunks. Rejects and counts are written to the ledger in the same transaction."""
        with self.warehouse.transaction() as tx:
            receive_again_what_is_missing(tx, self.contract, self.settings)
            _clear_last_batch(tx, self.contract)
            files = ledger.files(tx, self.contract.feed, "received")
            for file in files:
                yield from self._rows_of(tx, file)
            if files:
                tx.refresh_statistics(self.contract.staging_table)

    def _rows_of(self, tx: Transaction, file: LedgerFile) -> Iterator[pd.DataFrame]:
        progress = Progress()
        try:
            with _internal_errors_as_bad_file():
                path = _place(self.settings, file)
                _update_hash(tx, file, path)
                orders = DateOrders(self.contract, self.settings, path)
            is_large_one = is_large(file, path, self.contract, self.settings)
            rows_of = self._rows_of_large if is_large_one else self._rows_of_small
            try:
                yield from rows_of(tx, file, path, orders, progress)
            except OrderDisproved:
                ledger.take_back(tx, file.file_id, self.contract.staging_table, "row_reject")
                orders.ask_the_whole_file()
                progress = Progress()
                yield from rows_of(tx, file, path, orders, progress)
            _guard_rejects(progress, self.settings)
        except BadFile as problem:
            ledger.take_back(tx, file.file_id, self.contract.staging_table, "staged_file")
            if problem.reason_code != "too_many_rejects":
                progress.read = 0
                ledger.take_back(tx, file.file_id, "row_reject")
            ledger.quarantine(tx, file.file_id, problem, now().isoformat(), self.run_id, progress.read)
            return
        passing(CrashPoint.BEFORE_LEDGER)
        tx.execute(
            "UPDATE ingest_file SET status = 'staged', rows_read = ?, rows_blank = ?, rows_rejected = ?,"
            " first_date_key = ?, last_date_key = ?, warnings = ?, columns_found = ?, run_id = ? WHERE file_id = ?",
            (
                progress.read,
                progress.blank,
                progress.rejected,
                progress.first_day,
                progress.last_day,
                progress.warnings,
                progress.columns_found,
                self.run_id,
                file.file_id,
            ),
        )
        if progress.corrects:
            tx.create_temporary("due", pd.DataFrame({"file_id": [file.file_id]}))
            tx.run(scripts()["row_reject"], "note_resent", {"staging": self.contract.staging_table})

    def _rows_of_small(
        self, tx: Transaction, file: LedgerFile, path: Path, orders: DateOrders, progress: Progress
    ) -> Iterator[pd.DataFrame]:
        """Yield all rows, for the staging table."""
        with closing(Repeats(self.contract, self.settings.data_dir)) as repeats:
            yield from self._typed_rows(tx, file, path, orders, progress, repeats)
            lines = repeats.contradicting_lines()
        progress.rejected += _reject_conflicts(tx, file, self.contract, lines)

    def _rows_of_large(
        self, tx: Transaction, file: LedgerFile, path: Path, orders: DateOrders, progress: Progress
    ) -> Iterator[pd.DataFrame]:
        """Write all rows to a Parquet file. Yield the rows that the staging table needs.

        These are rows that contradict each other, which are removed again when they are rejected, and then sample rows.
        All rows of a file of corrections are yielded, because the rows that they correct are found through the table.
        """
        share_reserves()
        with closing(Repeats(self.contract, self.settings.data_dir)) as repeats, _internal_errors_as_bad_file():
            kept = ParquetRows(self.contract, self.settings)
            kept.write(self._typed_rows(tx, file, path, orders, progress, repeats))
            lines = repeats.contradicting_lines()
        if progress.corrects:
            yield from kept.frames()
        elif len(lines):
            yield from kept.frames(lines)
        progress.rejected += _reject_conflicts(tx, file, self.contract, lines)
        if not progress.corrects:
            ledger.take_back(tx, file.file_id, self.contract.staging_table)
            yield from examples(tx, self.contract, file, kept)
            kept.name_in_ledger(tx, file)

    def _typed_rows(
        self,
        tx: Transaction,
        file: LedgerFile,
        path: Path,
        orders: DateOrders,
        progress: Progress,
        repeats: Repeats,
    ) -> Iterator[pd.DataFrame]:
        """Yield the typed rows of a file, and record them in `progress` and `repeats`."""
        fact = scripts()[self.contract.loads]
        day = fact.day_column if fact.is_fact else ""
        with _internal_errors_as_bad_file(), open_regular(path) as stream:
            reader = StrictCsv(stream, self.contract)
            for rows in _typed_chunks(tx, file, reader, self.contract, orders, progress):
                repeats.add(rows)
                if day in rows:
                    progress.spans(rows[day])
                yield rows
        if progress.read >= MANY_ROWS:
            give_back()


@contextmanager
def _internal_errors_as_bad_file() -> Iterator[None]:
    """Translate errors of our own code to BadFile, so that they stop only this file and quote no values."""
    try:
        with naming_no_file():
            yield
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as fault:
        raise BadFile("our_fault", f"({type(fault).__name__})") from None


def _clear_last_batch(tx: Transaction, contract: Contract) -> None:
    """Delete the previous batch from staging if new files arrived. Until then it is kept for inspection."""
    pending = tx.value(
        "SELECT COUNT(*) FROM ingest_file WHERE feed = ? AND status IN ('staged', 'waiting')", (contract.feed,)
    )
    due = tx.value("SELECT COUNT(*) FROM ingest_file WHERE feed = ? AND status = 'received'", (contract.feed,))
    if not due:
        return
    if not pending:
        some = f"SELECT 1 AS one FROM {contract.staging_table} LIMIT {EMPTY_AT_ONCE_ROWS}"
        tx.execute(tx.emptying(contract.staging_table, tx.count(f"SELECT COUNT(*) FROM ({some}) AS s")))
        return
    loaded = tx.numbers(
        f"SELECT DISTINCT s.file_id FROM {contract.staging_table} AS s JOIN ingest_file AS f ON f.file_id = s.file_id"
        " WHERE f.status = 'loaded'"
    )
    if loaded:
        tx.execute(f"DELETE FROM {contract.staging_table} WHERE file_id IN ({', '.join(map(str, loaded))})")


def _place(settings: Settings, file: LedgerFile) -> Path:
    """Return the path of a file: in the work folder, or in the archive if it is loaded again.

    Raises BadFile if it is in neither.
    """
    for path in settings.work.glob(f"{file.claim_id}*"):
        return path
    if file.archived_path and (settings.data_dir / file.archived_path).is_file():
        return settings.data_dir / file.archived_path
    raise BadFile("vanished")


def _update_hash(tx: Transaction, file: LedgerFile, path: Path) -> None:
    """Store the hash and size of the bytes that are loaded, in case the file was changed after it was claimed."""
    sha256, size = content_hash(path)
    if sha256 != file.sha256 and not tx.value("SELECT 1 AS one FROM ingest_file WHERE sha256 = ?", (sha256,)):
        tx.execute("UPDATE ingest_file SET sha256 = ?, bytes = ? WHERE file_id = ?", (sha256, size, file.file_id))


def _typed_chunks(
    tx: Transaction,
    file: LedgerFile,
    reader: StrictCsv,
    contract: Contract,
    orders: DateOrders,
    progress: Progress,
) -> Iterator[pd.DataFrame]:
    latest = file.received_at.date() + timedelta(days=1)
    for chunk, staged in ahead(_staged_chunks(reader, contract, orders, latest)):
        progress.read += chunk.rows_read
        progress.blank += chunk.rows_blank
        progress.rejected += staged.rejects["line_no"].nunique()
        for code, names in staged.odd.items():
            if names:
                progress.warn(code, names)
        tx.append("row_reject", staged.rejects.assign(file_id=file.file_id))
        passing(CrashPoint.MID_LOAD)
        if len(staged.rows):
            yield staged.rows.assign(file_id=file.file_id)
    if not progress.read:
        progress.warn("no_rows")
    if not reader.ends_with_newline:
        progress.warn("no_final_newline")
    if reader.header.others:
        progress.warn("unknown_column", reader.header.others.values())
    progress.corrects = reader.header.correction is not None
    found = set(reader.header.columns.values())
    progress.columns_found = " ".join(sorted(found))
    gone = set(ledger.newest_columns(tx, contract.feed)) - found
    if gone:
        progress.warn("missing_optional", gone)


def _staged_chunks(
    reader: StrictCsv, contract: Contract, orders: DateOrders, latest: date
) -> Iterator[tuple[Chunk, Staged]]:
    for chunk in reader:
        known = orders.of(chunk)
        readings = {c.name: Reading(known.get(c.name, DateOrder.UNKNOWN), latest) for c in contract.columns}
        yield chunk, stage_chunk(chunk, contract, readings)


def _reject_conflicts(tx: Transaction, file: LedgerFile, contract: Contract, lines: np.ndarray) -> int:
    """Reject all rows of a file that have the same natural key and different values, because none is known to be right.

    Identical rows are kept; the merge counts the repetitions as unchanged. Return the number of rejected rows.
    lines: the lines to compare.
    """
    if not len(lines):
        return 0
    table, key = contract.staging_table, ", ".join(contract.natural_key)
    distinct = ", ".join((*contract.natural_key, *contract.said_columns))
    tx.create_temporary("looked_at", pd.DataFrame({"line_no": lines}))
    rows = f"{table} WHERE file_id = ? AND line_no IN (SELECT line_no FROM looked_at)"
    tx.execute("DROP TABLE IF EXISTS conflict")
    tx.execute(
        "CREATE TEMP TABLE conflict AS SELECT * FROM (SELECT v.*,"
        f" MIN(said_first) OVER (PARTITION BY {key}) AS first_line,"
        f" MAX(said_first) OVER (PARTITION BY {key}) AS last_line FROM ("
        f"SELECT {distinct}, line_no, correction_of, MIN(line_no) OVER (PARTITION BY {distinct}) AS said_first"
        f" FROM {rows}) AS v) AS c WHERE first_line < last_line",
        (file.file_id,),
    )
    student = "student_id" if "student_id" in contract.value_columns else "NULL"
    tx.execute(
        "INSERT INTO row_reject"
        " (file_id, line_no, column_name, reason_code, value, reason, student_id, correction_of)"
        " SELECT CAST(? AS INTEGER), line_no, '(row)', 'conflicting_duplicate', NULL,"
        " CAST(? AS TEXT) || ' See lines ' || CAST(first_line AS TEXT) || ' and ' || CAST(last_line AS TEXT)"
        f" || '.', {student}, correction_of FROM conflict",
        (file.file_id, CELL_REASONS["conflicting_duplicate"]),
    )
    tx.execute(f"DELETE FROM {table} WHERE file_id = ? AND line_no IN (SELECT line_no FROM conflict)", (file.file_id,))
    return tx.count("SELECT COUNT(*) FROM conflict")


def _guard_rejects(progress: Progress, settings: Settings) -> None:
    too_many = progress.rejected > settings.max_rejects and (
        progress.rejected > settings.max_reject_share * progress.read
    )
    if too_many or (progress.read and progress.rejected == progress.read):
        raise BadFile("too_many_rejects", f"{progress.rejected} of {progress.read} rows.")
