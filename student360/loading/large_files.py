"""Load large files of facts: stage their typed rows in a Parquet file, and resolve them to facts with DuckDB.

Contains the Parquet file and the insert into the database; not how a row is resolved (see the section `resolve` of the
fact table's SQL file, the same text that the database runs) nor which files are merged when (see `merge.py`).

Rows in the staging table are written, read again, sorted and counted by the database. For 5 million rows of attendance
on SQLite this takes 20 s of a load, compared with 11 s through the Parquet file.
"""

import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from student360.contracts import Contract, Kind, LoadMode
from student360.crash_points import CrashPoint, passing
from student360.ingest.files import make_durable, make_private
from student360.ingest.threads import ahead
from student360.loading.bulk_duckdb import duckdb_connection
from student360.loading.memory import give_back
from student360.settings import Settings
from student360.warehouse import ledger
from student360.warehouse.errors import WarehouseError
from student360.warehouse.ledger import LedgerFile
from student360.warehouse.scripts import LINEAGE, NO_NAMES, Script, scripts, sql_file
from student360.warehouse.templates import Names
from student360.warehouse.transaction import Transaction
from student360.warehouse.warehouse import Warehouse

if TYPE_CHECKING:
    import duckdb

ROWS_AT_ONCE = 100_000
ROWS_SORTED_AT_ONCE = 400_000
BATCHES_AHEAD = 8
MEMORY = "150MB"
PROCESSORS = 2
TYPES = {
    "text": pa.dictionary(pa.int32(), pa.string()),
    "integer": pa.int64(),
    "bigint": pa.int64(),
    "real": pa.float64(),
    "date": pa.date32(),
}
NAMING_KINDS = (Kind.CODE, Kind.LABEL, Kind.IDENTIFIER)


def is_large(file: LedgerFile, path: Path, contract: Contract, settings: Settings) -> bool:
    """Return whether the rows of a file are staged as Parquet: a large file of facts in the load mode delta."""
    is_fact = scripts()[contract.loads].is_fact
    return is_fact and file.load_mode is LoadMode.DELTA and path.stat().st_size >= settings.large_file_bytes


def has_staged_rows(settings: Settings) -> bool:
    """Return whether any Parquet file exists; cheap."""
    return settings.staged.is_dir() and any(settings.staged.iterdir())


class StagedRowsMissing(Exception):
    """The Parquet file of a staged file is missing. Staging the file again creates it."""


class ParquetRows:
    """A Parquet file with the typed rows of one file, accessible only to its owner.

    It is used only once it is recorded in the ledger; unrecorded ones are removed (`remove_what_is_merged`).
    """

    def __init__(self, contract: Contract, settings: Settings) -> None:
        make_private(settings.staged)
        self.path = settings.staged / f"{contract.feed}-{uuid.uuid4().hex}.parquet"
        columns = (*contract.staging_columns, *LINEAGE)
        self._schema = pa.schema([pa.field(c.name, TYPES[c.storage], nullable=c.nullable) for c in columns])
        self._encoding = {
            "compression": "lz4",
            "use_dictionary": [c.name for c in columns if c.name != "line_no"],
            "column_encoding": {"line_no": "DELTA_BINARY_PACKED"},
            "write_statistics": [c.name for c in columns if c.storage != "text"],  # for text they double the time
        }

    def write(self, chunks: Iterator[pd.DataFrame]) -> None:
        """Write all rows and sync them to disk. Raises ValueError for a gap in a column that is not nullable."""
        self.path.touch(mode=0o600)
        with pq.ParquetWriter(self.path, self._schema, **self._encoding) as writer:
            for rows in chunks:
                writer.write_table(pa.Table.from_pandas(rows, self._schema, preserve_index=False))
        make_durable(self.path)

    def frames(self, lines: np.ndarray | None = None) -> Iterator[pd.DataFrame]:
        """Yield all rows in chunks, or only those of the given lines."""
        with pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(ROWS_AT_ONCE):
                chosen = batch if lines is None else batch.filter(pa.array(np.isin(batch["line_no"], lines)))
                if len(chosen):
                    yield _frame(chosen)

    def name_in_ledger(self, tx: Transaction, file: LedgerFile) -> None:
        """Record this Parquet file in the ledger as the staged rows of a file."""
        tx.execute("INSERT INTO staged_file (file_id, parquet_name) VALUES (?, ?)", (file.file_id, self.path.name))


def examples(tx: Transaction, contract: Contract, file: LedgerFile, rows: ParquetRows) -> Iterator[pd.DataFrame]:
    """Yield sample rows of a file, in which each of its codes, labels and schools occurs.

    They are put into the staging table, where the dimensions look for new codes, labels and schools.
    """
    naming = [c.name for c in contract.columns if c.kind in NAMING_KINDS and c.name != "student_id"]
    labels = [f"{c.name}_label" for c in contract.columns if c.kind is Kind.LABEL]
    with _duckdb(tx, contract, file, rows.path) as queries:
        for batch in queries.batches("examples", {"naming_columns": (*naming, *labels)}):
            yield _frame(batch)


def add_facts(
    tx: Transaction,
    script: Script,
    contract: Contract,
    file: LedgerFile,
    names: Names,
    settings: Settings,
) -> None:
    """Insert the rows of a staged large file into a fact table that has no rows of the same days.

    Rows without a known student are put into the staging table. Creates the table `merged`, as the section `add` of
    sql/bulk/fact.sql does. Raises WarehouseError if a row refers to a row that does not exist.
    """
    loaded = repeated = 0
    is_any_waiting = False
    checked_here = () if tx.engine.always_checks_references else script.references
    referred = {column: tx.arrow_table(parent, [key]).column(0) for column, parent, key in checked_here}
    with _duckdb(tx, contract, file, settings.staged / str(file.parquet_name), script) as queries:
        for batch in queries.batches("waiting"):
            if not is_any_waiting:
                ledger.take_back(tx, file.file_id, contract.staging_table)
            is_any_waiting = True
            tx.append(contract.staging_table, pa.Table.from_batches([batch]))
        days = _day_conditions(settings.staged / str(file.parquet_name), script)
        in_order_of_key = chain.from_iterable(queries.batches("facts", {**names, "days": some}) for some in days)
        each_once = _each_key_once(_with_references(in_order_of_key, referred, script), script.primary_key)
        at_once = BATCHES_AHEAD if len(days) > 1 else 1
        with queries.leaving_room(), closing(ahead(each_once, at_once)) as batches:
            for batch, repeats in batches:
                loaded += tx.append(script.name, pa.Table.from_batches([batch]))
                repeated += repeats
                passing(CrashPoint.MID_LOAD)
        with queries.reader("merged", names) as merged:
            tx.create_temporary("merged", merged)
    tx.execute(
        "INSERT INTO merged (file_id, feed, loaded, updated, unchanged)"
        f" VALUES ({file.file_id:d}, '{contract.feed}', {loaded:d}, 0, {repeated:d})"
    )
    ledger.take_back(tx, file.file_id, "staged_file")
    give_back()


def into_staging_table(tx: Transaction, contract: Contract, file: LedgerFile, settings: Settings) -> None:
    """Move the rows of a staged large file into the staging table, so that it is merged like a small file."""
    ledger.take_back(tx, file.file_id, contract.staging_table)
    with _duckdb(tx, contract, file, settings.staged / str(file.parquet_name)) as queries:
        for batch in queries.batches("rows"):
            tx.append(contract.staging_table, pa.Table.from_batches([batch]))
    ledger.take_back(tx, file.file_id, "staged_file")


def receive_again_what_is_missing(tx: Transaction, contract: Contract, settings: Settings) -> None:
    """Reset staged files with a missing Parquet file, for example after a restore of the database only.

    They are staged again.
    """
    kept = tx.query(
        "SELECT s.file_id, s.parquet_name FROM staged_file AS s JOIN ingest_file AS f ON f.file_id = s.file_id"
        " WHERE f.feed = ?",
        (contract.feed,),
    )
    gone = [row["file_id"] for row in kept if not (settings.staged / row["parquet_name"]).is_file()]
    if gone:
        tx.create_temporary("again", pd.DataFrame({"file_id": gone}))
        tx.execute(f"DELETE FROM {contract.staging_table} WHERE file_id IN (SELECT file_id FROM again)")
        tx.run(sql_file("operations", "forget_file"), "any")


def remove_what_is_merged(warehouse: Warehouse, settings: Settings) -> None:
    """Delete the Parquet files that are not in the ledger, and temporary folders left by a killed process.

    This runs in a writing transaction, so that no other process is staging at the same time.
    """
    if not has_staged_rows(settings):
        return
    with warehouse.transaction() as tx:
        named = {row["parquet_name"] for row in tx.query("SELECT parquet_name FROM staged_file")}
        for path in settings.staged.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name not in named:
                path.unlink()


def _day_conditions(parquet: Path, script: Script) -> list[str]:
    """Return SQL conditions that split the rows r of a file into ranges of days, in order.

    With several ranges, one is sorted while the previous one is inserted. There is only one range if the key does not
    begin with the day, and the ranges are larger if the file is not ordered by day.
    """
    metadata = pq.read_metadata(parquet)
    day = script.day_column
    names = metadata.schema.to_arrow_schema().names
    if script.primary_key[0] != day or day not in names:
        return ["1 = 1"]
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    spans = [(group.column(names.index(day)).statistics, group.num_rows) for group in groups]
    cuts, rows = [], 0
    for last_day, more in sorted((span.max, more) for span, more in spans if span and span.has_min_max):
        rows += more
        if rows >= ROWS_SORTED_AT_ONCE:
            cuts.append(last_day)
            rows = 0
    cuts = sorted(set(cuts))
    between = [f"r.{day} > {first:d} AND r.{day} <= {last:d}" for first, last in pairwise([0, *cuts])]
    return [*between, f"r.{day} > {cuts[-1] if cuts else 0:d} OR r.{day} IS NULL"]


def _with_references(
    batches: Iterator[pa.RecordBatch], referred: Mapping[str, pa.ChunkedArray], script: Script
) -> Iterator[pa.RecordBatch]:
    """Yield the same batches after checking the given foreign keys.

    Raises WarehouseError if a referenced row does not exist.
    """
    for batch in batches:
        for column, keys in referred.items():
            if not pc.all(pc.is_in(batch[column].drop_null(), keys)).as_py():
                raise WarehouseError(f"{script.name}: a row's {column} refers to a row that does not exist")
        yield batch


def _frame(batch: pa.RecordBatch) -> pd.DataFrame:
    return batch.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get, date_as_object=False)


def _each_key_once(batches: Iterator[pa.RecordBatch], key: tuple[str, ...]) -> Iterator[tuple[pa.RecordBatch, int]]:
    """Yield batches with the first row of each key, and the number of rows removed. The rows are sorted by key."""
    last: list[Any] = []
    for batch in batches:
        columns = [batch.column(name) for name in key]
        is_first = np.zeros(len(batch), bool)
        is_first[0] = [column[0].as_py() for column in columns] != last
        for column in columns:
            differs = pc.not_equal(column.slice(1), column.slice(0, len(column) - 1))
            is_first[1:] |= differs.fill_null(True).to_numpy(False)
        last = [column[-1].as_py() for column in columns]
        yield (batch if is_first.all() else batch.filter(pa.array(is_first))), int((~is_first).sum())


class _Queries:
    """Runs the sections of sql/bulk/large_file.sql on the rows of one file with DuckDB."""

    def __init__(self, connection: "duckdb.DuckDBPyConnection", names: Names) -> None:
        self._connection = connection
        self._names = names

    @contextmanager
    def leaving_room(self) -> Iterator[None]:
        """Use one thread inside the block, so that the other processor can insert the results."""
        self._connection.execute("SET threads = 1")
        yield
        self._connection.execute(f"SET threads = {PROCESSORS}")

    def reader(self, section: str, names: Names) -> pa.RecordBatchReader:
        """Return a reader of a section's result."""
        (query,) = sql_file("bulk", "large_file").statements(section, {**names, **self._names})
        return self._connection.sql(query).to_arrow_reader(ROWS_AT_ONCE)

    def batches(self, section: str, names: Names = NO_NAMES) -> Iterator[pa.RecordBatch]:
        """Yield the non-empty batches of a section's result."""
        with self.reader(section, names) as reader:
            yield from (batch for batch in reader if len(batch))


@contextmanager
def _duckdb(
    tx: Transaction, contract: Contract, file: LedgerFile, parquet: Path, script: Script | None = None
) -> Iterator[_Queries]:
    """Open a DuckDB with the rows of a file as the feed's staging table, except rows that contradict each other.

    script: a fact table; the tables that its rows are resolved with are added.
    """
    if not parquet.is_file():
        raise StagedRowsMissing(f"The staged rows of a file are missing: materialize {contract.staging_table} again.")
    referred = {"student_alias", *script.mentions(frozenset(scripts()), "resolve")} if script else set()
    conflicts = "row_reject WHERE reason_code = 'conflicting_duplicate' AND file_id ="
    with duckdb_connection(parquet.parent, MEMORY, PROCESSORS) as connection:
        connection.read_parquet(str(parquet)).create_view("parquet_row")
        connection.register("due", pa.table({"file_id": [file.file_id]}))
        connection.register("conflict", tx.arrow_table(f"{conflicts} {file.file_id:d}", ["line_no"]))
        for name in referred - {contract.staging_table}:
            connection.register(name, tx.arrow_table(name))
        names = {"staging": contract.staging_table, "feed": contract.feed}
        connection.execute(sql_file("bulk", "large_file").statements("staged", names)[0])
        yield _Queries(connection, names)
