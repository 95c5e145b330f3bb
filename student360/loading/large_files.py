"""Large files of facts: their typed rows are staged in a Parquet file, and DuckDB makes rows of the fact table of them.

Belongs here: that Parquet file, and the way from it into the database. Does not belong here: what a row of facts is
(the section `resolve` of its SQL file, the same text that the database runs), which files are merged when (`merge.py`).

Rows that go through the staging table are written as text, read, sorted and counted by the database. Of 5 million rows
of attendance on SQLite that is 20 s of a load; this way it is 11.
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
from student360.loading.bulk_duckdb import duckdb_beside
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
    """Whether the rows of a file are staged as Parquet: a large file of facts that withdraws none of others."""
    is_fact = scripts()[contract.loads].is_fact
    return is_fact and file.load_mode is LoadMode.DELTA and path.stat().st_size >= settings.large_file_bytes


def has_staged_rows(settings: Settings) -> bool:
    """Whether there is any Parquet file; cheap."""
    return settings.staged.is_dir() and any(settings.staged.iterdir())


class StagedRowsMissing(Exception):
    """The Parquet file of a staged file is gone: staging makes it anew from the file itself."""


class ParquetRows:
    """The typed rows of one file in a Parquet file of their own, private to its owner.

    Nothing counts on it before the ledger names it; one that is not named is removed (`remove_what_is_merged`).
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
            "write_statistics": [c.name for c in columns if c.storage != "text"],  # those of texts double the time
        }

    def write(self, chunks: Iterator[pd.DataFrame]) -> None:
        """Write all rows, durably. Raises ValueError for a gap in a column that may have none."""
        self.path.touch(mode=0o600)
        with pq.ParquetWriter(self.path, self._schema, **self._encoding) as writer:
            for rows in chunks:
                writer.write_table(pa.Table.from_pandas(rows, self._schema, preserve_index=False))
        make_durable(self.path)

    def frames(self, lines: np.ndarray | None = None) -> Iterator[pd.DataFrame]:
        """All rows in chunks, or those of some lines."""
        with pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(ROWS_AT_ONCE):
                chosen = batch if lines is None else batch.filter(pa.array(np.isin(batch["line_no"], lines)))
                if len(chosen):
                    yield _frame(chosen)

    def name_in_ledger(self, tx: Transaction, file: LedgerFile) -> None:
        """From the commit on, these are the staged rows of the file."""
        tx.execute("INSERT INTO staged_file (file_id, parquet_name) VALUES (?, ?)", (file.file_id, self.path.name))


def examples(tx: Transaction, contract: Contract, file: LedgerFile, rows: ParquetRows) -> Iterator[pd.DataFrame]:
    """Rows of a file in which each of its codes, labels and schools occurs.

    They stand for the file in the staging table: the dimensions find there what is new to them.
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
    """Add the rows of a staged large file to a fact table that has none which they can meet.

    Rows without a known student go into the staging table. Leaves `merged` as the section `add` of fact.sql does.
    Raises WarehouseError where a row refers to one that does not exist.
    """
    loaded = repeated = 0
    is_any_waiting = False
    by_us = () if tx.engine.always_checks_references else script.references
    referred = {column: tx.arrow_table(parent, [key]).column(0) for column, parent, key in by_us}
    with _duckdb(tx, contract, file, settings.staged / str(file.parquet_name), script) as queries:
        for batch in queries.batches("waiting"):
            if not is_any_waiting:
                ledger.take_back(tx, file.file_id, contract.staging_table)
            is_any_waiting = True
            tx.append(contract.staging_table, pa.Table.from_batches([batch]))
        days = _few_days_at_once(settings.staged / str(file.parquet_name), script)
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
    """Put the rows of a staged large file into the staging table, as if the file were small."""
    ledger.take_back(tx, file.file_id, contract.staging_table)
    with _duckdb(tx, contract, file, settings.staged / str(file.parquet_name)) as queries:
        for batch in queries.batches("rows"):
            tx.append(contract.staging_table, pa.Table.from_batches([batch]))
    ledger.take_back(tx, file.file_id, "staged_file")


def receive_again_what_is_missing(tx: Transaction, contract: Contract, settings: Settings) -> None:
    """A staged file whose Parquet file is gone, as after a restore of the database alone, is staged again."""
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
    """Remove the Parquet files that the ledger does not name, and what a process that died left in their folder.

    In a writing transaction: no other process is staging then.
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


def _few_days_at_once(parquet: Path, script: Script) -> list[str]:
    """Conditions that part the rows r of a file by day, in order: some days are sorted while those before are stored.

    Where the key begins with the day, and as far as the file's own order allows.
    """
    told = pq.read_metadata(parquet)
    day = script.day_column
    names = told.schema.to_arrow_schema().names
    if script.primary_key[0] != day or day not in names:
        return ["1 = 1"]
    groups = [told.row_group(number) for number in range(told.num_row_groups)]
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
    """The same rows; what each refers to by the given columns exists. Raises WarehouseError."""
    for batch in batches:
        for column, keys in referred.items():
            if not pc.all(pc.is_in(batch[column].drop_null(), keys)).as_py():
                raise WarehouseError(f"{script.name}: a row's {column} refers to a row that does not exist")
        yield batch


def _frame(batch: pa.RecordBatch) -> pd.DataFrame:
    return batch.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get, date_as_object=False)


def _each_key_once(batches: Iterator[pa.RecordBatch], key: tuple[str, ...]) -> Iterator[tuple[pa.RecordBatch, int]]:
    """The first row of each key, of rows in the order of the key; and how many others there were in the batch."""
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
    """The sections of sql/merge/large_file.sql, run by DuckDB on the rows of one file."""

    def __init__(self, connection: "duckdb.DuckDBPyConnection", names: Names) -> None:
        self._connection = connection
        self._names = names

    @contextmanager
    def leaving_room(self) -> Iterator[None]:
        """Use one processor for the while: the other one stores what comes out."""
        self._connection.execute("SET threads = 1")
        yield
        self._connection.execute(f"SET threads = {PROCESSORS}")

    def reader(self, section: str, names: Names) -> pa.RecordBatchReader:
        """What a section gives, batch by batch."""
        (query,) = sql_file("bulk", "large_file").statements(section, {**names, **self._names})
        return self._connection.sql(query).to_arrow_reader(ROWS_AT_ONCE)

    def batches(self, section: str, names: Names = NO_NAMES) -> Iterator[pa.RecordBatch]:
        """The same; none of them is empty."""
        with self.reader(section, names) as reader:
            yield from (batch for batch in reader if len(batch))


@contextmanager
def _duckdb(
    tx: Transaction, contract: Contract, file: LedgerFile, parquet: Path, script: Script | None = None
) -> Iterator[_Queries]:
    """DuckDB with the rows of a file, without those that contradict each other, as the feed's staging table; for a
    fact table, with the tables that its rows refer to."""
    if not parquet.is_file():
        raise StagedRowsMissing(f"The rows of a staged file are gone: materialize {contract.staging_table} again.")
    referred = {"student_alias", *script.mentions(frozenset(scripts()), "resolve")} if script else set()
    conflicts = "row_reject WHERE reason_code = 'conflicting_duplicate' AND file_id ="
    with duckdb_beside(parquet.parent, MEMORY, PROCESSORS) as connection:
        connection.read_parquet(str(parquet)).create_view("parquet_row")
        connection.register("due", pa.table({"file_id": [file.file_id]}))
        connection.register("conflict", tx.arrow_table(f"{conflicts} {file.file_id:d}", ["line_no"]))
        for name in referred - {contract.staging_table}:
            connection.register(name, tx.arrow_table(name))
        names = {"staging": contract.staging_table, "feed": contract.feed}
        connection.execute(sql_file("bulk", "large_file").statements("staged", names)[0])
        yield _Queries(connection, names)
